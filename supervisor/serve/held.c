#include "serve/held.h"

#include "base/clock.h"
#include "plugin/saved.h"
#include "serve/router_private.h"
#include "serve/suspects.h"

#define HOLD_MS 1000

unsigned
held_count(const struct plugin *plugin)
{
	unsigned count = 0;

	LIST_FOREACH (relay, &plugin->held, struct relay, node)
		count++;
	return count;
}

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
	const struct instance *in =
		relay->died_channel && !relay->patience_over ? suspects_process_of(relay) : NULL;
	double seconds = seconds_left(relay);

	if (!in || !instance_takes_calls(in))
		return false;
	relay->state = RELAY_QUEUED;
	relay->held_for = in->generation;
	list_remove(&relay->node);
	list_append(&relay->plugin->held, &relay->node);
	relay_arm(relay, seconds < HOLD_MS / 1e3 ? seconds : HOLD_MS / 1e3);
	return true;
}

static void
let_go(struct relay *relay)
{
	relay->state = RELAY_RECEIVING;
	relay->held_for = 0;
	relay->patience_over = true; /* once is enough */
	list_remove(&relay->node);
	list_append(&relay->plugin->incoming, &relay->node);
	relay_arm(relay, seconds_left(relay));
	router_route(relay);
}

/* ---- when ---- */

static struct relay *
first_to_go(const struct plugin *plugin)
{
	LIST_FOREACH (relay, &plugin->held, struct relay, node) {
		const struct instance *in = plugin_instance(plugin, relay->held_for);

		if (!in || !instance_takes_calls(in))
			return relay;
	}
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
	if (!relay->held_for || clock_mono_ns() >= relay->deadline_ns)
		return false;
	let_go(relay);
	return true;
}
