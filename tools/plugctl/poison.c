#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "table.h"
#include "verb.h"

#define DIGEST_SHOWN 12 /* hex digits of it, in the table */

struct reader {
	struct ctl *ctl;
	struct table *table;
	json_t *entries;
	size_t count;
	uint64_t cleared;
};

static const char *
digest_text(const ProtobufCBinaryData *digest, char text[65])
{
	size_t length = digest->len < 32 ? digest->len : 32;

	*text = '\0';
	for (size_t i = 0; i < length; i++)
		snprintf(text + 2 * i, 3, "%02x", digest->data[i]);
	return text;
}

static json_t *
entry_json(const Plug__PoisonEntry *entry)
{
	json_t *json = json_object();
	char digest[65];

	json_object_set_new(json, "number", number_json(entry->number));
	json_object_set_new(json, "plugin", out_json_text(plug_str(entry->plugin)));
	json_object_set_new(json, "method", out_json_text(plug_str(entry->method)));
	json_object_set_new(json, "state", out_json_text(plug_str(entry->state)));
	json_object_set_new(json, "digest", json_string(digest_text(&entry->digest, digest)));
	json_object_set_new(json, "bytes", number_json(entry->bytes));
	json_object_set_new(json, "uid", json_integer(entry->uid));
	json_object_set_new(json, "deaths", json_integer(entry->deaths));
	json_object_set_new(json, "refusals", number_json(entry->refusals));
	json_object_set_new(json, "last_ago_ms", number_json(entry->last_ago_ms));
	json_object_set_new(json, "left_ms", number_json(entry->left_ms));
	json_object_set_new(json, "cleared", out_json_text(plug_str(entry->cleared)));
	return json;
}

static enum out_color
color_of(const char *state)
{
	if (!strcmp(state, "cleared"))
		return OUT_DIM;
	return strcmp(state, "suspected") ? OUT_RED : OUT_YELLOW;
}

static void
add_row(struct table *table, const Plug__PoisonEntry *entry)
{
	char digest[65], text[FORMAT_BYTES];
	const char *state = plug_str(entry->state);

	table_cell(table, OUT_PLAIN, "%" PRIu64, entry->number);
	table_cell(table, OUT_BOLD, "%s", plug_str(entry->plugin));
	table_cell(table, OUT_PLAIN, "%s", plug_str(entry->method));
	table_cell(table, color_of(state), "%s", state);
	table_cell(table, OUT_PLAIN, "%" PRIu32, entry->deaths);
	table_cell(table, OUT_PLAIN, "%" PRIu64, entry->refusals);
	table_cell(table, OUT_PLAIN, "%s", format_duration(entry->last_ago_ms, text));
	table_cell(table, OUT_PLAIN, "%s",
		   entry->left_ms ? format_duration(entry->left_ms, text) : "-");
	table_cell(table, OUT_PLAIN, "%" PRIu32, entry->uid);
	table_cell(table, OUT_PLAIN, "%s", format_size(entry->bytes, text));
	table_cell(table, OUT_DIM, "%.*s", DIGEST_SHOWN, digest_text(&entry->digest, digest));
	table_cell(table, OUT_DIM, "%s", plug_str(entry->cleared));
	table_row(table);
}

static bool
on_poison(const Plug__Response *response, void *user)
{
	struct reader *reader = user;
	const Plug__PoisonList *list = response->poison;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_POISON)
		return true;
	reader->cleared += list->cleared;
	reader->count += list->n_entries;
	for (size_t i = 0; i < list->n_entries; i++) {
		json_array_append_new(reader->entries, entry_json(list->entries[i]));
		add_row(reader->table, list->entries[i]);
	}
	return true;
}

static void
show(const struct reader *reader, bool clears)
{
	if (reader->ctl->json && clears)
		out_json(json_pack("{s:o}", "cleared", number_json(reader->cleared)));
	else if (reader->ctl->json)
		out_json(json_pack("{s:O}", "poison", reader->entries));
	else if (clears)
		printf("%" PRIu64 " cleared\n", reader->cleared);
	else if (reader->count)
		table_print(reader->table);
	else
		puts("no request is suspected or refused");
}

static int
ask(struct ctl *ctl, Plug__PoisonRequest *poison, const char *name)
{
	static const char *const heads[] = {">#",       "PLUGIN",  "METHOD", "STATE", ">DEATHS",
					    ">REFUSED", ">LAST",   ">LEFT",  ">USER", ">BYTES",
					    "DIGEST",   "CLEARED", NULL};
	Plug__Request request = PLUG__REQUEST__INIT;
	struct reader reader = {.ctl = ctl, .entries = json_array()};
	int status;

	reader.table = table_new(heads);
	request.body_case = PLUG__REQUEST__BODY_POISON;
	request.poison = poison;
	status = ctl_request(ctl, &request, name, ctl_timeout(ctl, CTL_ANSWER_MS), on_poison,
			     &reader);
	if (status == CTL_DONE)
		show(&reader, poison->clear);
	table_free(reader.table);
	json_decref(reader.entries);
	return status;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	Plug__PoisonRequest poison = PLUG__POISON_REQUEST__INIT;
	const char *name = args->word_count ? args->words[0] : NULL;
	const char *number = args->word_count > 1 ? args->words[1] : NULL;
	char *end = NULL;

	poison.clear = args_flag(args, "clear");
	if (number && !poison.clear)
		return ctl_usage(ctl, "%s: a number needs --clear", number);
	if (number)
		poison.number = strtoull(number, &end, 10);
	if (number && (*number < '1' || *number > '9' || *end))
		return ctl_usage(ctl, "%s: expected a number of `plugctl poison`", number);
	if (name)
		poison.name = (char *)name;
	return ask(ctl, &poison, name);
}

static const struct option_spec options[] = {
	{"clear", 0, NULL, "allow them again: all, or the one of that number"},
	{NULL},
};

const struct verb verb_poison = {
	.name = "poison",
	.args = "[NAME [N]]",
	.summary = "show requests that processes died of, and allow them again",
	.help = "A request that was executing when a process died of a fault, out of memory, or of "
		"standing still is suspected; one that was executing at two deaths in a row is "
		"refused for ten minutes with PLUG_EPOISON.  A process that was killed from "
		"outside "
		"makes no request suspect.",
	.options = options,
	.examples =
		(const struct verb_example[]){
			{"plugctl poison", "of all plugins"},
			{"plugctl poison gpt2 --clear", "allow all of gpt2"},
			{"plugctl poison gpt2 3 --clear", "allow one of them"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.max_args = 2,
	.run = run,
};
