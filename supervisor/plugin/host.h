/* What every plugin and instance stands on: made by the daemon, outlives them all.  Loop's thread
 * only. */
#ifndef PLUGD_HOST_H
#define PLUGD_HOST_H

#include <ev.h>
#include <sys/resource.h>

#include "codec.h"
#include "os/cgroup.h"
#include "os/rundir.h"
#include "plugin/events.h"
#include "plugin/graves.h"

struct crash_call;
struct instance;
struct plugin;

/* The router's side: who gives an instance its calls.  Called by plugin/, implemented by serve/. */
struct host_ops {
	/* It is ready: hand it what waits. */
	void (*on_ready)(void *user, struct instance *instance);
	/* CALL's answers: REPLY and CHUNK of this instance. */
	void (*on_reply)(void *user, struct instance *instance, const Plug__Envelope *env);
	/* For a crash report: at most `max` of its calls; returns how many there are. */
	size_t (*describe_calls)(void *user, struct instance *instance, struct crash_call *calls,
				 size_t max);
	/* The process is dead: end or move its calls.  `in->calls` is empty afterwards. */
	void (*on_gone)(void *user, struct instance *instance);
	/* No instance will come: end the calls that wait.  `why` for their message. */
	void (*on_abandon)(void *user, struct plugin *plugin, const char *why);
	/* A start, stop or restart has reached its end, whatever it is; or is stuck. */
	void (*on_settled)(void *user, struct plugin *plugin);
	/* It is about to be freed: forget it. */
	void (*on_forget)(void *user, struct plugin *plugin);
};

struct host_limits {
	uint64_t call_bytes;
	uint32_t calls_per_instance;
	size_t unacked_bytes;
	size_t log_ring_bytes;
	uint64_t log_file_bytes;
	unsigned log_files;
};

struct host {
	struct ev_loop *loop;
	struct rundir *rundir;
	struct cgroup *cgroup;
	int log_dir_fd; /* -1: no files */
	rlim_t nofile_soft;
	char socket_path[RUNDIR_PATH_BYTES];
	struct events events;
	struct graves graves;
	struct host_limits limits;
	const struct host_ops *ops;
	void *ops_user;
	/* Is this pid an instance's, or in the graves?  Set by the registry. */
	bool (*is_child)(void *user, pid_t pid);
	void *is_child_user;
	bool shutting_down;
};

#endif
