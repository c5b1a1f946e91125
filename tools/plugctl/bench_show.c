#include "bench_show.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "format.h"

const char *const bench_heads[] = {"PLANE",   ">SIZE",    ">TENSOR",     ">CALLERS", ">IN FLIGHT",
				   ">SPIN",   ">CALLS/S", ">P50",        ">P90",     ">P99",
				   ">P99.9",  ">MAX",     ">CPU CALLER", ">PLUGIN",  ">PLUGD",
				   ">COPIES", ">FAILED",  NULL};

static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1.};

static double
per_call(const struct load_result *result, double value)
{
	return result->calls ? value / (double)result->calls : NAN;
}

static uint64_t
failed(const struct load_result *result)
{
	return result->calls - result->outcomes[PLUG_OK];
}

/* ---- table ---- */

const char *
bench_show_time(double ns, char buffer[BENCH_TIME_BYTES])
{
	static const struct {
		double ns;
		const char *unit;
	} units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
	size_t i = 0;

	while (i < 2 && ns < 0.9995 * units[i].ns)
		i++;
	if (isnan(ns))
		snprintf(buffer, BENCH_TIME_BYTES, "-");
	else if (ns >= 99.95 * units[i].ns)
		snprintf(buffer, BENCH_TIME_BYTES, "%.0f%s", ns / units[i].ns, units[i].unit);
	else
		snprintf(buffer, BENCH_TIME_BYTES, ns >= 9.995 * units[i].ns ? "%.1f%s" : "%.2f%s",
			 ns / units[i].ns, units[i].unit);
	return buffer;
}

static void
time_cell(struct table *table, double ns)
{
	char text[BENCH_TIME_BYTES];

	table_cell(table, OUT_PLAIN, "%s", bench_show_time(ns, text));
}

static void
plane_cell(struct table *table, const struct load_plan *plan, const struct load_counters *planes)
{
	uint64_t all = planes->data_calls + planes->control_calls;

	if (plan->plane != LOAD_AUTO || !all)
		table_cell(table, OUT_BOLD, "%s", load_plane_name(plan->plane));
	else if (!planes->data_calls || !planes->control_calls)
		table_cell(table, OUT_BOLD, "auto: %s", planes->data_calls ? "data" : "control");
	else
		table_cell(table, OUT_BOLD, "auto: %.1f%% data",
			   100. * (double)planes->data_calls / (double)all);
}

/* Below 0: empty. */
static void
count_cell(struct table *table, enum out_color color, int64_t count, const char *unit)
{
	if (count < 0)
		table_cell(table, OUT_PLAIN, "%s", "");
	else
		table_cell(table, color, "%" PRId64 "%s", count, unit);
}

static void
setting_cells(struct table *table, const struct load_plan *plan)
{
	char size[FORMAT_BYTES];

	table_cell(table, OUT_PLAIN, "%s", format_size(plan->payload.size, size));
	table_cell(table, OUT_PLAIN, "%s",
		   plan->tensor_bytes ? format_size(plan->tensor_bytes, size) : "");
	table_cell(table, OUT_PLAIN, "%u", plan->callers);
	count_cell(table, OUT_PLAIN, plan->in_flight ? (int64_t)plan->in_flight : -1, "");
	count_cell(table, OUT_PLAIN, plan->spin_us, "us");
}

void
bench_show_row(struct table *table, const struct load_plan *plan, const struct load_result *result)
{
	uint64_t lost = failed(result);

	plane_cell(table, plan, &result->planes);
	setting_cells(table, plan);
	table_cell(table, OUT_BOLD, "%.0f", load_calls_per_s(result));
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		time_cell(table, histogram_quantile(&result->latency, quantiles[i]));
	for (unsigned side = 0; side < LOAD_SIDES; side++)
		time_cell(table, per_call(result, result->cpu_ns[side]));
	table_cell(table, OUT_PLAIN, "%.3g", per_call(result, (double)result->planes.copies));
	count_cell(table, OUT_RED, lost ? (int64_t)lost : -1, "");
	table_row(table);
}

void
bench_show_warnings(const char *plugin, const char *method, const struct load_plan *plan,
		    const struct load_result *result)
{
	char late[BENCH_TIME_BYTES];

	for (unsigned i = 1; i < LOAD_OUTCOMES; i++)
		if (result->outcomes[i])
			fprintf(stderr, "plugctl: %s.%s: %llu of %llu calls ended with %s\n",
				plugin, method, (unsigned long long)result->outcomes[i],
				(unsigned long long)result->calls, plug_err_name((plug_err)i));
	if (failed(result))
		fprintf(stderr, "plugctl: the first that failed: %s\n", result->failure_text);
	if (result->unsent)
		fprintf(stderr,
			"plugctl: the rate was not kept: %llu of %llu calls that were due at %g a "
			"second could not be sent before the end; more --concurrency or "
			"--in-flight, "
			"or a lower --rate\n",
			(unsigned long long)result->unsent,
			(unsigned long long)(result->unsent + result->calls), plan->rate);
	else if (histogram_quantile(&result->late, 0.99) > 1e6)
		fprintf(stderr,
			"plugctl: one call in a hundred was sent %s or more after it was due, "
			"which "
			"its latency includes\n",
			bench_show_time(histogram_quantile(&result->late, 0.99), late));
}
