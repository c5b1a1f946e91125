#include "serve/suspects_private.h"

#include <sodium/crypto_hash_sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/death.h"
#include "serve/channels_private.h"
#include "serve/router_private.h"

#define DIGEST_SHOWN 16 /* hex digits of it, in sentences */

/* ---- which ---- */

bool
suspects_executes(const struct plug_vitals *vitals, uint64_t id)
{
	for (size_t i = 0; i < PLUG_VITALS_WORKERS; i++)
		if (vitals->workers[i].id == id)
			return true;
	return false;
}

/* What it was at when it died, or is about to.  A process without vitals may be at any of its
 * calls. */
struct executing {
	const struct instance *in;
	bool known, hung_only;
	struct plug_vitals vitals;
};

static void
look(const struct instance *in, struct executing *ret)
{
	ret->in = in;
	ret->known = instance_vitals(in, &ret->vitals);
	ret->hung_only = death_is_by_handlers(in);
}

static bool
was_executing(const struct executing *executing, const struct relay *relay)
{
	if (!relay->has_user)
		return false;
	if (executing->hung_only)
		return relay->hung;
	return !executing->known || suspects_executes(&executing->vitals, relay->id);
}

static bool
is_reported(const struct instance *in, uint64_t id)
{
	for (size_t i = 0; i < PLUG_VITALS_WORKERS; i++)
		if (in->hang.reported[i] == id)
			return true;
	return false;
}

/* A call of a channel, by the number that the vitals have for it. */
static bool
was_executing_there(const struct executing *executing, uint64_t id)
{
	return executing->known && suspects_executes(&executing->vitals, id) &&
	       (!executing->hung_only || is_reported(executing->in, id));
}

/* ---- names ---- */

_Static_assert(POISON_DIGEST == crypto_hash_sha256_BYTES, "a digest is all of a SHA-256");

static void
add_text(crypto_hash_sha256_state *sha, const char *text)
{
	crypto_hash_sha256_update(sha, (const uint8_t *)text, strlen(text) + 1);
}

static void
compute(struct relay *relay)
{
	crypto_hash_sha256_state sha;

	crypto_hash_sha256_init(&sha);
	add_text(&sha, plugin_name(relay->plugin));
	add_text(&sha, relay->method);
	add_text(&sha, relay->content_type);
	LIST_FOREACH (part, &relay->parts, struct relay_part, node)
		crypto_hash_sha256_update(&sha, part->bytes, part->size);
	crypto_hash_sha256_final(&sha, relay->digest);
	relay->digested = true;
}

/* False: its payload is not there any more. */
static bool
key_of(struct relay *relay, struct poison_key *key)
{
	if (!relay->digested && list_empty(&relay->parts))
		return false;
	if (!relay->digested)
		compute(relay);
	*key = (struct poison_key){.uid = relay->uid, .bytes = relay->bytes};
	snprintf(key->plugin, sizeof(key->plugin), "%s", plugin_name(relay->plugin));
	snprintf(key->method, sizeof(key->method), "%s", relay->method);
	memcpy(key->digest, relay->digest, sizeof(key->digest));
	return true;
}

static const char *
digest_text(const struct poison_key *key, char text[DIGEST_SHOWN + 1])
{
	for (size_t i = 0; i < DIGEST_SHOWN / 2; i++)
		snprintf(text + 2 * i, 3, "%02x", key->digest[i]);
	return text;
}

/* ---- accusing ---- */

static bool
accuse(struct router *router, uint32_t death, const struct poison_key *key)
{
	char digest[DIGEST_SHOWN + 1];
	const struct poison_entry *entry;
	bool confirmed;

	entry = poison_accuse(&router->poison, key, death, clock_mono_ms(), &confirmed);
	if (entry && confirmed)
		events_add(&router->host->events, key->plugin, "poison", death, 0,
			   "a request of %s (%llu bytes, digest %s…) of user %u was executing at "
			   "two deaths in a row: it is refused for ten minutes; plugctl poison "
			   "lists it, and clears it",
			   key->method, (unsigned long long)key->bytes, digest_text(key, digest),
			   key->uid);
	return entry && entry->state != POISON_SUSPECTED;
}

