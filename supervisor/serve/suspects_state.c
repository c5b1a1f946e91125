/* What processes died of, over an upgrade of plugd: a request that was refused stays so. */
#include <stdio.h>
#include <string.h>

#include "serve/saved.h"
#include "serve/suspects_private.h"

static const char *
name_of(unsigned state)
{
	return poison_state_name((enum poison_state)state);
}

/* ---- writing ---- */

static Plugd__SavedKey *
save_key(const struct poison_key *key, struct state_out *out)
{
	Plugd__SavedKey *saved = state_out_message(out, &plugd__saved_key__descriptor);

	saved->plugin = state_out_text(key->plugin);
	saved->method = state_out_text(key->method);
	saved->uid = key->uid;
	saved->bytes = key->bytes;
	saved->digest = state_out_bytes(key->digest, sizeof(key->digest));
	return saved;
}

static Plugd__SavedPoison *
save_entry(struct poison_entry *entry, struct state_out *out)
{
	Plugd__SavedPoison *saved = state_out_message(out, &plugd__saved_poison__descriptor);

	saved->key = save_key(&entry->key, out);
	saved->state = state_out_text(poison_state_name(entry->state));
	saved->id = entry->id;
	saved->deaths = entry->deaths;
	saved->last_death = entry->last_death;
	saved->refusals = entry->refusals;
	saved->first_ms = entry->first_ms;
	saved->last_ms = entry->last_ms;
	saved->until_ms = entry->until_ms;
	saved->cleared = entry->cleared;
	return saved;
}

static void
save_died(const struct router *router, Plugd__SavedRouter *saved, struct state_out *out)
{
	for (size_t i = 0; i < ROUTER_DIED; i++) {
		const struct router_died *died =
			&router->died[(router->next_died + i) % ROUTER_DIED];
		Plugd__SavedDied *one;

		if (!died->channel)
			continue;
		one = state_out_message(out, &plugd__saved_died__descriptor);
		one->channel = died->channel;
		one->number = died->number;
		one->uid = died->uid;
		one->generation = died->generation;
		state_out_append(out, &saved->n_died, &saved->died, one);
	}
}

static void
save_accused(const struct instance *in, Plugd__SavedRouter *saved, struct state_out *out)
{
	Plugd__SavedAccused *one;

	if (!in->accused)
		return;
	one = state_out_message(out, &plugd__saved_accused__descriptor);
	one->plugin = state_out_text(plugin_name(in->plugin));
	one->generation = in->generation;
	for (size_t i = 0; i < in->accused->count; i++)
		state_out_append(out, &one->n_keys, &one->keys,
				 save_key(&in->accused->keys[i], out));
	state_out_append(out, &saved->n_accused, &saved->accused, one);
}

static void
save_kept(struct router *router, Plugd__SavedRouter *saved, struct state_out *out)
{
	size_t count = 0;

	LIST_FOREACH (relay, &router->kept, struct relay, kept_node)
		count++;
	saved->kept = state_out_array(out, count, sizeof(*saved->kept));
	if (!saved->kept)
		return;
	LIST_FOREACH (relay, &router->kept, struct relay, kept_node)
		saved->kept[saved->n_kept++] = relay->id;
}

void
suspects_save(struct router *router, Plugd__SavedRouter *saved, struct state_out *out)
{
	LIST_FOREACH (entry, &router->poison.entries, struct poison_entry, node)
		state_out_append(out, &saved->n_poison, &saved->poison, save_entry(entry, out));
	saved->last_poison = router->poison.last_id;
	save_kept(router, saved, out);
	save_died(router, saved, out);
	LIST_FOREACH (plugin, &router->registry->plugins, struct plugin, node)
		LIST_FOREACH (in, &plugin->instances, struct instance, node)
			save_accused(in, saved, out);
}

/* ---- reading ---- */

static void
restore_key(struct poison_key *key, const Plugd__SavedKey *saved, struct state_in *in)
{
	if (!saved) {
		state_in_fail(in, "a request without a name");
		return;
	}
	snprintf(key->plugin, sizeof(key->plugin), "%s", saved->plugin);
	snprintf(key->method, sizeof(key->method), "%s", saved->method);
	key->uid = saved->uid;
	key->bytes = saved->bytes;
	state_in_copy(in, "a digest", key->digest, sizeof(key->digest), &saved->digest);
}

static void
restore_entry(struct poison *poison, const Plugd__SavedPoison *saved, struct state_in *in)
{
	struct poison_entry entry = {
		.state = (enum poison_state)state_in_name(
			in, "the state of a request", saved->state, POISON_CLEARED + 1, name_of),
		.id = saved->id,
		.deaths = saved->deaths,
		.last_death = saved->last_death,
		.refusals = saved->refusals,
		.first_ms = saved->first_ms,
		.last_ms = saved->last_ms,
		.until_ms = saved->until_ms,
	};

	restore_key(&entry.key, saved->key, in);
	snprintf(entry.cleared, sizeof(entry.cleared), "%s", saved->cleared);
	if (!poison_take(poison, &entry))
		state_in_fail(in, "more requests are remembered than this plugd can, or out of "
				  "memory");
}

static void
restore_accused(const Plugd__SavedAccused *saved, const struct serve_in *si)
{
	struct plugin *plugin = serve_in_plugin(si, saved->plugin);
	struct instance *in = plugin ? plugin_instance(plugin, saved->generation) : NULL;

	if (!in) {
		state_in_fail(si->in, "generation %u of %s is not there", saved->generation,
			      saved->plugin);
		return;
	}
	for (size_t i = 0; i < saved->n_keys; i++) {
		struct poison_key key = {.uid = 0};

		restore_key(&key, saved->keys[i], si->in);
		suspects_remember(in, &key);
	}
}

void
suspects_restore(struct router *router, const Plugd__SavedRouter *saved, const struct serve_in *si)
{
	for (size_t i = 0; i < saved->n_poison; i++)
		restore_entry(&router->poison, saved->poison[i], si->in);
	router->poison.last_id = saved->last_poison;
	for (size_t i = 0; i < saved->n_died; i++)
		router->died[router->next_died++ % ROUTER_DIED] =
			(struct router_died){saved->died[i]->channel, saved->died[i]->number,
					     saved->died[i]->uid, saved->died[i]->generation};
	for (size_t i = 0; i < saved->n_kept; i++) {
		struct relay *relay = idmap_get(&router->by_id, saved->kept[i]);

		if (relay)
			relay_keep_parts(relay);
		else
			state_in_fail(si->in, "a call is kept that is not there");
	}
	for (size_t i = 0; i < saved->n_accused; i++)
		restore_accused(saved->accused[i], si);
}
