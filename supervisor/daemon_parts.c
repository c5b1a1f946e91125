/* What joins the parts: limits, callbacks from one to the other, configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon_private.h"
#include "wire.h"

/* ---- limits ---- */

struct doorman_limits
daemon_door_limits(const struct settings *settings)
{
	return (struct doorman_limits){
		.clients = (unsigned)settings->limits.clients,
		.clients_per_uid = (unsigned)settings->limits.clients_per_uid,
		.queue_bytes = settings->limits.client_queue_bytes,
		.call_bytes = settings->limits.call_bytes,
	};
}

void
daemon_apply_limits(struct daemon *d)
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
		struct doorman_limits door = daemon_door_limits(d->settings);

		doorman_set_limits(d->doorman, &door);
	}
}

void
daemon_apply_log(const struct daemon *d)
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

	router_on_forget(&d->router, plugin);
	control_forget(plugin);
}

const struct host_ops daemon_host_ops = {
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
has_token(void *user, const uint8_t *token, size_t size)
{
	struct daemon *d = user;

	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		if (plugin->instance && instance_has_client_token(plugin->instance, token, size))
			return true;
	return false;
}

const struct doorman_ops daemon_doorman_ops = {
	.on_message = on_client_message,
	.on_sent = on_client_sent,
	.on_gone = on_client_gone,
	.has_token = has_token,
};

/* ---- configuration ---- */

plug_err
daemon_discover(struct daemon *d)
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

void
daemon_reread(void *user)
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
		daemon_apply_log(d);
		daemon_apply_limits(d);
		config_dirs(d->options, d->settings, &d->dirs);
		if (daemon_discover(d))
			keep_error(
				d,
				"out of memory while looking for plugins; those known before stay");
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

struct spec *
daemon_respec(void *user, const struct spec *spec, char *const *set, size_t count,
	      struct diags *diags)
{
	struct spec_layers layers = {
		.environment = environ, .set = (const char *const *)set, .set_count = count};

	(void)user;
	return spec_with(spec, &layers, diags);
}

void
daemon_describe(void *user, Plug__DaemonStatus *status)
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