void
suspects_remember(struct instance *in, const struct poison_key *key)
{
	struct accused *all = in->accused;
	size_t size = all ? all->size : 0;

	if (!all || all->count == size) {
		size = size ? 2 * size : 8;
		all = realloc(in->accused, sizeof(*all) + size * sizeof(*all->keys));
		if (!all)
			return;
		if (!in->accused)
			all->count = 0;
		all->size = size;
		in->accused = all;
	}
	all->keys[all->count++] = *key;
}

static void
forget(struct instance *in, const struct poison_key *key)
{
	struct accused *all = in->accused;

	for (size_t i = 0; all && i < all->count; i++)
		if (all->keys[i].uid == key->uid &&
		    !memcmp(all->keys[i].digest, key->digest, sizeof(key->digest)))
			all->keys[i--] = all->keys[--all->count];
}

void
suspects_before_death(struct router *router, struct instance *in)
{
	struct executing executing;
	struct poison_key key;

	(void)router;
	if (!death_may_be_by_request(in))
		return;
	look(in, &executing);
	LIST_FOREACH (relay, &in->calls, struct relay, node) {
		if (!router_may_replay(relay) || !was_executing(&executing, relay) ||
		    !key_of(relay, &key))
			continue;
		relay->suspect = true;
		relay->suspect_since = in->generation;
		suspects_remember(in, &key);
	}
}

/* It was not the process's own fault, and those that were moved are like any others. */
static void
release(struct instance *in)
{
	struct plugin *plugin = in->plugin;
	struct list released = LIST_INIT(released);

	LIST_FOREACH_SAFE (relay, &plugin->suspects, struct relay, node) {
		if (relay->suspect_since != in->generation)
			continue;
		relay->suspect = false;
		list_remove(&relay->node);
		list_append(&released, &relay->node);
	}
	router_requeue(plugin, &released);
	if (plugin->trial && plugin->trial->suspect_since == in->generation) {
		plugin->trial->suspect = false;
		plugin->trial = NULL;
	}
}

/* ---- calls of channels: what they were, only their callers know ---- */

static const struct channel *
channel_of(const struct instance *in, uint32_t number)
{
	LIST_FOREACH (channel, &in->channels, struct channel, of_instance)
		if ((uint32_t)channel->number == number)
			return channel;
	return NULL;
}

static void
note_channels(struct router *router, const struct instance *in, const struct executing *executing)
{
	if (!executing->known)
		return;
	for (size_t i = 0; i < PLUG_VITALS_WORKERS; i++) {
		uint64_t id = executing->vitals.workers[i].id;
		const struct channel *channel =
			id >> 32 ? channel_of(in, (uint32_t)(id >> 32)) : NULL;

		if (channel && was_executing_there(executing, id))
			router->died[router->next_died++ % ROUTER_DIED] =
				(struct router_died){.channel = channel->number,
						     .number = (uint32_t)id,
						     .uid = channel->uid,
						     .generation = in->generation};
	}
}

static bool
is_claimed(const struct relay *relay, uint64_t channel, uint64_t number, uint32_t uid)
{
	return channel && channel == relay->died_channel &&
	       (uint32_t)number == (uint32_t)relay->died_number && uid == relay->uid;
}

static bool
was_on(const struct instance *in, const struct relay *relay)
{
	const struct channel *channel = channel_of(in, (uint32_t)relay->died_channel);
	struct executing executing;

	look(in, &executing);
	return channel && is_claimed(relay, channel->number, relay->died_number, channel->uid) &&
	       was_executing_there(&executing,
				   channel->number << 32 | (uint32_t)relay->died_number);
}

/* The client has noticed the death before plugd is done with it. */
static void
claim_early(struct relay *relay)
{
	struct poison_key key;

	LIST_FOREACH (in, &relay->plugin->instances, struct instance, node) {
		if (!(in->exited ? death_is_by_request(in) : death_may_be_by_request(in)) ||
		    !was_on(in, relay) || !key_of(relay, &key))
			continue;
		if (in->exited) {
			accuse(relay->router, in->generation, &key);
			continue;
		}
		relay->suspect = true;
		relay->suspect_since = in->generation;
		suspects_remember(in, &key);
	}
}

