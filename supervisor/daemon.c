#include "daemon_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/proc.h"
#include "os/rlimit.h"
#include "os/statedir.h"
#include "os/tree.h"
#include "serve/control.h"
#include "wire.h"

#define WANTED_DESCRIPTORS 65536
#define END_ALL_MS         3000
#define SECOND_STOP_MS     1000

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

	return registry_has_pid(&d->registry, pid);
}

static void
on_child(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct daemon *d = w->data;
	const struct tree_callbacks strangers = {.is_known = is_known_child, .context = d};

	(void)loop;
	(void)revents;
	tree_reap_strangers(&strangers);
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

static bool
open_runtime_dir(struct daemon *d)
{
	char fallback[PATH_MAX];
	const char *path =
		d->options->runtime_dir ? d->options->runtime_dir : d->settings->runtime_dir;
	struct reason why = {""};
	pid_t holder = 0;

	if (!path && rundir_default_path(fallback, sizeof(fallback), &why)) {
		log_error("%s", why.text);
		return false;
	}
	if (rundir_open(path ? path : fallback, &d->rundir, &holder, &why)) {
		log_error("%s", why.text);
		return false;
	}
	return !rundir_path(&d->rundir, PLUG_SOCKET_NAME, d->host.socket_path,
			    sizeof(d->host.socket_path));
}

static bool
open_state_dir(struct daemon *d)
{
	struct reason why = {""};
	char log_dir[PATH_MAX + 8];

	config_state_dir(d->options, d->settings, d->state_dir, sizeof(d->state_dir));
	if (statedir_open(d->state_dir, &d->state_fd, &why)) {
		log_error("%s", why.text);
		return false;
	}
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
	w->data = d;
	ev_signal_start(d->loop, w);
}

static void
watch(struct daemon *d)
{
	watch_signal(d, &d->term_w, SIGTERM, on_terminate);
	watch_signal(d, &d->int_w, SIGINT, on_terminate);
	watch_signal(d, &d->hup_w, SIGHUP, on_hangup);
	watch_signal(d, &d->child_w, SIGCHLD, on_child);
	ev_io_init(&d->lifeline_w, on_lifeline, d->guardian->fd, EV_READ);
	d->lifeline_w.data = d;
	ev_io_start(d->loop, &d->lifeline_w);
}

static bool
open_door(struct daemon *d)
{
	struct doorman_config config = {
		.loop = d->loop,
		.path = d->host.socket_path,
		.limits = daemon_door_limits(d->settings),
		.ops = &daemon_doorman_ops,
		.user = d,
	};

	if (doorman_open(&config, &d->doorman) == PLUG_OK)
		return true;
	log_error("%s: %s; plugd cannot be reached without it and does not start", config.path,
		  strerror(errno));
	return false;
}

static bool
start(struct daemon *d)
{
	rlim_t now;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN); /* the guardian passes it on; it means nothing yet */
	umask(077);
	rlimit_raise_nofile(WANTED_DESCRIPTORS, &d->host.nofile_soft, &now);
	/* Not the default loop: that one reaps every child it sees, ours included. */
	d->loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOSIGMASK);
	if (!d->loop) {
		log_error("no event loop: %s", strerror(errno));
		return false;
	}
	d->host.loop = d->loop;
	events_init(&d->host.events);
	graves_init(&d->host.graves, d->loop);
	registry_init(&d->registry, &d->host);
	router_init(&d->router, &d->host, &d->registry);
	d->control.host = &d->host;
	d->control.registry = &d->registry;
	d->control.router = &d->router;
	d->control.daemon = (struct control_daemon){daemon_reread, shut_down, daemon_describe,
						    daemon_respec, d};
	daemon_apply_limits(d);
	if (!open_runtime_dir(d) || !open_state_dir(d))
		return false;
	open_cgroup(d);
	watch(d);
	config_dirs(d->options, d->settings, &d->dirs);
	if (!open_door(d))
		return false;
	if (daemon_discover(d)) {
		log_error("out of memory while looking for plugins");
		return false;
	}
	return true;
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
	registry_fini(&d->registry);
	graves_fini(&d->host.graves);
	router_fini(&d->router);
	events_fini(&d->host.events);
	if (d->has_cgroup)
		cgroup_close(&d->cgroup);
	rundir_close(&d->rundir);
	close_fd(&d->state_fd);
	close_fd(&d->host.log_dir_fd);
	ev_loop_destroy(d->loop);
}

int
daemon_run(const struct options *options, struct settings *settings,
	   const struct guardian *guardian)
{
	static struct daemon daemon; /* one a process; large */
	struct daemon *d = &daemon;

	d->options = options;
	d->settings = settings;
	d->guardian = guardian;
	d->rundir = (struct rundir)RUNDIR_INIT;
	d->state_fd = d->host.log_dir_fd = -1;
	d->host.rundir = &d->rundir;
	d->host.ops = &daemon_host_ops;
	d->host.ops_user = d;
	d->started_ms = clock_mono_ms();
	daemon_apply_log(d);
	if (start(d)) {
		events_add(&d->host.events, NULL, "started", 0, getpid(),
			   "plugd %s in %s, plugins: %zu; contained by %s", PLUG_VERSION,
			   d->rundir.path, d->registry.count, d->containment);
		registry_autostart(&d->registry);
		guardian_notify(guardian, "READY=1");
		ev_run(d->loop, 0);
		if (!d->exit_status)
			log_info("plugd ends");
	} else {
		d->exit_status = 1;
	}
	stop(d);
	settings_free(d->settings);
	return d->exit_status;
}
