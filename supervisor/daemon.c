#include "daemon.h"

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

/* ---- limits ---- */

static struct doorman_limits
door_limits(const struct settings *settings)
{
	return (struct doorman_limits){
		.clients = (unsigned)settings->limits.clients,
		.clients_per_uid = (unsigned)settings->limits.clients_per_uid,
		.queue_bytes = settings->limits.client_queue_bytes,
		.call_bytes = settings->limits.call_bytes,
	};
}

static void
apply_limits(struct daemon *d)
{
	const struct settings_limits *limits = &d->settings->limits;

	d->host.limits = (struct host_limits){
		.call_bytes = limits->call_bytes,
		.calls_per_instance = (uint32_t)limits->calls_per_instance,
		.unacked_bytes = 4 * limits->call_bytes,
		.log_ring_bytes = limits->log_ring_bytes,
		.log_file_bytes = d->settings->log.max_bytes,
		.log_files = (unsigned)d->settings->log.files,
	};
	d->router.limits = (struct router_limits){
		.tickets_per_client = (size_t)limits->calls_per_client,
		.queue_calls = (size_t)limits->queue_calls,
		.queue_bytes = 16 * limits->call_bytes,
		.call_bytes = limits->call_bytes,
		.call_timeout_ms = limits->call_timeout_ms,
	};
	d->control.tickets_per_client = (size_t)limits->calls_per_client;
	if (d->doorman) {
		struct doorman_limits door = door_limits(d->settings);

		doorman_set_limits(d->doorman, &door);
	}
}

static void
apply_log(const struct daemon *d)
{
	enum log_level level = (enum log_level)d->settings->log.level;
	enum log_format format = (enum log_format)d->settings->log.format;

	if (d->options->log_level)
		log_level_parse(d->options->log_level, &level);
	if (d->options->log_format)
		log_format_parse(d->options->log_format, &format);
	log_configure(level, format);
}

/* ---- between the parts ---- */

static void
on_ready(void *user, struct instance *in)
{
	struct daemon *d = user;

	router_on_ready(&d->router, in);
}

static void
on_reply(void *user, struct instance *in, const Plug__Envelope *env)
{
	struct daemon *d = user;

	router_on_reply(&d->router, in, env);
}

static size_t
describe_calls(void *user, struct instance *in, struct crash_call *calls, size_t max)
{
	(void)user;
	return router_describe_calls(in, calls, max);
}

static void
on_gone(void *user, struct instance *in)
{
	struct daemon *d = user;

	router_on_gone(&d->router, in);
	registry_changed(&d->registry);
}

static void
on_abandon(void *user, struct plugin *plugin, const char *why)
{
	struct daemon *d = user;

	router_on_abandon(&d->router, plugin, why);
}

static void
on_settled(void *user, struct plugin *plugin)
{
	struct daemon *d = user;

	control_on_settled(&d->control, plugin);
}

static void
on_forget(void *user, struct plugin *plugin)
{
	struct daemon *d = user;

	router_on_abandon(&d->router, plugin, "its folder is gone");
	control_forget(plugin);
}

static const struct host_ops host_ops = {
	.on_ready = on_ready,
	.on_reply = on_reply,
	.describe_calls = describe_calls,
	.on_gone = on_gone,
	.on_abandon = on_abandon,
	.on_settled = on_settled,
	.on_forget = on_forget,
};

static void
on_client_message(void *user, struct client *client, const Plug__Envelope *env)
{
	struct daemon *d = user;
	struct ticket *ticket;

	switch (env->body_case) {
	case PLUG__ENVELOPE__BODY_CALL:
		router_call(&d->router, client, env->id, env->call);
		return;
	case PLUG__ENVELOPE__BODY_REQUEST:
		control_request(&d->control, client, env->id, env->request);
		return;
	case PLUG__ENVELOPE__BODY_CANCEL:
		ticket = ticket_find(client, env->id);
		if (ticket)
			ticket->ops->on_cancel(ticket);
		return; /* else it ended while CANCEL was on its way */
	case PLUG__ENVELOPE__BODY_CHUNK:
		ticket = ticket_find(client, env->id);
		if (ticket && ticket->ops->on_chunk)
			ticket->ops->on_chunk(ticket, env->chunk);
		return;
	default:
		client_close(client, "a message that a client does not send");
	}
}