const struct instance *
suspects_process_of(const struct relay *relay)
{
	LIST_FOREACH (in, &relay->plugin->instances, struct instance, node) {
		const struct channel *channel = channel_of(in, (uint32_t)relay->died_channel);

		if (channel && channel->number == relay->died_channel && relay->has_user &&
		    channel->uid == relay->uid)
			return in;
	}
	return NULL;
}

/* Is it true what the client says, as far as plugd can know?  By the rules of poison.h he can do
 * harm to his own user's requests only. */
static void
claim(struct relay *relay)
{
	struct router *router = relay->router;
	struct poison_key key;

	for (size_t i = 0; i < ROUTER_DIED; i++) {
		struct router_died *died = &router->died[i];

		if (!is_claimed(relay, died->channel, died->number, died->uid))
			continue;
		died->channel = 0;
		if (key_of(relay, &key))
			accuse(router, died->generation, &key);
		return;
	}
	claim_early(relay);
}

static void
accuse_all(struct router *router, struct instance *in)
{
	struct executing executing;
	struct poison_key key;

	look(in, &executing);
	note_channels(router, in, &executing);
	LIST_FOREACH (relay, &in->calls, struct relay, node) {
		if (!was_executing(&executing, relay) || !key_of(relay, &key))
			continue;
		relay->suspect = true;
		relay->suspect_since = in->generation;
		relay->condemned = accuse(router, in->generation, &key);
	}
	for (size_t i = 0; in->accused && i < in->accused->count; i++)
		accuse(router, in->generation, &in->accused->keys[i]);
}

void
suspects_after_death(struct router *router, struct instance *in)
{
	if (death_is_by_request(in))
		accuse_all(router, in);
	else if (in->accused)
		release(in);
	free(in->accused);
	in->accused = NULL;
}

/* ---- those that come ---- */

static void
refuse(struct relay *relay, const struct poison_entry *entry)
{
	char digest[DIGEST_SHOWN + 1];
	uint64_t now = clock_mono_ms();

	router_finish(
		relay, PLUG_EPOISON,
		"%u processes of %s died while they executed this request of %s (digest %s…); "
		"it is refused for another %llu s; an operator may allow it: plugctl poison %s "
		"--clear %llu",
		entry->deaths, plugin_name(relay->plugin), relay->method,
		digest_text(&entry->key, digest),
		(unsigned long long)((entry->until_ms - now + 999) / 1000),
		plugin_name(relay->plugin), (unsigned long long)entry->id);
}

static enum poison_verdict
judge(struct relay *relay, const struct poison_entry **ret_entry)
{
	struct poison *poison = &relay->router->poison;
	struct poison_key key;

	if (!relay->has_user ||
	    !poison_may_know(poison, plugin_name(relay->plugin), relay->method, relay->uid,
			     relay->bytes) ||
	    !key_of(relay, &key))
		return POISON_FREE;
	return poison_judge(poison, &key, clock_mono_ms(), ret_entry);
}

bool
suspects_admit(struct relay *relay)
{
	const struct poison_entry *entry;

	if (relay->has_user && relay->died_channel)
		claim(relay);
	switch (judge(relay, &entry)) {
	case POISON_NO:
		refuse(relay, entry);
		return false;
	case POISON_ALONE:
		relay->suspect = true;
		return true;
	default:
		return true;
	}
}

bool
suspects_admit_again(struct relay *relay)
{
	const struct poison_entry *entry;

	switch (judge(relay, &entry)) {
	case POISON_NO:
		refuse(relay, entry);
		return false;
	case POISON_ALONE:
		if (relay->suspect)
			return true;
		relay->suspect = true;
		list_remove(&relay->node);
		list_append(&relay->plugin->suspects, &relay->node);
		return false;
	default:
		return true;
	}
}

void
suspects_answered(struct relay *relay)
{
	struct poison_key key;

	if (!key_of(relay, &key))
		return;
	poison_acquit(&relay->router->poison, &key, clock_mono_ms());
	LIST_FOREACH (in, &relay->plugin->instances, struct instance, node)
		forget(in, &key);
}
