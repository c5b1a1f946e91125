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
report_fini(struct report *report)
{
	free(report->rows);
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
	struct cell cell = {"-"};

	if (row->reach_of == REACH_RATIO)
		snprintf(cell.text, sizeof(cell.text), "<= %.4gx", row->reach);
	else if (row->reach_of == REACH_VALUE)
		snprintf(cell.text, sizeof(cell.text), "<= %.5g %s", row->reach, row->unit);
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
	fprintf(out, "%splugd %s on %s, %d processors\n", prefix, machine->plugd, machine->cpu,
		machine->processors);
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

void
report_table(const struct report *report, const struct bench *bench, const struct machine *machine,
	     FILE *out)
{
	describe(bench, machine, "", out);
	fprintf(out, "\n%-46s %-11s %8s %8s %8s  %-27s %8s  %-17s %-14s %s\n", "what", "unit",
		"p50", "p90", "p99", "beside", "p50", "ratio", "reach", "");
	for (size_t i = 0; i < report->count; i++) {
		const struct row *row = &report->rows[i];

		fprintf(out, "%-46s %-11s %8s %8s %8s  %-27s %8s  %-17s %-14s %s\n", row->what,
			row->unit, cell_number(row->value.p50).text,
			cell_number(row->value.p90).text, cell_number(row->value.p99).text,
			row->floor_name, cell_number(row->floor.p50).text, cell_ratio(row).text,
			cell_reach(row).text, verdict_word(row));
		if (*row->note)
			fprintf(out, "    %s\n", row->note);
	}
}

/* ---- Markdown ---- */

void
report_markdown(const struct report *report, const struct bench *bench,
		const struct machine *machine, FILE *out)
{
	describe(bench, machine, "- ", out);
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
}
