#include "serve/channels.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/utf8.h"
#include "os/memfd.h"
#include "serve/answer.h"
#include "serve/channels_private.h"
#include "serve/permit.h"

#define ANSWER_SECONDS 2.0
#define DYING_MS       1000 /* from its socket's end to that of a process, at most */
#define PAGE_BYTES     4096u
#define VIOLATIONS_MAX 4 /* of one client, then it gets no more channels */
#define CLOSED_TEXT                                                                            \
	"%s has just closed the socket on which channels are offered, as a process that ends " \
	"does"

void
channels_init(struct channels *channels, struct host *host, struct registry *registry)
{
	*channels = (struct channels){.host = host, .registry = registry};
}

void
channels_fini(struct channels *channels)
{
	idmap_fini(&channels->by_number);
}

/* ---- refusals ---- */

static void
send_refusal(struct client *client, uint64_t id, Plug__ChannelGrant *grant)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_GRANT;
	env.channel_grant = grant;
	client_send(client, &env, NULL);
}

static void
refuse_with(struct client *client, uint64_t id, Plug__ChannelGrant *grant, const char *format,
	    va_list ap)
{
	char message[768];

	vsnprintf(message, sizeof(message), format, ap);
	utf8_clean(message, strlen(message));
	grant->message = message;
	send_refusal(client, id, grant);
}

void
channels_refuse(struct client *client, uint64_t id, plug_err code, const char *format, ...)
{
	Plug__ChannelGrant grant = PLUG__CHANNEL_GRANT__INIT;
	va_list ap;

	grant.outcome = code;
	va_start(ap, format);
	refuse_with(client, id, &grant, format, ap);
	va_end(ap);
}

/* plugd does not know which method the channel is for. */
static uint64_t
longest_deadline_ms(const struct channels *channels, const struct plugin *plugin)
{
	const struct instance *in = plugin_main_instance(plugin);
	uint64_t longest = channels->limits.call_timeout_ms;

	if (plugin->spec->debug)
		return SPEC_DEBUG_MS;
	for (size_t i = 0; in && i < in->method_count; i++)
		if (in->methods[i].timeout_ms > longest)
			longest = in->methods[i].timeout_ms;
	for (size_t i = 0; i < plugin->spec->method_count; i++)
		if (plugin->spec->methods[i].timeout_ms > longest)
			longest = plugin->spec->methods[i].timeout_ms;
	return longest;
}

void
channels_refuse_for_now(struct channels *channels, struct plugin *plugin, struct client *client,
			uint64_t id, const char *format, ...)
{
	Plug__ChannelGrant grant = PLUG__CHANNEL_GRANT__INIT;
	va_list ap;

	grant.outcome = PLUG_EUNAVAILABLE;
	grant.again = plugin_lets_calls_wait(plugin);
	if (grant.again)
		grant.timeout_ms = longest_deadline_ms(channels, plugin);
	va_start(ap, format);
	refuse_with(client, id, &grant, format, ap);
	va_end(ap);
}

/* Says which size would be granted. */
static void
refuse_size(const struct channels *channels, struct client *client, uint64_t id, uint64_t bytes)
{
	Plug__ChannelGrant grant = PLUG__CHANNEL_GRANT__INIT;
	char message[256];

	snprintf(message, sizeof(message),
		 "a region of %llu bytes is above limits.channel_bytes, %llu; make a smaller one",
		 (unsigned long long)bytes, (unsigned long long)channels->limits.region_bytes);
	grant.outcome = PLUG_ETOOLARGE;
	grant.message = message;
	grant.region_bytes = channels->limits.region_bytes;
	send_refusal(client, id, &grant);
}

/* ---- one channel ---- */

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct channel *channel = w->data;
	struct instance *in = channel->instance;
	struct client *client = channel->client;
	uint64_t id = channel->ticket.id;

	(void)loop;
	(void)revents;
	log_line(LOG_WARN, plugin_name(in->plugin), in->pid,
		 "channel %llu was not answered within %.0f s; until it is, no other is offered",
		 (unsigned long long)channel->number, ANSWER_SECONDS);
	channel_abandon(channel);
	channel->overdue = true;
	in->channels_overdue++;
	channels_refuse(client, id, PLUG_ETIMEOUT,
			"%s did not answer the offer of a channel within %.0f s; calls go through "
			"plugd",
			plugin_name(in->plugin), ANSWER_SECONDS);
}

static void
on_cancel(struct ticket *ticket)
{
	struct channel *channel = CONTAINER_OF(ticket, struct channel, ticket);
	struct client *client = ticket->client;
	uint64_t id = ticket->id;

	channel_abandon(channel);
	channels_refuse(client, id, PLUG_ECANCELLED, "the request for a channel was cancelled");
}

static void
on_client_gone(struct ticket *ticket)
{
	channel_abandon(CONTAINER_OF(ticket, struct channel, ticket));
}

const struct ticket_ops channel_ticket_ops = {
	.on_cancel = on_cancel,
	.on_client_gone = on_client_gone,
};

