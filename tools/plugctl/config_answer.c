#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "config.h"
#include "core/units.h"
#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "table.h"

void
config_answer_init(struct config_answer *answer)
{
	answer->items = out_must(json_array());
	answer->changes = out_must(json_array());
	answer->differences = out_must(json_array());
	answer->done = NULL;
}

void
config_answer_fini(struct config_answer *answer)
{
	json_decref(answer->items);
	json_decref(answer->changes);
	json_decref(answer->differences);
	json_decref(answer->done);
}

/* ---- documents ---- */

static json_t *
maybe(bool is_there, const char *text)
{
	return is_there ? out_json_text(plug_str(text)) : json_null();
}

static json_t *
item_json(const Plug__ConfigItem *item)
{
	json_t *json = json_object();

	json_object_set_new(json, "key", out_json_text(plug_str(item->key)));
	json_object_set_new(json, "value", maybe(item->is_set, item->value));
	json_object_set_new(json, "type", out_json_text(plug_str(item->type)));
	json_object_set_new(json, "layer", out_json_text(plug_str(item->layer)));
	json_object_set_new(json, "origin", out_json_text(plug_str(item->origin)));
	json_object_set_new(json, "live", json_boolean(item->live));
	json_object_set_new(json, "secret", json_boolean(item->secret));
	json_object_set_new(json, "required", json_boolean(item->required));
	json_object_set_new(json, "description", out_json_text(plug_str(item->description)));
	return json;
}

static json_t *
difference_json(const Plug__ConfigDifference *one)
{
	json_t *json = json_object();

	json_object_set_new(json, "key", out_json_text(plug_str(one->key)));
	json_object_set_new(json, "before", maybe(one->had, one->before));
	json_object_set_new(json, "after", maybe(one->has, one->after));
	json_object_set_new(json, "secret", json_boolean(one->secret));
	return json;
}

static json_t *
change_json(const Plug__ConfigChange *change)
{
	json_t *json = json_object(), *list = json_array();

	for (size_t i = 0; i < change->n_differences; i++)
		json_array_append_new(list, difference_json(change->differences[i]));
	json_object_set_new(json, "number", json_integer(change->number));
	json_object_set_new(json, "time_ms", number_json(change->time_ms));
	json_object_set_new(json, "uid", json_integer(change->uid));
	json_object_set_new(json, "what", out_json_text(plug_str(change->what)));
	json_object_set_new(json, "differences", list);
	return json;
}

bool
config_take(const Plug__Response *response, void *user)
{
	struct config_answer *answer = user;
	const Plug__ConfigResponse *body = response->config;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_CONFIG)
		return true;
	for (size_t i = 0; i < body->n_items; i++)
		json_array_append_new(answer->items, item_json(body->items[i]));
	for (size_t i = 0; i < body->n_changes; i++)
		json_array_append_new(answer->changes, change_json(body->changes[i]));
	for (size_t i = 0; i < body->n_differences; i++)
		json_array_append_new(answer->differences, difference_json(body->differences[i]));
	if (*plug_str(body->detail) && !answer->done)
		answer->done = json_pack("{s:o, s:i, s:o}", "detail", out_json_text(body->detail),
					 "number", (int)body->number, "took_ms",
					 number_json(body->took_ms));
	return true;
}

/* ---- for people ---- */

static bool
flag(const json_t *json, const char *key)
{
	return json_is_true(json_object_get(json, key));
}

static bool
has(const json_t *json, const char *key)
{
	return json_is_string(json_object_get(json, key));
}

/* A value as it would be set: durations and sizes come as plain numbers, but secrets as stars. */
static const char *
value_text(const json_t *item, char buffer[UNITS_TEXT_BYTES])
{
	const char *type = ask_text(item, "type"), *value = ask_text(item, "value");

	if (flag(item, "secret"))
		return value;
	if (!strcmp(type, "duration"))
		units_format_duration(strtoull(value, NULL, 10), buffer, UNITS_TEXT_BYTES);
	else if (!strcmp(type, "bytes"))
		units_format_size(strtoull(value, NULL, 10), buffer, UNITS_TEXT_BYTES);
	else
		return value;
	return buffer;
}

void
config_print_items(const struct config_answer *answer, bool origins)
{
	static const char *const with[] = {"KEY", "VALUE", "TYPE", "NOTES", "ORIGIN", NULL};
	static const char *const without[] = {"KEY", "VALUE", "TYPE", "NOTES", NULL};
	struct table *table = table_new(origins ? with : without);
	const json_t *item;
	size_t i;

	json_array_foreach(answer->items, i, item)
	{
		bool is_set = has(item, "value");
		char text[UNITS_TEXT_BYTES];

		table_cell(table, OUT_BOLD, "%s", ask_text(item, "key"));
		table_cell(table, is_set ? OUT_PLAIN : OUT_DIM, "%s",
			   is_set ? value_text(item, text) : "(not set)");
		table_cell(table, OUT_DIM, "%s", ask_text(item, "type"));
		table_cell(table, OUT_DIM, "%s%s%s", flag(item, "live") ? "live " : "",
			   flag(item, "secret") ? "secret " : "",
			   flag(item, "required") ? "required" : "");
		if (origins)
			table_cell(table, OUT_PLAIN, "%s", ask_text(item, "origin"));
		table_row(table);
	}
	table_print(table);
	table_free(table);
}

static void
add_difference(struct table *table, const json_t *one)
{
	table_cell(table, OUT_BOLD, "%s", ask_text(one, "key"));
	table_cell(table, has(one, "before") ? OUT_PLAIN : OUT_DIM, "%s",
		   has(one, "before") ? ask_text(one, "before") : "(not set)");
	table_cell(table, has(one, "after") ? OUT_PLAIN : OUT_DIM, "%s",
		   has(one, "after") ? ask_text(one, "after") : "(not set)");
	table_row(table);
}

void
config_print_differences(const struct config_answer *answer)
{
	static const char *const heads[] = {"KEY", "FROM", "TO", NULL};
	struct table *table = table_new(heads);
	const json_t *one;
	size_t i;

	json_array_foreach(answer->differences, i, one) add_difference(table, one);
	table_print(table);
	table_free(table);
}

void
config_print_changes(const struct config_answer *answer)
{
	static const char *const heads[] = {">#",  "WHEN", ">USER", "WHAT",
					    "KEY", "FROM", "TO",    NULL};
	struct table *table = table_new(heads);
	const json_t *change, *one;
	size_t i, j;

	json_array_foreach(answer->changes, i, change)
	{
		json_array_foreach(json_object_get(change, "differences"), j, one)
		{
			char when[FORMAT_BYTES];

			table_cell(table, OUT_PLAIN, "%" PRIu64, ask_number(change, "number"));
			table_cell(table, OUT_DIM, "%s",
				   format_time(ask_number(change, "time_ms"), when));
			table_cell(table, OUT_PLAIN, "%" PRIu64, ask_number(change, "uid"));
			table_cell(table, OUT_PLAIN, "%s", ask_text(change, "what"));
			add_difference(table, one);
		}
	}
	table_print(table);
	table_free(table);
}
