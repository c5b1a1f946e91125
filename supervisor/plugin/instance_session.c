/* The handshake and what an instance says afterwards, the calls' replies excepted. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "core/contract.h"
#include "core/suggest.h"
#include "plugin/host.h"
#include "plugin/instance_private.h"
#include "plugin/plugin.h"

#define METHODS_MAX 256

struct why {
	char text[512];
};

static bool refused(struct why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool
refused(struct why *why, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why->text, sizeof(why->text), format, ap);
	va_end(ap);
	return false;
}

/* ---- HELLO against the manifest ---- */

static bool
same(const char *what, const char *said, const char *declared, const char *path, struct why *why)
{
	if (!strcmp(plug_str(said), declared))
		return true;
	return refused(
		why,
		"the plugin says %s is \"%s\", its manifest %s, as it was read last, says \"%s\": "
		"make them agree, then reload it",
		what, plug_str(said), path, declared);
}

static const Plug__Method *
offered(const Plug__Hello *hello, const char *name)
{
	for (size_t i = 0; i < hello->n_methods; i++)
		if (!strcmp(plug_str(hello->methods[i]->name), name))
			return hello->methods[i];
	return NULL;
}

static bool
methods_sound(const Plug__Hello *hello, struct why *why)
{
	if (hello->n_methods > METHODS_MAX)
		return refused(why, "HELLO names %zu methods, at most %d are allowed",
			       hello->n_methods, METHODS_MAX);
	for (size_t i = 0; i < hello->n_methods; i++) {
		const char *name = plug_str(hello->methods[i]->name);

		if (!plug_name_valid(name))
			return refused(why,
				       "HELLO names a method \"%.70s\": expected [a-z0-9_-], at "
				       "most %d bytes",
				       name, PLUG_NAME_BYTES);
		if (offered(hello, name) != hello->methods[i])
			return refused(why, "HELLO names the method \"%s\" twice", name);
	}
	return true;
}

/* "echo, sleep, … (24 in all)", for messages. */
static const char *
offer_text(const Plug__Hello *hello, char text[160])
{
	size_t used = 0, i;

	snprintf(text, 160, "no method");
	for (i = 0; i < hello->n_methods && used < 100; i++)
		used += (size_t)snprintf(text + used, 160 - used, "%s%.63s", i ? ", " : "",
					 hello->methods[i]->name);
	if (i < hello->n_methods)
		snprintf(text + used, 160 - used, ", … (%zu in all)", hello->n_methods);
	return text;
}

/* What was probably meant to be `name`. */
static const char *
offer_near(const Plug__Hello *hello, const char *name)
{
	struct suggest suggest;

	suggest_start(&suggest, name);
	for (size_t i = 0; i < hello->n_methods; i++)
		suggest_offer(&suggest, hello->methods[i]->name);
	return suggest.best;
}

static bool
method_missing(const Plug__Hello *hello, const char *name, const struct spec *spec, struct why *why)
{
	const char *near = offer_near(hello, name);
	char text[160];

	return refused(why,
		       "the manifest %s declares the method \"%s\", the plugin does not offer it; "
		       "it offers %s%s%s%s: make them agree, then reload it",
		       spec->path, name, offer_text(hello, text), near ? "; did you mean \"" : "",
		       near ? near : "", near ? "\"?" : "");
}

static bool
methods_complete(const Plug__Hello *hello, const struct spec *spec, struct why *why)
{
	for (size_t i = 0; i < spec->method_count; i++) {
		const struct spec_method *declared = &spec->methods[i];
		const Plug__Method *said = offered(hello, declared->name);

		if (!said)
			return method_missing(hello, declared->name, spec, why);
		if (declared->stream && !said->stream)
			return refused(why,
				       "the manifest %s declares the method \"%s\" as stream, the "
				       "plugin does not",
				       spec->path, declared->name);
	}
	return true;
}

static bool
probe_offered(const Plug__Hello *hello, const struct spec *spec, struct why *why)
{
	if (!spec->probe_method || offered(hello, spec->probe_method))
		return true;
	return refused(why, "the manifest %s wants the probe \"%s\", the plugin does not offer it",
		       spec->path, spec->probe_method);
}

static bool
commands_offered(const Plug__Hello *hello, const struct spec *spec, struct why *why)
{
	const struct command *commands = spec->manifest->commands.items;

	for (size_t i = 0; i < spec->manifest->commands.count; i++) {
		const char *method = command_method(&commands[i]);
		char text[160];

		if (!offered(hello, method))
			return refused(
				why,
				"the manifest %s declares the command \"%s\" with the method "
				"\"%s\", the plugin does not offer it; it offers %s: make them "
				"agree, then reload it",
				spec->path, commands[i].name, method, offer_text(hello, text));
	}
	return true;
}

/* ---- HELLO against the type's contract ---- */

static bool
is_offered(const void *of, const char *method)
{
	return offered(of, method) != NULL;
}

static bool
is_declared(const void *of, const char *method)
{
	return spec_method(of, method) != NULL;
}

