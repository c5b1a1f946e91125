/* Shared by daemon.c (start, run, end) and daemon_parts.c (what joins the parts). */
#ifndef PLUGD_DAEMON_PRIVATE_H
#define PLUGD_DAEMON_PRIVATE_H

#include <limits.h>

#include "daemon.h"
#include "os/cgroup.h"
#include "os/rundir.h"
#include "serve/control.h"

struct daemon {
	const struct options *options;
	const struct guardian *guardian;
	struct settings *settings;
	struct ev_loop *loop;
	struct rundir rundir;
	struct cgroup cgroup;
	bool has_cgroup;
	int state_fd;
	char state_dir[PATH_MAX];
	char containment[512], config_error[2048];
	struct config_dirs dirs; /* for describe() */
	struct host host;
	struct registry registry;
	struct router router;
	struct control control;
	struct doorman *doorman;
	ev_signal term_w, int_w, hup_w, child_w;
	ev_io lifeline_w;
	uint64_t started_ms;
	int exit_status;
	uint64_t stop_requested_ms;
};

extern const struct host_ops daemon_host_ops;
extern const struct doorman_ops daemon_doorman_ops;

struct doorman_limits daemon_door_limits(const struct settings *settings);
void daemon_apply_limits(struct daemon *d);
void daemon_apply_log(const struct daemon *d);

/* Find the plugins and give them to the registry.  PLUG_ENOMEM */
plug_err daemon_discover(struct daemon *d);

/* control_daemon; `user` is the daemon. */
void daemon_reread(void *user);
void daemon_describe(void *user, Plug__DaemonStatus *status);
struct spec *daemon_respec(void *user, const struct spec *spec, char *const *set, size_t count,
			   struct diags *diags);

#endif
