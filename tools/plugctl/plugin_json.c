#include "plugin_json.h"

#include "out.h"

json_t *
number_json(uint64_t number)
{
	return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

json_t *
strings_json(char *const *strings, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, out_json_text(plug_str(strings[i])));
	return array;
}

/* null: no operator said anything. */
static json_t *
enabled_json(uint32_t enabled)
{
	return enabled ? json_boolean(enabled == 1) : json_null();
}

json_t *
plugin_line_json(const Plug__PluginLine *line)
{
	json_t *json = json_object();

	json_object_set_new(json, "name", out_json_text(plug_str(line->name)));
	json_object_set_new(json, "version", out_json_text(plug_str(line->version)));
	json_object_set_new(json, "type", out_json_text(plug_str(line->type)));
	json_object_set_new(json, "state", out_json_text(plug_str(line->state)));
	json_object_set_new(json, "pid", json_integer(line->pid));
	json_object_set_new(json, "generation", json_integer(line->generation));
	json_object_set_new(json, "restarts", number_json(line->restarts));
	json_object_set_new(json, "uptime_ms", number_json(line->uptime_ms));
	json_object_set_new(json, "rss_bytes", number_json(line->rss_bytes));
	json_object_set_new(json, "reason", out_json_text(plug_str(line->reason)));
	json_object_set_new(json, "ready", json_integer(line->ready));
	json_object_set_new(json, "instances", json_integer(line->instances));
	json_object_set_new(json, "standby_ready", json_integer(line->standby_ready));
	json_object_set_new(json, "standby", json_integer(line->standby));
	json_object_set_new(json, "category", out_json_text(plug_str(line->category)));
	json_object_set_new(json, "store", out_json_text(plug_str(line->store)));
	json_object_set_new(json, "enabled", enabled_json(line->enabled));
	json_object_set_new(json, "new", json_boolean(line->is_new));
	json_object_set_new(json, "single", json_boolean(line->single));
	return json;
}

json_t *
bad_plugin_json(const Plug__BadPlugin *bad)
{
	return json_pack("{s:o, s:o}", "path", out_json_text(plug_str(bad->path)), "errors",
			 strings_json(bad->errors, bad->n_errors));
}

json_t *
call_in_flight_json(const Plug__CallInFlight *call)
{
	return json_pack("{s:o, s:o, s:o, s:b, s:b}", "id", number_json(call->id), "method",
			 out_json_text(plug_str(call->method)), "age_ms", number_json(call->age_ms),
			 "hung", (int)call->hung, "executing", (int)call->executing);
}
