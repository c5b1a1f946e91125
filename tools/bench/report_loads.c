/* Loads as a table: a line each, times in microseconds. */
#include "report.h"

static const char *const heads[] = {
	"plane", "bytes", "callers", "under way",  "spin",       "calls/s",   "p50",
	"p90",   "p99",   "p99.9",   "cpu caller", "cpu plugin", "cpu plugd", "copies",
};

#define COLUMNS (sizeof(heads) / sizeof(heads[0]))

static void
print_head(bool markdown, FILE *out)
{
	fputs(markdown ? "\n|" : "\n", out);
	for (size_t i = 0; i < COLUMNS; i++)
		fprintf(out, markdown ? " %s |" : "%10s ", heads[i]);
	fputs(markdown ? "\n|" : "", out);
	for (size_t i = 0; markdown && i < COLUMNS; i++)
		fputs("---|", out);
	fputc('\n', out);
}

static void
print_time(double us, bool markdown, FILE *out)
{
	fprintf(out, markdown ? " %.*f |" : "%10.*f ", us < 10 ? 2 : us < 100 ? 1 : 0, us);
}

static void
print_line(const struct load_line *line, bool markdown, FILE *out)
{
	static const double quantiles[] = {0.5, 0.9, 0.99, 0.999};
	const struct load_plan *plan = &line->plan;
	const struct load_result *result = line->result;
	double calls = (double)result->calls;

	fprintf(out,
		markdown ? "| %s | %zu | %u | %u | %s | %.0f |"
			 : "%10s %10zu %10u %10u %10s %10.0f ",
		load_plane_name(plan->plane), plan->payload.size, plan->callers,
		plan->in_flight ? plan->in_flight * plan->callers : plan->callers,
		plan->plane == LOAD_CONTROL ? "-"
		: plan->spin_us == 0        ? "none"
					    : "default",
		load_calls_per_s(result));
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		print_time(histogram_quantile(&result->latency, quantiles[i]) / 1e3, markdown, out);
	for (unsigned payer = 0; payer < LOAD_SIDES; payer++)
		print_time(result->cpu_ns[payer] / calls / 1e3, markdown, out);
	fprintf(out, markdown ? " %.3g |\n" : "%10.3g\n", (double)result->planes.copies / calls);
}

void
report_loads(const struct report *report, bool markdown, FILE *out)
{
	if (!report->load_count)
		return;
	print_head(markdown, out);
	for (size_t i = 0; i < report->load_count; i++)
		print_line(&report->loads[i], markdown, out);
}