static bool
contract_kept(const Plug__Hello *hello, const struct spec *spec, struct why *why)
{
	const struct contract_methods said = {is_offered, hello}, declared = {is_declared, spec};
	const struct contract_need *need = contract_unmet(spec->manifest->type, &said, &declared);
	char wanted[CONTRACT_TEXT_BYTES], text[160];

	if (!need)
		return true;
	contract_need_text(need, wanted);
	return refused(
		why,
		"a plugin of the type %s must offer the method %s, which %s; this one offers "
		"%s: add the method, or correct the type in %s",
		spec->type, wanted, need->help, offer_text(hello, text), spec->path);
}

static bool
hello_agrees(const Plug__Hello *hello, const struct spec *spec, struct why *why)
{
	return same("its name", hello->name, spec->name, spec->path, why) &&
	       same("its version", hello->version, spec->version, spec->path, why) &&
	       same("its contract", hello->contract, spec->type, spec->path, why) &&
	       methods_sound(hello, why) && methods_complete(hello, spec, why) &&
	       probe_offered(hello, spec, why) && commands_offered(hello, spec, why) &&
	       contract_kept(hello, spec, why);
}

/* What holds for calls: the manifest where it declares the method, else what the plugin says. */
static bool
take_method(struct instance_method *method, const Plug__Method *said, const struct spec *spec)
{
	const struct spec_method *declared = spec_method(spec, said->name);

	method->name = strdup(said->name);
	method->description =
		strdup(declared && *declared->description ? declared->description
							  : plug_str(said->description));
	if (method->description)
		utf8_clean(method->description, strlen(method->description));
	method->stream = said->stream;
	method->idempotent = said->idempotent || (declared && declared->idempotent);
	method->timeout_ms =
		declared && declared->timeout_ms ? declared->timeout_ms : said->timeout_ms;
	return method->name && method->description;
}

static bool
take_methods(struct instance *in, const Plug__Hello *hello)
{
	in->methods = calloc(hello->n_methods + 1, sizeof(*in->methods));
	if (!in->methods)
		return false;
	for (size_t i = 0; i < hello->n_methods; i++) {
		in->method_count = i + 1;
		if (!take_method(&in->methods[i], hello->methods[i], in->spec))
			return false;
	}
	return true;
}

/* ---- WELCOME ---- */

static void
fill_entry(Plug__ConfigEntry *entry, const struct spec_config *config)
{
	plug__config_entry__init(entry);
	entry->key = (char *)config->key;
	entry->type = (char *)config->type;
	entry->value = (char *)config->value;
	entry->secret = config->secret;
	entry->items = (char **)config->items;
	entry->n_items = config->item_count;
}

/* Every key that has a value. */
static bool
fill_entries(const struct spec *spec, Plug__ConfigEntry **ret_entries,
	     Plug__ConfigEntry ***ret_list, size_t *ret_count)
{
	Plug__ConfigEntry *entries = calloc(spec->config_count + 1, sizeof(*entries));
	Plug__ConfigEntry **list = calloc(spec->config_count + 1, sizeof(Plug__ConfigEntry *));

	*ret_entries = entries;
	*ret_list = list;
	for (size_t i = 0; entries && list && i < spec->config_count; i++) {
		if (!spec->config[i].value)
			continue; /* not required, no default, not set */
		fill_entry(&entries[i], &spec->config[i]);
		list[(*ret_count)++] = &entries[i];
	}
	return entries && list;
}

static plug_err
welcome(struct instance *in)
{
	const struct host_limits *bounds = &in->plugin->host->limits;
	char label[SLOT_LABEL_BYTES];
	Plug__Welcome body = PLUG__WELCOME__INIT;
	Plug__Limits limits = PLUG__LIMITS__INIT;
	AUTO_FREE Plug__ConfigEntry *entries = NULL;
	AUTO_FREE Plug__ConfigEntry **list = NULL;

	if (!fill_entries(in->spec, &entries, &list, &body.n_config))
		return PLUG_ENOMEM;
	body.config = list;
	slot_label(in->slot, label);
	body.instance = label;
	limits.message_bytes = PLUG_MESSAGE_BYTES;
	limits.call_bytes = bounds->call_bytes;
	limits.window_bytes = PLUG_WINDOW_BYTES;
	limits.calls = bounds->calls_per_instance;
	body.limits = &limits;
	body.log_level = plugin_log_level(in->plugin);
	return session_welcome(in->session, &body);
}

static const char *
why_not_welcome(plug_err err)
{
	switch (err) {
	case PLUG_ETOOLARGE:
		return "its effective config does not fit into one message of 64 KiB";
	case PLUG_ENOMEM:
		return "plugd is out of memory";
	default:
		return plug_err_text(err);
	}
}

static void
refuse(struct instance *in, plug_err code, const char *why)
{
	session_refuse(in->session, code, why);
	events_add(&in->plugin->host->events, plugin_name(in->plugin), "refused", in->generation,
		   in->pid, "%s", why);
	in->declared = true;
	instance_end(in, PE_FAILED, "refused: %s", why);
}

