/*
 * plug_main(): the thread that called it shakes hands, runs on_start, then waits for what the other
 * threads tell it, and takes everything down in the reverse order.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "codec.h"
#include "dying.h"
#include "state.h"
#include "wire.h"

#define STATUS_OK     0
#define STATUS_FAILED 1
#define STATUS_USAGE  2

#define HANDSHAKE_NS  (30 * NS_PER_S) /* plugd ends a slow start itself; this is for its absence */
#define LAST_NS       (2 * NS_PER_S)  /* for handlers and on_stop once plugd is gone */
#define FLUSH_MS      1000
#define CHANGES_MAX   16 /* of the configuration, that wait */

/* Threads of the author's may still log after plug_main() returned, so it is never freed. */
static struct plug_plugin the_plugin = {.tick = {.wake_fd = -1, .alarm_fd = -1}};

const char *
plug_version(void)
{
	return PLUG_VERSION;
}

const char *
plug_instance_name(const struct plug_plugin *plugin)
{
	return plugin->instance ? plugin->instance : plugin->config.name;
}

uint32_t
plug_generation(const struct plug_plugin *plugin)
{
	return plugin->generation;
}

/* ---- what other threads tell ---- */

void
plugp_drain(struct plug_plugin *plugin)
{
	struct mailbox *box = &plugin->mailbox;

	plugp_plane_drain(plugin);
	pthread_mutex_lock(&box->lock);
	box->drain = true;
	pthread_cond_broadcast(&box->news);
	pthread_mutex_unlock(&box->lock);
}

bool
plugp_take_change(struct plug_plugin *plugin, struct change *change)
{
	struct mailbox *box = &plugin->mailbox;
	struct change **last;
	bool room;

	pthread_mutex_lock(&box->lock);
	room = box->change_count < CHANGES_MAX;
	for (last = &box->changes; *last;)
		last = &(*last)->next;
	if (room) {
		*last = change;
		box->change_count++;
		pthread_cond_broadcast(&box->news);
	}
	pthread_mutex_unlock(&box->lock);
	if (!room)
		plugp_change_free(change);
	return room;
}

/* plugd's patience ends: what cannot end by itself ends now. */
static void
heed_last_notice(struct plug_plugin *plugin)
{
	int phase = atomic_load(&plugin->phase);

	if (phase == PHASE_STARTING || (phase == PHASE_DRAINING && plugp_work_running(plugin))) {
		plugp_complain(plugin,
			       "told to stop a second time while %s; exiting without on_stop",
			       phase == PHASE_STARTING ? "on_start runs" : "handlers run");
		_exit(STATUS_FAILED);
	}
}

void
plugp_stop(struct plug_plugin *plugin, enum stop_kind kind)
{
	struct mailbox *box = &plugin->mailbox;
	bool first, last;

	pthread_mutex_lock(&box->lock);
	first = box->stop == STOP_NONE;
	if (first) {
		box->stop = kind;
		atomic_store(&plugin->stopping, (int)kind);
	}
	box->last_notice |= !first && kind == STOP_SIGNAL;
	last = box->last_notice;
	if ((kind == STOP_GONE || kind == STOP_FAULT) && !atomic_load(&plugin->tick.exit_ns))
		atomic_store(&plugin->tick.exit_ns, clock_ns() + LAST_NS);
	pthread_cond_broadcast(&box->news);
	pthread_mutex_unlock(&box->lock);
	if (first) {
		plugp_plane_drain(plugin);
		plugp_work_cancel_all(plugin);
		plugp_tick_wake(&plugin->tick);
	}
	if (last)
		heed_last_notice(plugin);
}

void
plugp_fault(struct plug_plugin *plugin, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (atomic_load(&plugin->stopping))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	plugp_complain(plugin, "%s; the session cannot go on, exiting", text);
	plugp_stop(plugin, STOP_FAULT);
}

static enum stop_kind
stop_reason(struct plug_plugin *plugin)
{
	enum stop_kind kind;

	pthread_mutex_lock(&plugin->mailbox.lock);
	kind = plugin->mailbox.stop;
	pthread_mutex_unlock(&plugin->mailbox.lock);
	return kind;
}

static bool
last_notice(struct plug_plugin *plugin)
{
	bool last;

	pthread_mutex_lock(&plugin->mailbox.lock);
	last = plugin->mailbox.last_notice;
	pthread_mutex_unlock(&plugin->mailbox.lock);
	return last;
}

/* ---- failing ---- */

static void
send_failed(struct plug_plugin *plugin, plug_err code, const char *message)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Failed failed = PLUG__FAILED__INIT;

	failed.code = (uint32_t)code;
	failed.message = (char *)message;
	env.body_case = PLUG__ENVELOPE__BODY_FAILED;
	env.failed = &failed;
	plugp_outbox_push(&plugin->outbox, &env);
}

plug_err
plug_start_failed(struct plug_plugin *plugin, plug_err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(plugin->start_error, sizeof(plugin->start_error), format, args);
	va_end(args);
	return err;
}

void
plug_unhealthy(struct plug_plugin *plugin, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_failed(plugin, PLUG_EPLUGIN, text);
}

