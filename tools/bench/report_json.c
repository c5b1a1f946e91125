#include <jansson.h>
#include <math.h>

#include "load_json.h"
#include "report.h"

/* JSON has no word for what was not measured but null. */
static json_t *
number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *
percentiles(const struct percentiles *p)
{
	if (isnan(p->p50))
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o}", "p50", number(p->p50), "p90", number(p->p90),
			 "p99", number(p->p99), "p999", number(p->p999));
}

static json_t *
reach(const struct row *row)
{
	if (row->reach_of == REACH_NONE)
		return json_null();
	return json_pack("{s:s, s:f}", "of", row->reach_of == REACH_RATIO ? "ratio" : "p50",
			 row->higher_is_better ? "at_least" : "at_most", row->reach);
}

static const char *
verdict_name(const struct row *row)
{
	static const char *const names[] = {
		[VERDICT_NONE] = "none",
		[VERDICT_REACHED] = "reached",
		[VERDICT_MISSED] = "miss",
		[VERDICT_SKIPPED] = "skipped",
	};

	return names[bench_verdict(row)];
}

static json_t *
row_json(const struct row *row)
{
	json_t *floor = json_null();

	if (*row->floor_name)
		floor = json_pack("{s:s, s:o}", "name", row->floor_name, "value",
				  percentiles(&row->floor));
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:i, s:I, s:b, s:o, s:s, s:s}",
			 "name", row->name, "what", row->what, "unit", row->unit, "value",
			 percentiles(&row->value), "floor", floor, "ratio", number(row->ratio),
			 "ratio_low", number(row->ratio_low), "ratio_high", number(row->ratio_high),
			 "rounds", (int)row->rounds, "count", (json_int_t)row->count,
			 "higher_is_better", (int)row->higher_is_better, "reach", reach(row),
			 "verdict", verdict_name(row), "note", row->note);
}

static json_t *
point_json(const struct point *point)
{
	return json_pack("{s:s, s:I, s:o}", "series", point->series, "bytes",
			 (json_int_t)point->bytes, "value", percentiles(&point->value));
}

static json_t *
machine_json(const struct machine *machine)
{
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:[f, f]}", "date", machine->date, "cpu",
			 machine->cpu, "processors", machine->processors, "kernel", machine->kernel,
			 "compiler", machine->compiler, "libraries", machine->libraries, "load",
			 machine->load_before, machine->load_after);
}

void
report_json(const struct report *report, const struct bench *bench, const struct machine *machine,
	    FILE *out)
{
	json_t *rows = json_array(), *points = json_array(), *loads = json_array();
	json_t *root;

	for (size_t i = 0; i < report->count; i++)
		json_array_append_new(rows, row_json(&report->rows[i]));
	for (size_t i = 0; i < report->point_count; i++)
		json_array_append_new(points, point_json(&report->points[i]));
	for (size_t i = 0; i < report->load_count; i++)
		json_array_append_new(loads,
				      load_json(&report->loads[i].plan, report->loads[i].result));
	root = json_pack("{s:s, s:b, s:i, s:b, s:s, s:[i, i], s:o, s:o, s:o, s:o}", "plugd",
			 machine->plugd, "quick", (int)bench->quick, "rounds", (int)bench->rounds,
			 "in_memory", (int)bench->work_in_memory, "pin",
			 bench->pin == PIN_SPLIT ? "split" : "shared", "processors", bench->cpus[0],
			 bench->cpus[1], "machine", machine_json(machine), "rows", rows, "points",
			 points, "loads", loads);
	if (!root || json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0)
		bench_die("the report cannot be written");
	fputc('\n', out);
	json_decref(root);
}