void
instance_on_hello(struct instance *in, const Plug__Hello *hello)
{
	struct why why = {""};
	plug_err err;

	if (in->state != PS_STARTING)
		return; /* it is being stopped: no answer is needed any more */
	if (in->hello_seen) {
		welcome(in); /* the first one was lost with its connection */
		return;
	}
	in->hello_seen = true;
	close_fd(&in->error_fd); /* it was executed */
	snprintf(in->sdk, sizeof(in->sdk), "%s", plug_str(hello->sdk));
	utf8_clean(in->sdk, strlen(in->sdk));
	in->channels_offered = hello->channels;
	in->takes_log_level = hello->log_level;
	in->takes_config = hello->config;
	if (!hello_agrees(hello, in->spec, &why)) {
		refuse(in, PLUG_EINVAL, why.text);
	} else if (!take_methods(in, hello)) {
		refuse(in, PLUG_ENOMEM, "plugd is out of memory");
	} else if ((err = welcome(in))) {
		refuse(in, err, why_not_welcome(err));
	}
	in->last_tick_ms = clock_mono_ms();
}

/* ---- afterwards ---- */

void
instance_tell_log_level(struct instance *in)
{
	Plug__LogLevel level = PLUG__LOG_LEVEL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	if (!in->takes_log_level || !session_welcomed(in->session) || in->exited)
		return;
	level.level = plugin_log_level(in->plugin);
	env.body_case = PLUG__ENVELOPE__BODY_LOG_LEVEL;
	env.log_level = &level;
	session_send(in->session, &env);
}

plug_err
instance_tell_config(struct instance *in, const struct spec *spec, uint64_t number, bool back)
{
	Plug__Config config = PLUG__CONFIG__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	AUTO_FREE Plug__ConfigEntry *entries = NULL;
	AUTO_FREE Plug__ConfigEntry **list = NULL;
	AUTO_FREE char **changed = calloc(spec->config_count + 1, sizeof(char *));

	if (!changed || !fill_entries(spec, &entries, &list, &config.n_config))
		return PLUG_ENOMEM;
	config.changed = changed;
	for (size_t i = 0; i < spec->config_count; i++)
		if (spec_key_changed(in->spec, &spec->config[i]))
			changed[config.n_changed++] = (char *)spec->config[i].key;
	config.config = list;
	config.number = number;
	config.back = back;
	env.body_case = PLUG__ENVELOPE__BODY_CONFIG;
	env.config = &config;
	return session_send(in->session, &env);
}

static void
on_ready(struct instance *in)
{
	if (in->state != PS_STARTING)
		return; /* stopped while it was starting */
	in->last_tick_ms = clock_mono_ms();
	instance_handle(in, instance_wants_test(in) ? PE_TEST : PE_READY);
}

static void
on_failed(struct instance *in, const Plug__Failed *failed)
{
	const char *message = plug_str(failed->message);

	if (in->state == PS_STARTING)
		in->declared = true;
	events_add(&in->plugin->host->events, plugin_name(in->plugin), "failed", in->generation,
		   in->pid, "the plugin says: %s", message);
	instance_end(in, PE_FAILED, "%s",
		     *message ? message : plug_err_text((plug_err)failed->code));
}

static void
on_log(struct instance *in, const Plug__Log *log)
{
	char text[LOGRING_LINE_BYTES];
	size_t used;

	if (log->level < plugin_log_level(in->plugin))
		return; /* it does not know, or sent it before it knew */
	used = (size_t)snprintf(text, sizeof(text), "%s", plug_str(log->message));
	for (size_t i = 0; i < log->n_fields && used < sizeof(text) - 1; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %s=%s",
					 plug_str(log->fields[i]->key),
					 plug_str(log->fields[i]->value));
	if (log->call && used < sizeof(text) - 1)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " call=%llu",
					 (unsigned long long)log->call);
	output_line(&in->plugin->output, OUTPUT_LOG, log->level, in->generation, in->pid, text,
		    used < sizeof(text) ? used : sizeof(text) - 1, false);
}

void
instance_on_message(struct instance *in, const Plug__Envelope *env)
{
	struct host *host = in->plugin->host;

	if (in->violated)
		return; /* what was on its way already */
	instance_sign_of_life(in);
	switch (env->body_case) {
	case PLUG__ENVELOPE__BODY_READY:
		on_ready(in);
		return;
	case PLUG__ENVELOPE__BODY_FAILED:
		on_failed(in, env->failed);
		return;
	case PLUG__ENVELOPE__BODY_LOG:
		on_log(in, env->log);
		return;
	case PLUG__ENVELOPE__BODY_PONG:
		instance_ponged(in);
		return;
	case PLUG__ENVELOPE__BODY_CONFIG_RESULT:
		host->ops->on_config_result(host->ops_user, in, env->config_result);
		return;
	case PLUG__ENVELOPE__BODY_REPLY:
	case PLUG__ENVELOPE__BODY_CHUNK:
		host->ops->on_reply(host->ops_user, in, env);
		return;
	default:
		instance_violation(in, PLUG_EPROTO, "a message that a plugin does not send");
	}
}