/* ---- what the author gave ---- */

static bool
wrong(const char *name, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "%s: plug_main: %s\n", name, text);
	return false;
}

/* Counts them too. */
static bool
check_methods(struct plug_plugin *plugin, size_t *ret_count)
{
	const struct plug_method *methods = plugin->config.methods;
	const char *name = plugin->config.name;

	if (!methods)
		return wrong(name,
			     "methods is NULL, expected a table that ends with an empty entry");
	for (size_t i = 0; methods[i].name; i++) {
		if (!plug_name_valid(methods[i].name))
			return wrong(name,
				     "method %zu is named \"%s\", expected [a-z0-9_-], at "
				     "most %d bytes",
				     i, methods[i].name, PLUG_NAME_BYTES);
		if (!methods[i].handler)
			return wrong(name, "method \"%s\" has no handler", methods[i].name);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(methods[i].name, methods[j].name) == 0)
				return wrong(name, "method \"%s\" is there twice", methods[i].name);
		}
		*ret_count = i + 1;
	}
	return true;
}

static bool
check_config(struct plug_plugin *plugin, const struct plug_plugin_config *given)
{
	struct plug_plugin_config *config = &plugin->config;
	size_t count = 0;

	if (given->size < offsetof(struct plug_plugin_config, on_start) || given->size > 4096)
		return wrong("plug",
			     "config.size is %zu, expected sizeof(struct plug_plugin_config)",
			     given->size);
	memcpy(config, given, given->size < sizeof(*config) ? given->size : sizeof(*config));
	if (!config->name || !plug_name_valid(config->name))
		return wrong("plug", "name is \"%s\", expected [a-z0-9_-], at most %d bytes",
			     config->name ? config->name : "(NULL)", PLUG_NAME_BYTES);
	if (!config->version || !config->contract)
		return wrong(config->name, "%s is NULL", config->version ? "contract" : "version");
	if (config->workers > WORK_LIMIT)
		return wrong(config->name, "workers is %u, expected at most %d", config->workers,
			     WORK_LIMIT);
	if (!check_methods(plugin, &count))
		return false;
	return plugp_methods_init(&plugin->methods, config->methods, count) == PLUG_OK ||
	       wrong(config->name, "no memory");
}

static void
explain(const struct plug_plugin *plugin)
{
	const struct plug_plugin_config *config = &plugin->config;

	fprintf(stderr,
		"%s %s is a plugin (%s) for plugd and does nothing by itself.\n"
		"Run it with:  plugd --plugin-dir DIR   (DIR holds its folder with plugin.yaml)\n"
		"Call it with: plugctl call %s METHOD\nMethods:\n",
		config->name, config->version, config->contract, config->name);
	for (size_t i = 0; i < plugin->methods.count; i++)
		fprintf(stderr, "  %-16s %s\n", config->methods[i].name,
			config->methods[i].description ? config->methods[i].description : "");
}

/* ---- the process's life ---- */

static bool
read_environment(struct plug_plugin *plugin)
{
	const char *token = getenv(PLUG_ENV_TOKEN), *generation = getenv(PLUG_ENV_GENERATION);
	unsigned long long number;
	char *end;

	if (!token || plug_hex_decode(token, plugin->session.token, PLUG_TOKEN_BYTES) < 0)
		return wrong(plugin->config.name, PLUG_ENV_TOKEN " is not %d hex digits",
			     2 * PLUG_TOKEN_BYTES);
	errno = 0;
	number = generation ? strtoull(generation, &end, 10) : 0;
	if (!generation || end == generation || *end || errno || number > UINT32_MAX)
		return wrong(plugin->config.name,
			     PLUG_ENV_GENERATION " is \"%s\", expected a number",
			     generation ? generation : "");
	plugin->generation = (uint32_t)number;
	return true;
}

static bool
open_parts(struct plug_plugin *plugin)
{
	plug_err err = PLUG_ENOMEM;

	pthread_mutex_init(&plugin->mailbox.lock, NULL);
	clock_cond_init(&plugin->mailbox.news);
	plugp_settings_init(&plugin->settings);
	plugin->parent = getppid();
	plugp_page_init(&plugin->page);
	plugp_broker_init(&plugin->broker);
	plugp_dying_init(plugin->broker.fd);
	if (plugp_tick_init(&plugin->tick) == PLUG_OK && plugp_work_init(plugin) == PLUG_OK &&
	    plugp_plane_init(plugin) == PLUG_OK)
		err = plugp_session_open(plugin, getenv(PLUG_ENV_ADDRESS));
	if (err == PLUG_ENOMEM)
		return wrong(plugin->config.name, "no memory or descriptor left");
	return err == PLUG_OK;
}

/* This thread receives until WELCOME: nothing else is running yet. */
static bool
shake_hands(struct plug_plugin *plugin)
{
	uint64_t until = clock_ns() + HANDSHAKE_NS;

	while (atomic_load(&plugin->session.handshake) == HANDSHAKE_WAITS) {
		plugp_session_receive(plugin);
		if (stop_reason(plugin) != STOP_NONE)
			return false;
		if (getppid() != plugin->parent || clock_ns() > until) {
			plugp_complain(plugin, "no WELCOME from plugd at %s; exiting",
				       getenv(PLUG_ENV_ADDRESS));
			return false;
		}
	}
	return true;
}

