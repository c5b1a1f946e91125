#include "serve/permit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "plugin/host.h"
#include "plugin/plugin.h"

static struct instance *
find_in(const struct plugin *plugin, const struct client *client)
{
	if (strcmp(plugin_name(plugin), client->plugin) != 0)
		return NULL;
	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		if (in->generation == client->generation)
			return in;
	return NULL;
}

/* A plugin that was removed may not be found by its name any more, while its processes end. */
static struct instance *
instance_of(const struct registry *registry, const struct client *client)
{
	struct plugin *named = registry_find(registry, client->plugin);
	struct instance *in = named ? find_in(named, client) : NULL;

	LIST_FOREACH (plugin, &registry->plugins, struct plugin, node)
		if (!in)
			in = find_in(plugin, client);
	return in;
}

static bool refuse(struct instance *in, enum permit_kind kind, char text[PERMIT_TEXT_BYTES],
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

static bool
refuse(struct instance *in, enum permit_kind kind, char text[PERMIT_TEXT_BYTES], const char *format,
       ...)
{
	size_t used;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, PERMIT_TEXT_BYTES, format, ap);
	va_end(ap);
	if (in) {
		used = strlen(text);
		snprintf(text + used, PERMIT_TEXT_BYTES - used,
			 " to permissions in its manifest, or in plugins: { %s: { permissions: … } "
			 "} of plugd.yaml, and reload it",
			 plugin_name(in->plugin));
	}
	utf8_clean(text, strlen(text)); /* names of clients are in it */
	if (!in)
		return false;
	in->denied++;
	if (!(in->denied_kinds & (1u << kind)))
		events_add(&in->plugin->host->events, plugin_name(in->plugin), "denied",
			   in->generation, in->pid, "%s; more of this kind is only counted", text);
	in->denied_kinds |= 1u << kind;
	return false;
}

static bool
refuse_gone(const struct client *client, char text[PERMIT_TEXT_BYTES])
{
	return refuse(NULL, PERMIT_CALL, text,
		      "the process of %s that this client's token was given to has ended",
		      client->plugin);
}

/* "cache, store" */
static void
list_names(const struct field_strings *names, char *text, size_t size)
{
	size_t used = 0;

	snprintf(text, size, "none");
	for (size_t i = 0; i < names->count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
					 names->items[i]);
}

/* Of a plugd that was upgraded in place the older one did not say whose it is: it is as it was. */
static bool
is_unknown(const struct client *client)
{
	return !*client->plugin;
}

bool
permit_call(const struct registry *registry, const struct client *client, const char *plugin,
	    char text[PERMIT_TEXT_BYTES])
{
	const struct manifest_permissions *granted;
	struct instance *in;
	char names[160];

	if (client->role == ROLE_ADMIN || is_unknown(client))
		return true;
	in = instance_of(registry, client);
	if (!in)
		return refuse_gone(client, text);
	granted = &in->spec->manifest->permissions;
	if (!granted->restricts_calls || field_strings_have(&granted->call, plugin))
		return true;
	list_names(&granted->call, names, sizeof(names));
	return refuse(
		in, PERMIT_CALL, text,
		"%s may not call \"%.63s\": its permissions name those that it may call (%s); "
		"add \"call: %.63s\"",
		plugin_name(in->plugin), plugin, names, plugin);
}

/* What is not known to change nothing is for operators. */
static bool
changes_nothing(const Plug__Request *request)
{
	switch (request->body_case) {
	case PLUG__REQUEST__BODY_LIST:
	case PLUG__REQUEST__BODY_STATUS:
	case PLUG__REQUEST__BODY_LOGS:
	case PLUG__REQUEST__BODY_EVENTS:
	case PLUG__REQUEST__BODY_CRASHES:
	case PLUG__REQUEST__BODY_INFO:
	case PLUG__REQUEST__BODY_STATS:
	case PLUG__REQUEST__BODY_GRAPH:
	case PLUG__REQUEST__BODY_COMMANDS:
	case PLUG__REQUEST__BODY_MODELS:
		return true;
	case PLUG__REQUEST__BODY_POISON:
		return !request->poison->clear;
	case PLUG__REQUEST__BODY_DIRS:
		return request->dirs->action == PLUG__DIRS_ACTION__DIRS_LIST;
	case PLUG__REQUEST__BODY_CONFIG:
		return request->config->verb == PLUG__CONFIG_VERB__CONFIG_GET ||
		       request->config->verb == PLUG__CONFIG_VERB__CONFIG_HISTORY ||
		       request->config->verb == PLUG__CONFIG_VERB__CONFIG_DIFF;
	default:
		return false;
	}
}

static const char *
request_name(const Plug__Request *request)
{
	const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(
		&plug__request__descriptor, request->body_case);

	return field ? field->name : "something that this plugd does not know";
}

bool
permit_request(const struct registry *registry, const struct client *client,
	       const Plug__Request *request, char text[PERMIT_TEXT_BYTES])
{
	const struct manifest_permissions *granted;
	bool observes = changes_nothing(request);
	struct instance *in;

	if (client->role == ROLE_ADMIN)
		return true;
	in = is_unknown(client) ? NULL : instance_of(registry, client);
	if (!in && is_unknown(client))
		return refuse(NULL, PERMIT_ADMIN, text, "instances may call, not administer");
	if (!in)
		return refuse_gone(client, text);
	granted = &in->spec->manifest->permissions;
	if (granted->admin || (observes && granted->observe))
		return true;
	return refuse(in, observes ? PERMIT_OBSERVE : PERMIT_ADMIN, text,
		      "%s may not ask plugd for \"%s\"%s; add %s", plugin_name(in->plugin),
		      request_name(request),
		      observes ? "" : ", which is an operator's, or changes something",
		      observes ? "observe, or admin," : "admin");
}