static void
on_client_sent(void *user, const struct client_origin *origin)
{
	struct daemon *d = user;

	router_on_sent(&d->router, origin);
}

static void
on_client_gone(void *user, struct client *client)
{
	(void)user;
	ticket_close_all(client);
}

static bool
take_token(void *user, const uint8_t *token, size_t size)
{
	struct daemon *d = user;

	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		if (plugin->instance && instance_take_client_token(plugin->instance, token, size))
			return true;
	return false;
}

static const struct doorman_ops doorman_ops = {
	.on_message = on_client_message,
	.on_sent = on_client_sent,
	.on_gone = on_client_gone,
	.take_token = take_token,
};

/* ---- configuration ---- */

static plug_err
discover(struct daemon *d)
{
	struct list bad = LIST_INIT(bad);
	struct spec **specs;
	size_t count;
	plug_err err = config_discover(d->options, d->settings, &specs, &count, &bad);

	if (err)
		return err;
	registry_update(&d->registry, specs, count, (size_t)d->settings->limits.plugins, &bad);
	free(specs);
	return PLUG_OK;
}

static void
keep_error(void *context, const char *line)
{
	struct daemon *d = context;
	size_t used = strlen(d->config_error);

	log_error("%s", line);
	snprintf(d->config_error + used, sizeof(d->config_error) - used, "%s%s", used ? "\n" : "",
		 line);
}

static void
reread(void *user)
{
	struct daemon *d = user;
	struct settings *settings;
	struct diags diags;

	if (d->host.shutting_down)
		return;
	guardian_notify(d->guardian, "RELOADING=1");
	d->config_error[0] = '\0';
	diags_init(&diags);
	settings = config_load(d->options, &diags);
	diags_each(&diags, keep_error, d);
	diags_fini(&diags);
	if (settings) {
		settings_free(d->settings);
		d->settings = settings;
		apply_log(d);
		apply_limits(d);
		config_dirs(d->options, d->settings, &d->dirs);
		discover(d);
		registry_autostart(&d->registry);
		events_add(&d->host.events, NULL, "config", 0, 0, "re-read; %zu plugins",
			   d->registry.count);
	} else {
		events_add(&d->host.events, NULL, "config", 0, 0,
			   "rejected, the old configuration stays in force: %s", d->config_error);
	}
	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		logfile_reopen(&plugin->output.file);
	guardian_notify(d->guardian, "READY=1");
}

static struct spec *
respec(void *user, const struct spec *spec, char *const *set, size_t count, struct diags *diags)
{
	struct spec_layers layers = {
		.environment = environ, .set = (const char *const *)set, .set_count = count};

	(void)user;
	return spec_with(spec, &layers, diags);
}

static void
describe(void *user, Plug__DaemonStatus *status)
{
	struct daemon *d = user;
	uint64_t dropped = log_dropped();

	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		dropped += plugin->output.file.dropped;
	status->version = (char *)PLUG_VERSION;
	status->guardian_pid = d->guardian->pid;
	status->uptime_ms = clock_mono_ms() - d->started_ms;
	status->runtime_dir = d->rundir.path;
	status->state_dir = d->state_dir;
	status->plugin_dirs = (char **)d->dirs.paths;
	status->n_plugin_dirs = d->dirs.count;
	status->config_file = (char *)(d->options->config_file ? d->options->config_file : "");
	status->containment = d->containment;
	status->dropped_log_lines = dropped;
	status->config_error = d->config_error;
}

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
	events_add(&d->host.events, NULL, "stopping", 0, 0, "%zu plugins, dependents first",
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
	reread(w->data);
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
		.limits = door_limits(d->settings),
		.ops = &doorman_ops,
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
	d->control.daemon = (struct control_daemon){reread, shut_down, describe, respec, d};
	apply_limits(d);
	if (!open_runtime_dir(d) || !open_state_dir(d))
		return false;
	open_cgroup(d);
	watch(d);
	config_dirs(d->options, d->settings, &d->dirs);
	if (!open_door(d))
		return false;
	if (discover(d)) {
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
	d->host.ops = &host_ops;
	d->host.ops_user = d;
	d->started_ms = clock_mono_ms();
	apply_log(d);
	if (start(d)) {
		events_add(&d->host.events, NULL, "started", 0, getpid(),
			   "plugd %s in %s, %zu plugins; no orphans by %s", PLUG_VERSION,
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
