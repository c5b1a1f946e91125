/* What joins the parts: limits, callbacks from one to the other, configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "config_metrics.h"
#include "daemon_private.h"
#include "serve/change.h"
#include "serve/probe.h"
#include "upgrade/identity.h"
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

static int
type_of(const char *word)
{
	int type = 0;

	while (strcmp(manifest_type_words[type], word)) /* the parser has looked */
		type++;
	return type;
}

static void
apply_start(struct daemon *d)
{
	const struct field_strings *order = &d->settings->load_order;

	d->host.autostart = d->settings->autostart;
	d->registry.keep_removed = d->settings->discovery.removed == REMOVED_KEEP;
	memset(d->host.start_rank, (int)order->count, sizeof(d->host.start_rank));
	for (size_t i = 0; i < order->count; i++)
		d->host.start_rank[type_of(order->items[i])] = (unsigned char)i;
}

void
daemon_apply_limits(struct daemon *d)
{
	const struct settings_limits *limits = &d->settings->limits;

	apply_start(d);

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
	d->channels.limits = (struct channels_limits){
		.per_client = (unsigned)limits->channels_per_client,
		.per_instance = (unsigned)limits->channels_per_instance,
		.region_bytes = limits->channel_bytes,
		.call_timeout_ms = limits->call_timeout_ms,
	};
	d->control.tickets_per_client = (size_t)limits->calls_per_client;
	d->upgrade.tickets_per_client = (size_t)limits->calls_per_client;
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
probe(void *user, struct instance *in)
{
	struct daemon *d = user;

	probe_instance(&d->router, in);
}

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

static void
on_channel_message(void *user, struct instance *in, const Plug__Envelope *env, int fd)
{
	struct daemon *d = user;

	channels_on_message(&d->channels, in, env, fd);
}

static size_t
describe_calls(void *user, struct instance *in, struct crash_call *calls, size_t max)
{
	(void)user;
	return router_describe_calls(in, calls, max);
}

static void
on_left(void *user, struct instance *in)
{
	struct daemon *d = user;

	router_on_left(&d->router, in);
}

static void
on_replaced(void *user, struct instance *in)
{
	struct daemon *d = user;

	router_on_replaced(&d->router, in);
}

static void
on_ended(void *user, struct instance *in)
{
	struct daemon *d = user;

	router_on_ended(&d->router, in);
}

static void
on_gone(void *user, struct instance *in, const char *why)
{
	struct daemon *d = user;

	router_on_gone(&d->router, in, why);
	change_on_gone(&d->control, in);
	channels_on_gone(in);
	registry_changed(&d->registry);
}

static void
on_config_result(void *user, struct instance *in, const Plug__ConfigResult *result)
{
	struct daemon *d = user;

	change_on_result(&d->control, in, result);
}

static void
on_gone_back(void *user, struct plugin *plugin, const char *why)
{
	(void)user;
	change_on_gone_back(plugin, why);
}

static void
on_abandon(void *user, struct plugin *plugin)
{
	struct daemon *d = user;

	router_on_abandon(&d->router, plugin);
}

static void
on_settled(void *user, struct plugin *plugin)
{
	struct daemon *d = user;

	daemon_store_settled(d, plugin);
	control_on_settled(&d->control, plugin);
	daemon_watch_settled(d);
}

static void
on_forget(void *user, struct plugin *plugin)
{
	struct daemon *d = user;

	router_on_forget(&d->router, plugin);
	control_forget(plugin);
}

const struct host_ops daemon_host_ops = {
	.probe = probe,
	.on_ready = on_ready,
	.on_reply = on_reply,
	.on_channel_message = on_channel_message,
	.describe_calls = describe_calls,
	.on_left = on_left,
	.on_replaced = on_replaced,
	.on_ended = on_ended,
	.on_gone = on_gone,
	.on_abandon = on_abandon,
	.on_settled = on_settled,
	.on_config_result = on_config_result,
	.on_gone_back = on_gone_back,
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
	case PLUG__ENVELOPE__BODY_CHANNEL_REQUEST:
		channels_request(&d->channels, client, env->id, env->channel_request);
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
	channels_on_client_gone(client);
}

static bool
has_token(void *user, struct client *client, const uint8_t *token, size_t size)
{
	struct daemon *d = user;

	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		LIST_FOREACH (in, &plugin->instances, struct instance, node) {
			if (!instance_has_client_token(in, token, size))
				continue;
			snprintf(client->plugin, sizeof(client->plugin), "%s", plugin_name(plugin));
			client->generation = in->generation;
			return true;
		}
	return false;
}

const struct doorman_ops daemon_doorman_ops = {
	.on_message = on_client_message,
	.on_sent = on_client_sent,
	.on_gone = on_client_gone,
	.has_token = has_token,
};

/* ---- configuration ---- */

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
log_warning(void *context, const char *line)
{
	(void)context;
	log_warn("%s", line);
}

void
daemon_check_metrics(struct daemon *d)
{
	struct diags diags;

	diags_init(&diags);
	config_check_metrics(d->settings, registry_find(&d->registry, METRICS_PLUGIN), &diags);
	diags_each(&diags, log_warning, NULL);
	diags_fini(&diags);
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
	diags.in_force = "the settings that were read before stay in force";
	settings = config_load(d->options, &diags);
	diags_each(&diags, settings ? log_warning : keep_error, d);
	diags_fini(&diags);
	if (settings) {
		settings_free(d->settings);
		d->settings = settings;
		daemon_apply_log(d);
		daemon_apply_limits(d);
		if (daemon_discover(d))
			keep_error(
				d,
				"out of memory while looking for plugins; those known before stay");
		daemon_autostart(d);
		daemon_check_metrics(d);
		events_add(&d->host.events, NULL, "config", 0, 0, "re-read; %zu plugins",
			   d->registry.count);
	} else {
		events_add(&d->host.events, NULL, "config", 0, 0,
			   "rejected, the old configuration stays in force: %s", d->config_error);
	}
	daemon_watch_sync(d);
	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		logfile_reopen(&plugin->output.file);
	guardian_notify(d->guardian, "READY=1");
}

struct spec *
daemon_reread_plugin(void *user, const struct spec *spec, const char *version, struct diags *diags)
{
	struct daemon *d = user;

	return config_reread(d->options, spec, version, d->host.state_fd, diags);
}

struct spec *
daemon_respec(void *user, const struct spec *spec, char *const *set, size_t count,
	      struct diags *diags)
{
	struct spec_layers layers = spec_layers_of(spec);

	(void)user;
	layers.set = (const char *const *)set;
	layers.set_count = count;
	layers.program = NULL;
	return spec_with(spec, &layers, diags);
}

const struct field_entries *
daemon_models(void *user)
{
	struct daemon *d = user;

	return &d->settings->models;
}

void
daemon_upgrade(void *user, struct client *client, uint64_t id, const char *binary)
{
	struct daemon *d = user;

	upgrade_request(&d->upgrade, client, id, binary);
}

void
daemon_describe(void *user, Plug__DaemonStatus *status)
{
	struct daemon *d = user;
	uint64_t dropped = log_dropped();

	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node)
		dropped += plugin->output.file.dropped;
	status->version = (char *)upgrade_identity.version;
	status->upgrades = d->upgrade.count;
	if (d->upgrade.since_ms)
		status->upgraded_ms_ago = clock_mono_ms() - d->upgrade.since_ms;
	status->guardian_pid = d->guardian->pid;
	status->uptime_ms = clock_mono_ms() - d->started_ms;
	status->runtime_dir = d->rundir.path;
	status->state_dir = d->state_dir;
	status->plugin_dirs = (char **)d->dirs.paths;
	while (status->n_plugin_dirs < d->dirs.count &&
	       d->dirs.origin[status->n_plugin_dirs] != DIR_LOADED)
		status->n_plugin_dirs++;
	status->store_dir = d->dirs.store;
	status->store_keys = d->dirs.keys;
	status->store_signed = d->settings->store.require_signature;
	status->config_file = (char *)(d->options->config_file ? d->options->config_file : "");
	status->containment = d->containment;
	status->dropped_log_lines = dropped;
	status->config_error = d->config_error;
	status->watch = d->watch.text;
	status->watched_dirs = d->watch.watch ? (uint32_t)watch_count(d->watch.watch) : 0;
}
