#include "daemon_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/proc.h"
#include "os/rlimit.h"
#include "os/sigchld.h"
#include "os/statedir.h"
#include "os/tree.h"
#include "serve/control.h"
#include "upgrade/identity.h"

#define WANTED_DESCRIPTORS  65536
#define END_ALL_MS          3000
#define SECOND_STOP_MS      1000
#define PREDECESSOR_MS      12000 /* a little more than a guardian takes */
#define PREDECESSOR_LOOK_MS 5
#define CHILD_LATER_SECONDS 0.001
#define CHILD_LOOK_SECONDS  1. /* where nothing tells that one has ended */

/* ---- end ---- */

static void
on_all_stopped(void *user)
{
	struct daemon *d = user;

	ev_break(d->loop, EVBREAK_ALL);
}

static void
shut_down(void *user)
{
	struct daemon *d = user;

	if (d->host.shutting_down)
		return;
	upgrade_cancel(&d->upgrade, "called off: plugd is shutting down");
	guardian_notify(d->guardian, "STOPPING=1");
	events_add(&d->host.events, NULL, "stopping", 0, 0, "plugins: %zu, dependents first",
		   d->registry.count);
	registry_shutdown(&d->registry, on_all_stopped, d);
}

/*
 * The first asks for order; the second has no patience.  A service manager that signals the whole
 * group sends it to the guardian as well, which passes it on: what comes within a second is still
 * the first.
 */
static void
on_terminate(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct daemon *d = w->data;

	(void)revents;
	if (!d->stop_requested_ms) {
		d->stop_requested_ms = clock_mono_ms();
		shut_down(d);
		return;
	}
	if (clock_mono_ms() - d->stop_requested_ms < SECOND_STOP_MS)
		return;
	log_warn("asked to stop again: every process is killed now");
	ev_break(loop, EVBREAK_ALL);
}

static void
on_hangup(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	(void)revents;
	daemon_reread(w->data);
}

static bool
is_known_child(void *context, pid_t pid)
{
	struct daemon *d = context;

	return registry_has_pid(&d->registry, pid) || upgrade_has_pid(&d->upgrade, pid);
}

static void
reap(struct daemon *d)
{
	const struct tree_callbacks strangers = {.is_known = is_known_child, .context = d};

	if (vigil_is_kept(&d->host.vigil)) { /* calls come first */
		ev_timer_again(d->loop, &d->child_later_w);
		return;
	}
	if (ev_is_active(&d->child_w))
		ev_timer_stop(d->loop, &d->child_later_w);
	tree_reap_strangers(&strangers);
}

static void
on_child(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	sigchld_clear(w->fd);
	reap(w->data);
}

static void
on_child_later(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	reap(w->data);
}

static void
on_lifeline(struct ev_loop *loop, ev_io *w, int revents)
{
	struct daemon *d = w->data;

	(void)revents;
	ev_io_stop(loop, w);
	log_error("the guardian (pid %d) is gone: plugd ends its plugins and itself, for nobody "
		  "would clean up after it",
		  (int)d->guardian->pid);
	d->exit_status = 1;
	ev_break(loop, EVBREAK_ALL);
}

/* ---- start ---- */

/* The lock of one that was killed is its guardian's until nothing of it runs any more: what is
 * started here is never a second copy. */
static plug_err
take_runtime_dir(struct daemon *d, const char *path, struct reason *why)
{
	const struct timespec pause = {.tv_nsec = PREDECESSOR_LOOK_MS * 1000000L};
	uint64_t until = clock_mono_ms() + PREDECESSOR_MS;
	bool told = false;

	for (;;) {
		pid_t holder = 0;
		plug_err err = rundir_open(path, &d->rundir, &holder, why);
		struct proc_info proc;

		if (err != PLUG_EBUSY || !holder || clock_mono_ms() >= until ||
		    (!proc_read(holder, &proc) && proc.state != 'Z' && proc.state != 'X'))
			return err;
		if (!told)
			log_warn("the plugd with pid %d was killed and its guardian still ends its "
				 "processes: waiting for that, for at most %d s",
				 (int)holder, PREDECESSOR_MS / 1000);
		told = true;
		nanosleep(&pause, NULL);
	}
}

static bool
open_runtime_dir(struct daemon *d)
{
	char fallback[PATH_MAX];
	const char *path =
		d->options->runtime_dir ? d->options->runtime_dir : d->settings->runtime_dir;
	struct reason why = {""};

	if (!path && rundir_default_path(fallback, sizeof(fallback), &why)) {
		log_error("%s", why.text);
		return false;
	}
	if (take_runtime_dir(d, path ? path : fallback, &why)) {
		log_error("%s", why.text);
		return false;
	}
	guardian_hold(d->guardian, d->rundir.lock_fd); /* else it is free a moment too early */
	return !rundir_path(&d->rundir, PLUG_SOCKET_NAME, d->host.socket_path,
			    sizeof(d->host.socket_path));
}