static plug_err
send_ready(struct plug_plugin *plugin)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Ready ready = PLUG__READY__INIT;

	plugp_work_open(plugin);
	env.body_case = PLUG__ENVELOPE__BODY_READY;
	env.ready = &ready;
	return plugp_outbox_push(&plugin->outbox, &env);
}

static plug_err
run_on_start(struct plug_plugin *plugin)
{
	plug_err err;

	if (!plugin->config.on_start)
		return PLUG_OK;
	atomic_store(&plugin->phase, PHASE_STARTING);
	err = plugin->config.on_start(plugin, plugin->config.user);
	atomic_store(&plugin->phase, PHASE_READY);
	if (err != PLUG_OK)
		send_failed(plugin, err,
			    plugin->start_error[0] ? plugin->start_error : plug_err_text(err));
	return err;
}

/* READY goes out before the threads are made when nothing has to be loaded: it is what plugd waits
 * for. */
static bool
start(struct plug_plugin *plugin)
{
	bool loads = plugin->config.on_start != NULL;

	plugp_page_tick(&plugin->page); /* who is ready has a page that says something */
	if (!loads && send_ready(plugin) != PLUG_OK)
		return false;
	if (plugp_work_start(plugin) != PLUG_OK || plugp_tick_start(plugin) != PLUG_OK) {
		send_failed(plugin, PLUG_ESYS, "cannot start a thread");
		return false;
	}
	plugp_work_prepare(plugin);
	if (!loads)
		return true;
	return run_on_start(plugin) == PLUG_OK &&
	       (atomic_load(&plugin->stopping) || send_ready(plugin) == PLUG_OK);
}

/* With the mailbox locked, which it is not meanwhile. */
static void
take_next_change(struct plug_plugin *plugin)
{
	struct mailbox *box = &plugin->mailbox;
	struct change *change = box->changes;

	box->changes = change->next;
	box->change_count--;
	pthread_mutex_unlock(&box->lock);
	plugp_change_decide(plugin, change);
	pthread_mutex_lock(&box->lock);
}

/* Until there is a reason to stop. */
static void
live(struct plug_plugin *plugin)
{
	struct mailbox *box = &plugin->mailbox;
	bool drained = false;

	pthread_mutex_lock(&box->lock);
	while (box->stop == STOP_NONE) {
		if (box->drain && !drained) {
			drained = true;
			pthread_mutex_unlock(&box->lock);
			if (plugin->config.on_drain)
				plugin->config.on_drain(plugin, plugin->config.user);
			pthread_mutex_lock(&box->lock);
			continue;
		}
		if (box->changes) {
			take_next_change(plugin);
			continue;
		}
		pthread_cond_wait(&box->news, &box->lock);
	}
	pthread_mutex_unlock(&box->lock);
}

static void
wind_down(struct plug_plugin *plugin, bool started)
{
	if (stop_reason(plugin) == STOP_NONE)
		plugp_stop(plugin, STOP_ASKED); /* on_start failed */
	atomic_store(&plugin->phase, PHASE_DRAINING);
	if (last_notice(plugin))
		heed_last_notice(plugin);
	plugp_work_cancel_all(plugin);
	plugp_work_drain(plugin);
	atomic_store(&plugin->phase, PHASE_STOPPING);
	if (started && plugin->config.on_stop)
		plugin->config.on_stop(plugin, plugin->config.user);
	plugp_outbox_flush(&plugin->outbox, FLUSH_MS);
	plugp_plane_linger(plugin);
}

static void
close_parts(struct plug_plugin *plugin)
{
	plugp_work_stop(plugin);
	plugp_tick_stop(plugin);
	plugp_session_fini(plugin);
	plugp_work_fini(plugin);
	plugp_plane_fini(plugin);
	plugp_dying_fini();
	plugp_broker_fini(&plugin->broker);
	plugp_methods_fini(&plugin->methods);
	while (plugin->mailbox.changes) {
		struct change *change = plugin->mailbox.changes;

		plugin->mailbox.changes = change->next;
		plugp_change_free(change);
	}
	plugp_settings_fini(&plugin->settings);
}

int
plug_main(const struct plug_plugin_config *config)
{
	struct plug_plugin *plugin = &the_plugin;
	bool started;

	if (!check_config(plugin, config))
		return STATUS_USAGE;
	if (!getenv(PLUG_ENV_ADDRESS)) {
		explain(plugin);
		return STATUS_USAGE;
	}
	if (!read_environment(plugin))
		return STATUS_USAGE;
	if (!open_parts(plugin) || !shake_hands(plugin))
		return STATUS_FAILED;
	started = start(plugin);
	if (started)
		live(plugin);
	wind_down(plugin, started);
	close_parts(plugin);
	switch (stop_reason(plugin)) {
	case STOP_ASKED:
	case STOP_SIGNAL:
		return started ? STATUS_OK : STATUS_FAILED;
	default:
		return STATUS_FAILED;
	}
}