void
channel_abandon(struct channel *channel)
{
	ticket_close(&channel->ticket);
	ev_timer_stop(channel->channels->host->loop, &channel->deadline_w);
	close_fd(&channel->wake_fd);
	channel->state = CHANNEL_ABANDONED;
}

static void
leave_client(struct channel *channel)
{
	if (!channel->client)
		return;
	list_remove(&channel->of_client);
	channel->client->channel_count--;
	channel->client = NULL;
}

void
channel_free(struct channel *channel)
{
	channel_abandon(channel);
	leave_client(channel);
	list_remove(&channel->of_instance);
	channel->instance->channel_count--;
	channel->instance->channels_overdue -= channel->overdue;
	idmap_take(&channel->channels->by_number, channel->number);
	free(channel);
}

void
channels_on_client_gone(struct client *client)
{
	while (!list_empty(&client->channels))
		leave_client(LIST_FIRST(&client->channels, struct channel, of_client));
}

struct channel *
channel_make(struct channels *channels, struct instance *in, struct client *client, uint64_t number)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	channel->number = number;
	if (!idmap_put(&channels->by_number, channel->number, channel)) {
		free(channel);
		return NULL;
	}
	channel->channels = channels;
	channel->instance = in;
	channel->client = client;
	channel->wake_fd = -1;
	list_append(&in->channels, &channel->of_instance);
	in->channel_count++;
	list_init(&channel->of_client);
	if (client) {
		list_append(&client->channels, &channel->of_client);
		client->channel_count++;
	}
	list_init(&channel->ticket.node);
	ev_timer_init(&channel->deadline_w, on_deadline, ANSWER_SECONDS, 0.);
	channel->deadline_w.data = channel;
	return channel;
}

static struct channel *
channel_new(struct channels *channels, struct instance *in, struct client *client,
	    uint64_t region_bytes)
{
	struct channel *channel = channel_make(channels, in, client, channels->last_number + 1);

	if (!channel)
		return NULL;
	channels->last_number++;
	channel->region_bytes = region_bytes;
	channel->client_number = client->number;
	channel->pid = client->pid;
	channel->uid = client->uid;
	snprintf(channel->name, sizeof(channel->name), "%s", client->name);
	utf8_clean(channel->name, strlen(channel->name));
	return channel;
}

/* ---- checks: each answers the client when it fails ---- */

static bool
region_sound(const struct channels *channels, struct client *client, uint64_t id, uint64_t bytes)
{
	const char *fault;

	if (bytes > channels->limits.region_bytes) {
		refuse_size(channels, client, id, bytes);
		return false;
	}
	if (bytes < PLUG_REGION_BYTES_MIN || bytes % PAGE_BYTES) {
		channels_refuse(client, id, PLUG_EINVAL,
				"a region of %llu bytes: expected a multiple of %u, at least %u",
				(unsigned long long)bytes, PAGE_BYTES, PLUG_REGION_BYTES_MIN);
		return false;
	}
	if (client->given_fd < 0) {
		channels_refuse(client, id, PLUG_EINVAL,
				"no descriptor came with the request for a channel, or plugd has "
				"none free: send the region's with it");
		return false;
	}
	fault = memfd_fault(client->given_fd, bytes);
	if (fault)
		channels_refuse(client, id, PLUG_EINVAL, "the region %s", fault);
	return !fault;
}

static bool
has_more_room(const struct instance *in, const struct instance *best)
{
	bool room = in->channels_offered > in->channel_count;
	bool best_room = best->channels_offered > best->channel_count;

	if (room != best_room)
		return room;
	return in->channel_count < best->channel_count;
}

/* The process to open a channel to: of those that take calls, the one with the fewest.  NULL after
 * the client was told why there is none. */
static struct instance *
instance_for(struct channels *channels, struct plugin *plugin, struct client *client, uint64_t id)
{
	struct instance *best = NULL;
	char next[192];

	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->current && instance_takes_calls(slot->current) &&
		    (!best || has_more_room(slot->current, best)))
			best = slot->current;
	if (best)
		return best;
	plugin_next_text(plugin, next, sizeof(next));
	channels_refuse_for_now(channels, plugin, client, id, "%s is %s%s%s; next: %s",
				plugin_name(plugin), plugin_word(plugin),
				*plugin_why(plugin) ? ": " : "", plugin_why(plugin), next);
	return NULL;
}

static bool
has_data_plane(struct channels *channels, const struct instance *in, struct client *client,
	       uint64_t id)
{
	const char *name = plugin_name(in->plugin);

	if (!channels->limits.per_instance || !channels->limits.per_client)
		channels_refuse(client, id, PLUG_ESTATE,
				"channels are turned off (limits.channels_per_%s is 0): calls go "
				"through plugd",
				channels->limits.per_instance ? "client" : "instance");
	else if (!in->channels_offered)
		channels_refuse(client, id, PLUG_ESTATE,
				"%s has no data plane (its HELLO offers no channels): calls go "
				"through plugd",
				name);
	else if (!broker_connected(&in->broker) && broker_closed_for_ms(&in->broker) < DYING_MS)
		channels_refuse_for_now(channels, in->plugin, client, id, CLOSED_TEXT, name);
	else if (!broker_connected(&in->broker))
		channels_refuse(client, id, PLUG_ESTATE,
				"%s has closed the socket on which channels are offered: calls go "
				"through plugd until it is restarted",
				name);
	else
		return true;
	return false;
}

