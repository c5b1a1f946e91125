#include "load_json.h"

#include <math.h>

static double
per_call(const struct load_result *result, double value)
{
	return result->calls ? value / (double)result->calls : NAN;
}

static json_t *
number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *
times_json(const struct histogram *times)
{
	static const struct {
		const char *name;
		double quantile;
	} all[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.}};
	json_t *json;

	if (!times->count)
		return json_null();
	json = json_pack("{s:o, s:o}", "min", number((double)times->min / 1e3), "mean",
			 number(histogram_mean(times) / 1e3));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		json_object_set_new(json, all[i].name,
				    number(histogram_quantile(times, all[i].quantile) / 1e3));
	return json;
}

static json_t *
failures_json(const struct load_result *result)
{
	json_t *json = json_object();

	for (unsigned i = 1; i < LOAD_OUTCOMES; i++)
		if (result->outcomes[i])
			json_object_set_new(json, plug_err_name((plug_err)i),
					    json_integer((json_int_t)result->outcomes[i]));
	return json;
}

static json_t *
counters_json(const struct load_counters *planes)
{
	const struct {
		const char *key;
		uint64_t value;
	} all[] = {
		{"data_calls", planes->data_calls}, {"control_calls", planes->control_calls},
		{"copies", planes->copies},         {"copied_bytes", planes->copied_bytes},
		{"wakes_sent", planes->wakes_sent}, {"wakes_received", planes->wakes_received},
		{"spin_hits", planes->spin_hits},   {"spin_misses", planes->spin_misses},
		{"resent", planes->resent},         {"moved", planes->moved},
		{"violations", planes->violations},
	};
	json_t *json = json_object();

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		json_object_set_new(json, all[i].key, json_integer((json_int_t)all[i].value));
	return json;
}

static json_t *
cpu_json(const struct load_result *result)
{
	static const char *const names[LOAD_SIDES] = {"caller", "plugin", "plugd"};
	json_t *json = json_object();

	for (unsigned i = 0; i < LOAD_SIDES; i++)
		json_object_set_new(json, names[i],
				    number(per_call(result, result->cpu_ns[i]) / 1e3));
	return json;
}

json_t *
load_json(const struct load_plan *plan, const struct load_result *result)
{
	json_t *json = json_pack(
		"{s:s, s:I, s:I, s:i, s:i, s:o, s:o}", "plane", load_plane_name(plan->plane),
		"size", (json_int_t)plan->payload.size, "tensor_bytes",
		(json_int_t)plan->tensor_bytes, "callers", (int)plan->callers, "in_flight",
		(int)(plan->in_flight ? plan->in_flight : 1), "spin_us",
		plan->spin_us >= 0 ? json_integer(plan->spin_us) : json_null(), "rate",
		plan->rate > 0. ? json_real(plan->rate) : json_null());

	json_object_set_new(json, "calls", json_integer((json_int_t)result->calls));
	json_object_set_new(json, "ok", json_integer((json_int_t)result->outcomes[PLUG_OK]));
	json_object_set_new(json, "failed", failures_json(result));
	json_object_set_new(json, "unsent", json_integer((json_int_t)result->unsent));
	json_object_set_new(json, "elapsed_s", number((double)result->elapsed_ns / 1e9));
	json_object_set_new(json, "calls_per_s", number(load_calls_per_s(result)));
	json_object_set_new(json, "latency_us", times_json(&result->latency));
	json_object_set_new(json, "late_us", times_json(&result->late));
	json_object_set_new(json, "cpu_us_per_call", cpu_json(result));
	json_object_set_new(json, "counters", counters_json(&result->planes));
	return json;
}