static bool
open_state_dir(struct daemon *d)
{
	struct reason why = {""};
	char log_dir[PATH_MAX + 8], absolute[PATH_MAX];

	config_state_dir(d->options, d->settings, d->state_dir, sizeof(d->state_dir));
	if (statedir_open(d->state_dir, &d->host.state_fd, &why)) {
		log_error("%s", why.text);
		return false;
	}
	if (realpath(d->state_dir, absolute)) /* whoever reads it has another directory */
		snprintf(d->state_dir, sizeof(d->state_dir), "%s", absolute);
	if (d->settings->log.dir)
		snprintf(log_dir, sizeof(log_dir), "%s", d->settings->log.dir);
	else
		snprintf(log_dir, sizeof(log_dir), "%s/log", d->state_dir);
	if (statedir_open(log_dir, &d->host.log_dir_fd, &why)) {
		log_warn("%s; the plugins' logs are kept in memory only", why.text);
		d->host.log_dir_fd = -1;
	}
	return true;
}

static void
open_cgroup(struct daemon *d)
{
	cgroup_open(&d->cgroup);
	d->has_cgroup = true;
	cgroup_text(&d->cgroup, d->containment, sizeof(d->containment));
	if (*d->cgroup.path)
		guardian_set_cgroup(d->guardian, d->cgroup.path);
	d->host.cgroup = &d->cgroup;
}

static void
watch_signal(struct daemon *d, ev_signal *w, int number,
	     void (*callback)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(w, callback, number);
	ev_set_priority(w, EV_MINPRI);
	w->data = d;
	ev_signal_start(d->loop, w);
}

/* A death is heard by its pidfd: strangers are looked for after. */
static void
watch_children(struct daemon *d)
{
	int fd = sigchld_open();

	ev_init(&d->child_later_w, on_child_later);
	d->child_later_w.repeat = CHILD_LATER_SECONDS;
	d->child_later_w.data = d;
	ev_io_init(&d->child_w, on_child, fd, EV_READ);
	ev_set_priority(&d->child_w, EV_MINPRI);
	d->child_w.data = d;
	if (fd >= 0) {
		ev_io_start(d->loop, &d->child_w);
		return;
	}
	log_warn("signalfd: %s; what plugins leave behind is reaped once a second",
		 strerror(errno));
	d->child_later_w.repeat = CHILD_LOOK_SECONDS;
	ev_timer_again(d->loop, &d->child_later_w);
}

static void
watch(struct daemon *d)
{
	watch_signal(d, &d->term_w, SIGTERM, on_terminate);
	watch_signal(d, &d->int_w, SIGINT, on_terminate);
	watch_signal(d, &d->hup_w, SIGHUP, on_hangup);
	watch_children(d);
	ev_io_init(&d->lifeline_w, on_lifeline, d->guardian->fd, EV_READ);
	d->lifeline_w.data = d;
	ev_io_start(d->loop, &d->lifeline_w);
}

struct doorman_config
daemon_door_config(struct daemon *d)
{
	return (struct doorman_config){
		.loop = d->loop,
		.path = d->host.socket_path,
		.limits = daemon_door_limits(d->settings),
		.ops = &daemon_doorman_ops,
		.user = d,
	};
}

static bool
open_door(struct daemon *d)
{
	struct doorman_config config = daemon_door_config(d);

	if (doorman_open(&config, &d->doorman) == PLUG_OK)
		return true;
	log_error("%s: %s; plugd cannot be reached without it and does not start", config.path,
		  strerror(errno));
	return false;
}

static void
init_upgrade(struct daemon *d)
{
	d->upgrade.host = &d->host;
	d->upgrade.guardian = d->guardian;
	d->upgrade.argv = d->options->argv;
	d->upgrade.save = daemon_save;
	d->upgrade.user = d;
	upgrade_init(&d->upgrade);
}

bool
daemon_prepare(struct daemon *d)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN); /* the guardian passes it on; it means nothing yet */
	umask(077);
	/* Not the default loop: that one reaps every child it sees, ours included. */
	d->loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOSIGMASK);
	if (!d->loop) {
		log_error("no event loop: %s", strerror(errno));
		return false;
	}
	d->host.loop = d->loop;
	events_init(&d->host.events);
	graves_init(&d->host.graves, d->loop);
	vigil_init(&d->host.vigil, d->loop);
	lull_init(&d->host.lull, d->loop);
	daemon_watch_init(d);
	daemon_discover_init(d);
	registry_init(&d->registry, &d->host);
	router_init(&d->router, &d->host, &d->registry);
	channels_init(&d->channels, &d->host, &d->registry);
	init_upgrade(d);
	d->control.host = &d->host;
	d->control.registry = &d->registry;
	d->control.router = &d->router;
	d->control.daemon = (struct control_daemon){.reread = daemon_reread,
						    .shutdown = shut_down,
						    .describe = daemon_describe,
						    .respec = daemon_respec,
						    .reread_plugin = daemon_reread_plugin,
						    .models = daemon_models,
						    .upgrade = daemon_upgrade,
						    .place = daemon_place,
						    .list_dirs = daemon_list_dirs,
						    .change_dirs = daemon_change_dirs,
						    .load = daemon_load,
						    .unload = daemon_unload,
						    .user = d};
	daemon_apply_limits(d);
	config_dirs(d->options, d->settings, &d->dirs);
	return true;
}

