#include "serve/held.h"

#include "base/clock.h"
#include "serve/router_private.h"
#include "serve/suspects.h"

#define HOLD_MS 1000

/* ---- on the list and off it ---- */

static double
seconds_left(const struct relay *relay)
{
	uint64_t now = clock_mono_ns();

	return relay->deadline_ns > now ? (double)(relay->deadline_ns - now) / 1e9 : 0.;
}

bool
held_take(struct relay *relay)
{
	struct plugin *plugin = relay->plugin;
	double seconds = seconds_left(relay);

	if (!relay->died_channel || relay->patience_over ||
	    plugin->queued >= relay->router->limits.queue_calls || !suspects_seem_well(relay))
		return false;
	relay->state = RELAY_QUEUED;
	relay->held = true;
	list_remove(&relay->node);
	list_append(&plugin->held, &relay->node);
	plugin->queued++;
	relay_arm(relay, seconds < HOLD_MS / 1e3 ? seconds : HOLD_MS / 1e3);
	return true;
}

static void
let_go(struct relay *relay)
{
	struct plugin *plugin = relay->plugin;

	relay->state = RELAY_RECEIVING;
	relay->held = false;
	list_remove(&relay->node);
	list_append(&plugin->incoming, &relay->node);
	plugin->queued--;
	relay_arm(relay, seconds_left(relay));
	router_route(relay);
}

/* ---- when ---- */

static struct relay *
first_to_go(const struct plugin *plugin)
{
	LIST_FOREACH (relay, &plugin->held, struct relay, node)
		if (!suspects_seem_well(relay))
			return relay;
	return NULL;
}

void
held_release(struct plugin *plugin)
{
	struct relay *relay;

	while ((relay = first_to_go(plugin)))
		let_go(relay);
}

bool
held_too_long(struct relay *relay)
{
	if (!relay->held || clock_mono_ns() >= relay->deadline_ns)
		return false;
	relay->patience_over = true;
	let_go(relay);
	return true;
}
