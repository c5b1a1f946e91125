/* poison: the requests that processes died of. */
#include <string.h>

#include "base/clock.h"
#include "serve/answer.h"
#include "serve/control_private.h"
#include "serve/router.h"

#define ENTRIES_A_MESSAGE 64

static void
fill(Plug__PoisonEntry *message, struct poison_entry *entry)
{
	uint64_t now = clock_mono_ms();

	plug__poison_entry__init(message);
	message->number = entry->id;
	message->plugin = entry->key.plugin;
	message->method = entry->key.method;
	message->state = (char *)poison_state_name(entry->state);
	message->digest.data = entry->key.digest;
	message->digest.len = sizeof(entry->key.digest);
	message->bytes = entry->key.bytes;
	message->uid = entry->key.uid;
	message->deaths = entry->deaths;
	message->refusals = entry->refusals;
	message->last_ago_ms = now - entry->last_ms;
	message->left_ms = entry->until_ms > now ? entry->until_ms - now : 0;
	message->cleared = (char *)entry->cleared;
}

static void
send(const struct control_ctx *ctx, Plug__PoisonList *list, bool more)
{
	Plug__Response response = PLUG__RESPONSE__INIT;

	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_POISON;
	response.poison = list;
	control_answer(ctx->client, ctx->id, &response);
	list->n_entries = 0;
}

static void
send_all(const struct control_ctx *ctx, const struct plugin *plugin)
{
	Plug__PoisonEntry messages[ENTRIES_A_MESSAGE], *pointers[ENTRIES_A_MESSAGE];
	Plug__PoisonList list = PLUG__POISON_LIST__INIT;
	struct poison *poison = &ctx->control->router->poison;

	list.entries = pointers;
	poison_expire(poison, clock_mono_ms());
	LIST_FOREACH (entry, &poison->entries, struct poison_entry, node) {
		if (plugin && strcmp(entry->key.plugin, plugin_name(plugin)) != 0)
			continue;
		if (list.n_entries == ENTRIES_A_MESSAGE)
			send(ctx, &list, true);
		pointers[list.n_entries] = &messages[list.n_entries];
		fill(pointers[list.n_entries++], entry);
	}
	send(ctx, &list, false);
}

static void
clear(const struct control_ctx *ctx, const struct plugin *plugin, uint64_t number)
{
	Plug__PoisonList list = PLUG__POISON_LIST__INIT;
	const char *name = plugin ? plugin_name(plugin) : NULL;

	list.cleared = poison_clear(&ctx->control->router->poison, name, number);
	if (number && !list.cleared) {
		answer_request(ctx->client, ctx->id, PLUG_ESTATE,
			       "no request of that number is suspected or refused; plugctl poison "
			       "lists them");
		return;
	}
	if (list.cleared)
		events_add(&ctx->control->host->events, name, "poison-cleared", 0, 0,
			   "an operator cleared %llu requests", (unsigned long long)list.cleared);
	send(ctx, &list, false);
}

void
control_poison(const struct control_ctx *ctx, const Plug__PoisonRequest *request)
{
	struct plugin *plugin = NULL;

	if (*plug_str(request->name)) {
		plugin = control_plugin(ctx, request->name);
		if (!plugin)
			return;
	}
	if (request->clear)
		clear(ctx, plugin, request->number);
	else
		send_all(ctx, plugin);
}