static bool
start(struct daemon *d)
{
	rlim_t now;

	rlimit_raise_nofile(WANTED_DESCRIPTORS, &d->host.nofile_soft, &now);
	if (!daemon_prepare(d) || !open_runtime_dir(d) || !open_state_dir(d))
		return false;
	config_dirs(d->options, d->settings, &d->dirs); /* the state directory is there now */
	daemon_store_sweep(d);
	open_cgroup(d);
	watch(d);
	if (!open_door(d))
		return false;
	daemon_discover_load(d);
	if (daemon_discover(d)) {
		log_error("out of memory while looking for plugins");
		return false;
	}
	daemon_watch_sync(d);
	return true;
}

void
daemon_take_apart(struct daemon *d)
{
	doorman_close(d->doorman);
	d->doorman = NULL;
	upgrade_fini(&d->upgrade);
	daemon_watch_fini(d);
	daemon_discover_fini(d);
	registry_fini(&d->registry);
	vigil_end(&d->host.vigil);
	lull_fini(&d->host.lull);
	graves_fini(&d->host.graves);
	router_fini(&d->router);
	channels_fini(&d->channels);
	events_fini(&d->host.events);
	if (d->has_cgroup)
		cgroup_close(&d->cgroup);
	rundir_close(&d->rundir);
	close_fd(&d->host.state_fd);
	close_fd(&d->host.log_dir_fd);
}

static void
stop(struct daemon *d)
{
	unsigned left = 0;

	doorman_close(d->doorman);
	d->doorman = NULL;
	if (tree_end_all(END_ALL_MS, &left))
		log_error("%u processes did not end after SIGKILL", left);
	if (!d->loop)
		return;
	daemon_take_apart(d);
	ev_loop_destroy(d->loop);
}

void
daemon_init(struct daemon *d, const struct options *options, struct settings *settings,
	    const struct guardian *guardian)
{
	d->options = options;
	d->settings = settings;
	d->guardian = guardian;
	d->rundir = (struct rundir)RUNDIR_INIT;
	d->host.state_fd = d->host.log_dir_fd = -1;
	d->host.rundir = &d->rundir;
	d->host.ops = &daemon_host_ops;
	d->host.ops_user = d;
	d->started_ms = clock_mono_ms();
}

/* One a process; large. */
static struct daemon the_daemon;

static struct daemon *
begin(const struct options *options, struct settings *settings, const struct guardian *guardian)
{
	daemon_init(&the_daemon, options, settings, guardian);
	daemon_apply_log(&the_daemon);
	return &the_daemon;
}

static int
run(struct daemon *d)
{
	guardian_notify(d->guardian, "READY=1");
	ev_run(d->loop, 0);
	if (!d->exit_status)
		log_info("plugd ends");
	stop(d);
	settings_free(d->settings);
	return d->exit_status;
}

int
daemon_run(const struct options *options, struct settings *settings,
	   const struct guardian *guardian)
{
	struct daemon *d = begin(options, settings, guardian);

	if (!start(d)) {
		stop(d);
		settings_free(d->settings);
		return 1;
	}
	events_add(&d->host.events, NULL, "started", 0, getpid(),
		   "plugd %s in %s, plugins: %zu; contained by %s", upgrade_identity.version,
		   d->rundir.path, d->registry.count, d->containment);
	daemon_autostart(d);
	daemon_check_metrics(d);
	return run(d);
}

bool
daemon_try(const struct options *options, struct settings *settings,
	   const struct guardian *guardian, struct state_in *in)
{
	struct daemon *d = begin(options, settings, guardian);

	if (!daemon_prepare(d))
		state_in_fail(in, "no event loop");
	return !in->failed && daemon_restore(d, in);
}

int
daemon_resume(const struct options *options, struct settings *settings,
	      const struct guardian *guardian, struct state_in *in, struct handover *handover)
{
	struct daemon *d = &the_daemon;

	if (!daemon_try(options, settings, guardian, in)) {
		handover_give_back(handover, options->argv, in->why);
		log_error("the state of the plugd before cannot be taken over: %s; plugd ends, and "
			  "its plugins with it",
			  in->why);
		return 1;
	}
	watch(d);
	handover_unblock();
	daemon_take_over(d, in, handover);
	state_in_fini(in);
	return run(d);
}
