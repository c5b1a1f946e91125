/* Shared by daemon.c (start, run, end) and daemon_parts.c (what joins the parts). */
#ifndef PLUGD_DAEMON_PRIVATE_H
#define PLUGD_DAEMON_PRIVATE_H

#include <limits.h>

#include "daemon.h"
#include "daemon_discover.h"
#include "daemon_watch.h"
#include "os/cgroup.h"
#include "os/rundir.h"
#include "serve/channels.h"
#include "serve/control.h"
#include "upgrade/upgrade.h"

struct daemon {
	const struct options *options;
	const struct guardian *guardian;
	struct settings *settings;
	struct ev_loop *loop;
	struct rundir rundir;
	struct cgroup cgroup;
	bool has_cgroup;
	char state_dir[PATH_MAX];
	char containment[512], config_error[2048];
	struct config_dirs dirs;
	struct daemon_discover found;
	struct host host;
	struct registry registry;
	struct router router;
	struct channels channels;
	struct control control;
	struct doorman *doorman;
	ev_signal term_w, int_w, hup_w;
	ev_io child_w;
	ev_timer child_later_w;
	ev_io lifeline_w;
	struct daemon_watch watch;
	struct upgrade upgrade;
	uint64_t started_ms;
	int exit_status;
	uint64_t stop_requested_ms;
};

extern const struct host_ops daemon_host_ops;
extern const struct doorman_ops daemon_doorman_ops;

/* A daemon that is all zero gets what it is told and no descriptor; then its parts, empty (false:
 * there is no loop).  Its end: everything that was made since is closed and freed, except the loop
 * and the settings; processes are left as they are. */
void daemon_init(struct daemon *d, const struct options *options, struct settings *settings,
		 const struct guardian *guardian);
bool daemon_prepare(struct daemon *d);
void daemon_take_apart(struct daemon *d);

struct doorman_limits daemon_door_limits(const struct settings *settings);
void daemon_apply_limits(struct daemon *d);
void daemon_apply_log(const struct daemon *d);

/* Leftovers in the store, before anything is looked for there. */
void daemon_store_sweep(const struct daemon *d);
/* A plugin has settled: if it was to go to another version of the store, see what came of it. */
void daemon_store_settled(struct daemon *d, struct plugin *plugin);

struct doorman_config daemon_door_config(struct daemon *d);

/* Over an upgrade in place.  daemon_save() is upgrade.save.  daemon_restore() has no effect outside
 * this process; false: `in` says why. */
void daemon_save(void *user, struct state_out *out, Plugd__Saved *saved);
bool daemon_restore(struct daemon *d, struct state_in *in);
void daemon_take_over(struct daemon *d, struct state_in *in, struct handover *handover);

/* control_daemon; `user` is the daemon. */
void daemon_reread(void *user);

/* Say so in the log if metrics are wanted and no plugin serves them. */
void daemon_check_metrics(struct daemon *d);
void daemon_describe(void *user, Plug__DaemonStatus *status);
const struct field_entries *daemon_models(void *user);
void daemon_upgrade(void *user, struct client *client, uint64_t id, const char *binary);
struct spec *daemon_reread_plugin(void *user, const struct spec *spec, const char *version,
				  struct diags *diags);
struct spec *daemon_respec(void *user, const struct spec *spec, char *const *set, size_t count,
			   struct diags *diags);

#endif
