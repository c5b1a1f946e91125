/* What every plugin and instance stands on: made by the daemon, outlives them all.  Loop's thread
 * only. */
#ifndef PLUGD_HOST_H
#define PLUGD_HOST_H

#include <ev.h>
#include <sys/resource.h>

#include "codec.h"
#include "core/manifest.h"
#include "os/cgroup.h"
#include "os/rundir.h"
#include "plugin/events.h"
#include "plugin/graves.h"
#include "plugin/lull.h"
#include "plugin/vigil.h"

struct crash_call;
struct instance;
struct plugin;

/* The router's side: who gives an instance its calls.  Called by plugin/, implemented by serve/. */
struct host_ops {
	/* Call its probe method; instance_probed() is told what came of it, once, in this call at
	 * the earliest. */
	void (*probe)(void *user, struct instance *instance);
	/* It is ready: hand it what waits. */
	void (*on_ready)(void *user, struct instance *instance);
	/* CALL's answers: REPLY and CHUNK of this instance. */
	void (*on_reply)(void *user, struct instance *instance, const Plug__Envelope *env);
	/* ChannelAnswer or ChannelClosed of this instance; `fd` is the region that came with it, or
	 * -1, and stays the caller's. */
	void (*on_channel_message)(void *user, struct instance *instance, const Plug__Envelope *env,
				   int fd);
	/* For a crash report: at most `max` of its calls; returns how many there are. */
	size_t (*describe_calls)(void *user, struct instance *instance, struct crash_call *calls,
				 size_t max);
	/* It has become one that takes no calls, whatever it does now. */
	void (*on_left)(void *user, struct instance *instance);
	/* The process is dying, and another one has its place: move its calls that may be moved. */
	void (*on_replaced)(void *user, struct instance *instance);
	/* The process is dead, and all that it sent was read: move its calls that may be moved.
	 * Called once, before on_gone, while it is still being found out why. */
	void (*on_ended)(void *user, struct instance *instance);
	/* End those that are left.  `in->calls` is empty afterwards.  `why` is "" when it was asked
	 * to end. */
	void (*on_gone)(void *user, struct instance *instance, const char *why);
	/* No instance will come: end the calls that wait. */
	void (*on_abandon)(void *user, struct plugin *plugin);
	/* A start, stop or restart has reached its end, whatever it is; or is stuck. */
	void (*on_settled)(void *user, struct plugin *plugin);
	/* The answer of this instance to instance_tell_config(). */
	void (*on_config_result)(void *user, struct instance *instance,
				 const Plug__ConfigResult *result);
	/* It went back to the version before, after its reload had been told as done. */
	void (*on_gone_back)(void *user, struct plugin *plugin, const char *why);
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
	int state_fd;   /* what is to survive plugd */
	rlim_t nofile_soft;
	char socket_path[RUNDIR_PATH_BYTES];
	struct events events;
	struct graves graves;
	struct vigil vigil;
	struct lull lull;
	struct host_limits limits;
	const struct host_ops *ops;
	void *ops_user;
	/* Is this pid an instance's, or in the graves?  Set by the registry. */
	bool (*is_child)(void *user, pid_t pid);
	void *is_child_user;
	bool autostart; /* of plugins that do not say themselves */
	/* By manifest type: those with a lower one are started before; all 0: no order. */
	unsigned char start_rank[MANIFEST_TYPE_COUNT];
	uint64_t spec_changes; /* counts: another spec is in force of a plugin, or there is a new
				  one */
	uint64_t oom_kills;    /* of this machine, some seconds ago; for death.c */
	unsigned ticks;
	bool shutting_down;
};

#endif
