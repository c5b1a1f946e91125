/* What instances say about channels, and their end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "os/memfd.h"
#include "serve/channels_private.h"
#include "wire.h"

/* ---- the grant ---- */

static void
fill_method(Plug__Method *method, const struct instance_method *from, uint64_t default_ms)
{
	plug__method__init(method);
	method->name = from->name;
	method->stream = from->stream;
	method->idempotent = from->idempotent;
	method->timeout_ms = from->timeout_ms ? from->timeout_ms : default_ms;
}

static void
fill_limits(Plug__Limits *limits, const struct host_limits *bounds)
{
	plug__limits__init(limits);
	limits->message_bytes = PLUG_MESSAGE_BYTES;
	limits->call_bytes = bounds->call_bytes;
	limits->window_bytes = PLUG_WINDOW_BYTES;
	limits->calls = bounds->calls_per_instance;
}

static plug_err
send_grant(const struct channel *channel, const int *fds, size_t fd_count)
{
	const struct instance *in = channel->instance;
	const struct channels *channels = channel->channels;
	AUTO_FREE Plug__Method *methods = calloc(in->method_count + 1, sizeof(*methods));
	AUTO_FREE Plug__Method **pointers = calloc(in->method_count + 1, sizeof(Plug__Method *));
	Plug__ChannelGrant grant = PLUG__CHANNEL_GRANT__INIT;
	char label[SLOT_LABEL_BYTES];
	Plug__Limits limits;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	if (!methods || !pointers)
		return PLUG_ENOMEM;
	for (size_t i = 0; i < in->method_count; i++) {
		fill_method(&methods[i], &in->methods[i], channels->limits.call_timeout_ms);
		if (in->spec->debug)
			methods[i].timeout_ms = SPEC_DEBUG_MS;
		pointers[i] = &methods[i];
	}
	fill_limits(&limits, &channels->host->limits);
	grant.channel = channel->number;
	slot_label(in->slot, label);
	grant.instance = label;
	grant.generation = in->generation;
	grant.region_bytes = channel->region_bytes;
	grant.limits = &limits;
	grant.holds = true;
	grant.methods = pointers;
	grant.n_methods = in->method_count;
	env.id = channel->ticket.id;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_GRANT;
	env.channel_grant = &grant;
	return client_send_fds(channel->client, &env, fds, fd_count);
}

/* What is refused here is closed in the plugin, too: the other end of its wake socket goes. */
static void
refuse(struct channel *channel, plug_err code, const char *text)
{
	struct plugin *plugin = channel->instance->plugin;
	struct client *client = channel->client;
	uint64_t id = channel->ticket.id;

	channel_abandon(channel);
	if (code == PLUG_EUNAVAILABLE)
		channels_refuse_for_now(channel->channels, plugin, client, id,
					"%s: %s; calls go through plugd", plugin_name(plugin),
					text);
	else
		channels_refuse(client, id, code, "%s: %s; calls go through plugd",
				plugin_name(plugin), text);
}

static void
grant(struct channel *channel, int region_fd)
{
	struct instance *in = channel->instance;
	int page_fd = -1;
	plug_err err = broker_status_page(&in->broker, &page_fd);

	if (!err) {
		const int fds[] = {region_fd, channel->wake_fd, page_fd};

		err = send_grant(channel, fds, ARRAY_SIZE(fds));
	}
	if (err && err != PLUG_EGONE && err != PLUG_EOVERLOADED)
		refuse(channel, err, err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
	else
		in->plugin->channels_opened += !err;
	channel_abandon(channel); /* it owes the client nothing any more, and keeps nothing */
}

/* ---- what an instance says ---- */

static void
broke_rules(struct instance *in, uint64_t number, const char *what)
{
	char text[192];

	snprintf(text, sizeof(text), "on the broker socket, channel %llu %s",
		 (unsigned long long)number, what);
	instance_violation(in, PLUG_EPROTO, text);
}

static void
on_answer(struct channel *channel, const Plug__ChannelAnswer *answer, int fd)
{
	struct instance *in = channel->instance;
	bool waits = channel->state == CHANNEL_OFFERED;
	const char *fault = NULL;

	if (channel->state == CHANNEL_OPEN) {
		broke_rules(in, channel->number, "is answered twice");
		return;
	}
	if (answer->outcome == PLUG_OK)
		fault = fd < 0 ? "is not there" : memfd_fault(fd, channel->region_bytes);
	if (fault) {
		char text[160];

		snprintf(text, sizeof(text), "is answered, but the region %s", fault);
		broke_rules(in, channel->number, text);
		return;
	}
	in->channels_overdue -= channel->overdue;
	channel->overdue = false;
	if (answer->outcome != PLUG_OK) {
		if (waits)
			refuse(channel, (plug_err)answer->outcome, plug_str(answer->message));
		channel_free(channel);
		return;
	}
	if (waits && instance_takes_calls(in))
		grant(channel, fd);
	else if (waits)
		refuse(channel, PLUG_EUNAVAILABLE, "its process is about to end");
	channel->state = CHANNEL_OPEN;
}

static void
count_violation(struct channel *channel, const char *reason)
{
	struct instance *in = channel->instance;

	in->plugin->channel_violations++;
	if (channel->client)
		channel->client->channel_violations++;
	events_add(&channel->channels->host->events, plugin_name(in->plugin), "violated",
		   in->generation, in->pid,
		   "channel %llu of client %llu (%s, pid %d, uid %u) broke the rules: %s; it is "
		   "closed, its calls go through plugd",
		   (unsigned long long)channel->number, (unsigned long long)channel->client_number,
		   channel->name, (int)channel->pid, (unsigned)channel->uid, reason);
}

static void
on_closed(struct channel *channel, const Plug__ChannelClosed *closed)
{
	if (channel->state != CHANNEL_OPEN) {
		broke_rules(channel->instance, channel->number, "is closed before it was answered");
		return;
	}
	if (closed->violated)
		count_violation(channel, plug_str(closed->reason));
	channel_free(channel);
}

void
channels_on_message(struct channels *channels, struct instance *in, const Plug__Envelope *env,
		    int fd)
{
	bool answer = env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_ANSWER;
	uint64_t number = answer ? env->channel_answer->channel : env->channel_closed->channel;
	struct channel *channel = number ? idmap_get(&channels->by_number, number) : NULL;

	if (!channel || channel->instance != in)
		broke_rules(in, number, "is none of this process");
	else if (answer)
		on_answer(channel, env->channel_answer, fd);
	else
		on_closed(channel, env->channel_closed);
}

void
channels_on_gone(struct instance *in)
{
	while (!list_empty(&in->channels)) {
		struct channel *channel = LIST_FIRST(&in->channels, struct channel, of_instance);

		if (channel->state == CHANNEL_OFFERED)
			refuse(channel, PLUG_EUNAVAILABLE,
			       "its process ended before it answered the offer of a channel");
		channel_free(channel);
	}
}
