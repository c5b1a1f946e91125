#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void
report_add(struct report *report, const struct row *row)
{
	struct row *rows = realloc(report->rows, (report->count + 1) * sizeof(*rows));

	if (!rows)
		bench_die("out of memory");
	report->rows = rows;
	rows[report->count++] = *row;
}

void
report_add_point(struct report *report, const struct point *point)
{
	struct point *points = realloc(report->points, (report->point_count + 1) * sizeof(*points));

	if (!points)
		bench_die("out of memory");
	report->points = points;
	points[report->point_count++] = *point;
}

void
report_add_load(struct report *report, const struct load_plan *plan,
		const struct load_result *result)
{
	struct load_line *loads = realloc(report->loads, (report->load_count + 1) * sizeof(*loads));
	struct load_result *copy = malloc(sizeof(*copy));

	if (!loads || !copy)
		bench_die("out of memory");
	*copy = *result;
	report->loads = loads;
	loads[report->load_count++] = (struct load_line){*plan, copy};
}

void
report_fini(struct report *report)
{
	free(report->rows);
	free(report->points);
	for (size_t i = 0; i < report->load_count; i++)
		free(report->loads[i].result);
	free(report->loads);
}

/* ---- cells ---- */

struct cell {
	char text[64];
};

static struct cell
cell_number(double value)
{
	struct cell cell = {"-"};

	if (isnan(value))
		return cell;
	if (fabs(value) >= 1000)
		snprintf(cell.text, sizeof(cell.text), "%.0f", value);
	else
		snprintf(cell.text, sizeof(cell.text), fabs(value) >= 100 ? "%.1f" : "%.3g", value);
	return cell;
}

static struct cell
cell_ratio(const struct row *row)
{
	struct cell cell = {"-"};

	if (!isnan(row->ratio) && row->rounds > 1)
		snprintf(cell.text, sizeof(cell.text), "%.2f (%.2f-%.2f)", row->ratio,
			 row->ratio_low, row->ratio_high);
	else if (!isnan(row->ratio))
		snprintf(cell.text, sizeof(cell.text), "%.2f", row->ratio);
	return cell;
}

static struct cell
cell_reach(const struct row *row)
{
	const char *sign = row->higher_is_better ? ">=" : "<=";
	struct cell cell = {"-"};

	if (row->reach_of == REACH_RATIO)
		snprintf(cell.text, sizeof(cell.text), "%s %.4gx", sign, row->reach);
	else if (row->reach_of == REACH_VALUE)
		snprintf(cell.text, sizeof(cell.text), "%s %.7g %s", sign, row->reach, row->unit);
	return cell;
}

static const char *
verdict_word(const struct row *row)
{
	static const char *const words[] = {
		[VERDICT_NONE] = "-",
		[VERDICT_REACHED] = "reached",
		[VERDICT_MISSED] = "MISS",
		[VERDICT_SKIPPED] = "not measured",
	};

	return words[bench_verdict(row)];
}

/* ---- head ---- */

static void
describe(const struct bench *bench, const struct machine *machine, const char *prefix, FILE *out)
{
	fprintf(out, "%splugd %s on %s, %d processors; %s\n", prefix, machine->plugd, machine->cpu,
		machine->processors, machine->date);
	fprintf(out, "%skernel %s; %s; %s\n", prefix, machine->kernel, machine->compiler,
		machine->libraries);
	if (bench->pin == PIN_SPLIT)
		fprintf(out,
			"%spinned: in rows of calls, caller and plugd to processor %d, the plugin "
			"and the floor's other side to %d; else every process to both\n",
			prefix, bench->cpus[0], bench->cpus[1]);
	else
		fprintf(out, "%spinned: every process of both sides to processors %d and %d\n",
			prefix, bench->cpus[0], bench->cpus[1]);
	fprintf(out, "%ssockets and files in %s\n", prefix,
		bench->work_in_memory ? "memory (tmpfs), like /run" : "/tmp");
	fprintf(out,
		"%s%u rounds, alternating with the floor's; the ratio is the median of the rounds' "
		"(smallest-largest)\n",
		prefix, bench->rounds);
	fprintf(out, "%sload average before %.2f, after %.2f%s\n", prefix, machine->load_before,
		machine->load_after,
		bench->quick ? "; a quick run: figures are not to be quoted" : "");
}

/* ---- table ---- */

static int
widest(const struct report *report)
{
	size_t width = 4;

	for (size_t i = 0; i < report->count; i++)
		if (strlen(report->rows[i].what) > width)
			width = strlen(report->rows[i].what);
	return (int)width;
}

void
report_table(const struct report *report, const struct bench *bench, const struct machine *machine,
	     FILE *out)
{
	int width = widest(report);

	describe(bench, machine, "", out);
	if (report->count)
		fprintf(out, "\n%-*s %-11s %8s %8s %8s  %-30s %8s  %-17s %-19s %s\n", width, "what",
			"unit", "p50", "p90", "p99", "beside", "p50", "ratio", "reach", "");
	for (size_t i = 0; i < report->count; i++) {
		const struct row *row = &report->rows[i];

		fprintf(out, "%-*s %-11s %8s %8s %8s  %-30s %8s  %-17s %-19s %s\n", width,
			row->what, row->unit, cell_number(row->value.p50).text,
			cell_number(row->value.p90).text, cell_number(row->value.p99).text,
			row->floor_name, cell_number(row->floor.p50).text, cell_ratio(row).text,
			cell_reach(row).text, verdict_word(row));
		if (*row->note)
			fprintf(out, "    %s\n", row->note);
	}
	report_points(report, false, out);
	report_loads(report, false, out);
}

/* ---- Markdown ---- */

void
report_markdown(const struct report *report, const struct bench *bench,
		const struct machine *machine, FILE *out)
{
	describe(bench, machine, "- ", out);
	if (report->count)
		fputs("\n| what | unit | p50 | p90 | p99 | beside | its p50 | ratio | reach | |\n"
		      "|---|---|---|---|---|---|---|---|---|---|\n",
		      out);
	for (size_t i = 0; i < report->count; i++) {
		const struct row *row = &report->rows[i];

		fprintf(out, "| %s%s%s%s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			row->what, *row->note ? " (" : "", row->note, *row->note ? ")" : "",
			row->unit, cell_number(row->value.p50).text,
			cell_number(row->value.p90).text, cell_number(row->value.p99).text,
			*row->floor_name ? row->floor_name : "-", cell_number(row->floor.p50).text,
			cell_ratio(row).text, cell_reach(row).text, verdict_word(row));
	}
	report_points(report, true, out);
	report_loads(report, true, out);
}
