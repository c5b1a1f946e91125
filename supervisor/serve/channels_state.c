/* Channels over an upgrade of plugd, which is not in their path: neither side notices. */
#include <stdio.h>

#include "serve/channels_private.h"
#include "serve/saved.h"
#include "state/timer.h"

static const char *
name_of(unsigned state)
{
	static const char *const names[] = {[CHANNEL_OFFERED] = "offered",
					    [CHANNEL_ABANDONED] = "abandoned",
					    [CHANNEL_OPEN] = "open"};

	return names[state];
}

static Plugd__SavedChannel *
save_channel(struct channel *channel, struct state_out *out)
{
	Plugd__SavedChannel *saved = state_out_message(out, &plugd__saved_channel__descriptor);

	saved->plugin = state_out_text(plugin_name(channel->instance->plugin));
	saved->generation = channel->instance->generation;
	saved->number = channel->number;
	saved->region_bytes = channel->region_bytes;
	saved->state = state_out_text(name_of(channel->state));
	saved->overdue = channel->overdue;
	saved->wake_fd = state_out_fd(out, channel->wake_fd);
	saved->deadline_at_ns = state_timer_at(channel->channels->host->loop, &channel->deadline_w);
	saved->client = channel->client ? channel->client->number : 0;
	saved->ticket = ticket_save(&channel->ticket, out);
	saved->client_number = channel->client_number;
	saved->pid = channel->pid;
	saved->uid = channel->uid;
	saved->name = channel->name;
	return saved;
}

Plugd__SavedChannels *
channels_save(struct channels *channels, struct state_out *out)
{
	Plugd__SavedChannels *saved = state_out_message(out, &plugd__saved_channels__descriptor);

	saved->last_number = channels->last_number;
	LIST_FOREACH (plugin, &channels->registry->plugins, struct plugin, node)
		LIST_FOREACH (in, &plugin->instances, struct instance, node)
			LIST_FOREACH (channel, &in->channels, struct channel, of_instance)
				state_out_append(out, &saved->n_channels, &saved->channels,
						 save_channel(channel, out));
	return saved;
}

/* An offer is answered to the client that asked for it; without one there is none. */
static void
restore_offer(struct channel *channel, const Plugd__SavedChannel *saved, const struct serve_in *si)
{
	if (ticket_restore(&channel->ticket, &channel_ticket_ops, saved->ticket, si) &&
	    channel->ticket.client == channel->client)
		return;
	state_in_fail(si->in, "channel %llu is offered to nobody",
		      (unsigned long long)saved->number);
	ticket_close(&channel->ticket);
	channel->state = CHANNEL_ABANDONED;
}

static void
fill(struct channel *channel, const Plugd__SavedChannel *saved, const struct serve_in *si)
{
	channel->region_bytes = saved->region_bytes;
	channel->state = (enum channel_state)state_in_name(si->in, "the state of a channel",
							   saved->state, CHANNEL_OPEN + 1, name_of);
	channel->overdue = saved->overdue;
	channel->instance->channels_overdue += channel->overdue;
	channel->wake_fd = state_in_fd(si->in, saved->wake_fd);
	channel->client_number = saved->client_number;
	channel->pid = (pid_t)saved->pid;
	channel->uid = saved->uid;
	snprintf(channel->name, sizeof(channel->name), "%s", saved->name);
	if (channel->state == CHANNEL_OFFERED)
		restore_offer(channel, saved, si);
	state_timer_set(channel->channels->host->loop, &channel->deadline_w, saved->deadline_at_ns);
}

static void
restore_channel(struct channels *channels, const Plugd__SavedChannel *saved,
		const struct serve_in *si)
{
	struct plugin *plugin = serve_in_plugin(si, saved->plugin);
	struct instance *in = plugin ? plugin_instance(plugin, saved->generation) : NULL;
	struct client *client = saved->client ? doorman_find(si->doorman, saved->client) : NULL;
	struct channel *channel = NULL;

	if (in && saved->number && !idmap_get(&channels->by_number, saved->number))
		channel = channel_make(channels, in, client, saved->number);
	if (channel)
		fill(channel, saved, si);
	else
		state_in_fail(si->in, "channel %llu belongs to nobody, or out of memory",
			      (unsigned long long)saved->number);
}

void
channels_restore(struct channels *channels, const Plugd__SavedChannels *saved,
		 const struct serve_in *si)
{
	if (!saved) {
		state_in_fail(si->in, "no channels are counted");
		return;
	}
	channels->last_number = saved->last_number;
	for (size_t i = 0; !si->in->failed && i < saved->n_channels; i++)
		restore_channel(channels, saved->channels[i], si);
}
