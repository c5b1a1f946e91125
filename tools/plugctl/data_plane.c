#include "data_plane.h"

#include <inttypes.h>

#include "format.h"
#include "out.h"
#include "plugin_json.h"

static void
show_details(const Plug__DataPlane *data)
{
	char p50[FORMAT_BYTES], p90[FORMAT_BYTES], p99[FORMAT_BYTES];

	out_field("", "%" PRIu64 " ok, %" PRIu64 " errors, %" PRIu64 " cancelled", data->ok,
		  data->errors, data->cancelled);
	if (data->tensor_faults)
		out_field("", "%" PRIu64 " mistakes of callers with tensors", data->tensor_faults);
	if (data->p50_ns)
		out_field("", "handlers: p50 %s, p90 %s, p99 %s, within a factor of two",
			  format_ns(data->p50_ns, p50), format_ns(data->p90_ns, p90),
			  format_ns(data->p99_ns, p99));
}

void
data_plane_show(const Plug__DataPlane *data, bool details)
{
	if (!data || (!data->offered && !data->opened))
		return;
	out_field("channels",
		  "%u open, %" PRIu64 " opened, %" PRIu64 " closed for breaking the rules",
		  data->channels, data->opened, data->violations);
	if (!data->opened)
		return;
	out_field("", "%" PRIu64 " calls through them, %" PRIu64 " in flight", data->calls,
		  data->in_flight);
	if (details)
		show_details(data);
}

json_t *
data_plane_json(const Plug__DataPlane *data)
{
	static const Plug__DataPlane none = PLUG__DATA_PLANE__INIT;
	json_t *json = json_object();

	if (!data)
		data = &none;
	json_object_set_new(json, "offered", json_boolean(data->offered));
	json_object_set_new(json, "channels", number_json(data->channels));
	json_object_set_new(json, "opened", number_json(data->opened));
	json_object_set_new(json, "violations", number_json(data->violations));
	json_object_set_new(json, "calls", number_json(data->calls));
	json_object_set_new(json, "ok", number_json(data->ok));
	json_object_set_new(json, "errors", number_json(data->errors));
	json_object_set_new(json, "cancelled", number_json(data->cancelled));
	json_object_set_new(json, "tensor_faults", number_json(data->tensor_faults));
	json_object_set_new(json, "in_flight", number_json(data->in_flight));
	json_object_set_new(json, "p50_ns", number_json(data->p50_ns));
	json_object_set_new(json, "p90_ns", number_json(data->p90_ns));
	json_object_set_new(json, "p99_ns", number_json(data->p99_ns));
	return json;
}