static bool
within_quotas(const struct channels *channels, const struct instance *in, struct client *client,
	      uint64_t id)
{
	unsigned most = channels->limits.per_instance;
	const char *name = plugin_name(in->plugin);

	if (in->channels_offered < most)
		most = in->channels_offered;
	if (client->channel_violations >= VIOLATIONS_MAX)
		channels_refuse(client, id, PLUG_EDENIED,
				"%u channels of this client were closed because it broke their "
				"rules: calls go through plugd",
				client->channel_violations);
	else if (client->channel_count >= channels->limits.per_client)
		channels_refuse(client, id, PLUG_EOVERLOADED,
				"this client has %u channels, as many as "
				"limits.channels_per_client allows: close one, or raise it",
				client->channel_count);
	else if (in->channel_count >= most)
		channels_refuse(client, id, PLUG_EOVERLOADED,
				"%s has %u channels, as many as %s: close one, or ask again later",
				name, in->channel_count,
				most == in->channels_offered
					? "its HELLO offers"
					: "limits.channels_per_instance allows");
	else if (in->channels_overdue)
		channels_refuse(client, id, PLUG_ETIMEOUT,
				"%s has not answered %u earlier offers of a channel: calls go "
				"through plugd until it does",
				name, in->channels_overdue);
	else
		return true;
	return false;
}

/* ---- the offer ---- */

static plug_err
send_offer(struct channel *channel, int region_fd, int wake_fd)
{
	Plug__ChannelOffer offer = PLUG__CHANNEL_OFFER__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	const int fds[] = {region_fd, wake_fd};

	offer.channel = channel->number;
	offer.region_bytes = channel->region_bytes;
	offer.pid = channel->pid;
	offer.uid = channel->uid;
	offer.name = channel->name;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_OFFER;
	env.channel_offer = &offer;
	return broker_send(&channel->instance->broker, &env, fds, ARRAY_SIZE(fds));
}

static plug_err
offer(struct channel *channel, int region_fd)
{
	AUTO_CLOSE int theirs = -1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return PLUG_ESYS;
	channel->wake_fd = ends[0];
	theirs = ends[1];
	return send_offer(channel, region_fd, theirs);
}

static void
refuse_failed_offer(struct channels *channels, struct plugin *plugin, struct client *client,
		    uint64_t id, plug_err err)
{
	const char *name = plugin_name(plugin);

	if (err == PLUG_EOVERLOADED)
		channels_refuse(client, id, err,
				"%s has not taken earlier offers of channels: ask again later",
				name);
	else if (err == PLUG_EGONE)
		channels_refuse_for_now(channels, plugin, client, id, CLOSED_TEXT, name);
	else
		channels_refuse(client, id, err, "no channel to %s can be made: %s", name,
				err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
}

static void
open_channel(struct channels *channels, struct instance *in, struct client *client, uint64_t id,
	     uint64_t region_bytes)
{
	struct channel *channel = channel_new(channels, in, client, region_bytes);
	plug_err err = PLUG_ENOMEM;

	if (channel)
		err = ticket_open(&channel->ticket, client, id, &channel_ticket_ops, SIZE_MAX);
	if (!err)
		err = offer(channel, client->given_fd);
	if (!err) {
		ev_now_update(channels->host->loop);
		ev_timer_start(channels->host->loop, &channel->deadline_w);
		return;
	}
	if (channel)
		channel_free(channel);
	refuse_failed_offer(channels, in->plugin, client, id, err);
}

void
channels_request(struct channels *channels, struct client *client, uint64_t id,
		 const Plug__ChannelRequest *request)
{
	struct plugin *plugin = registry_find(channels->registry, plug_str(request->plugin));
	char denied[PERMIT_TEXT_BYTES];
	struct instance *in;

	if (!id || ticket_find(client, id)) {
		client_close(client, "CHANNEL_REQUEST with an id that is 0 or in use");
		return;
	}
	if (!permit_call(channels->registry, client, plug_str(request->plugin), denied)) {
		channels_refuse(client, id, PLUG_EDENIED, "%s", denied);
		return;
	}
	if (!plugin) {
		char text[1024];

		answer_no_plugin_text(channels->registry, plug_str(request->plugin), text,
				      sizeof(text));
		channels_refuse(client, id, PLUG_ENOTFOUND, "%s", text);
		return;
	}
	in = instance_for(channels, plugin, client, id);
	if (in && has_data_plane(channels, in, client, id) &&
	    region_sound(channels, client, id, request->region_bytes) &&
	    within_quotas(channels, in, client, id))
		open_channel(channels, in, client, id, request->region_bytes);
}
