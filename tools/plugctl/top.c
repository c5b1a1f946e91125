#include "top.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/suggest.h"
#include "out.h"
#include "plugin_json.h"
#include "table.h"
#include "verb.h"

#define EVERY_MS 2000

/* ---- without a screen ---- */

static json_t *
row_json(const struct top_row *row)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:i, s:i, s:f, s:o, s:f, s:o, s:o, s:o, s:o}",
			 "name", out_json_text(row->name), "type", out_json_text(row->type),
			 "state", out_json_text(row->state), "pid", (json_int_t)row->pid, "ready",
			 (int)row->ready, "instances", (int)row->instances, "cpu", row->cpu,
			 "rss_bytes", number_json(row->rss_bytes), "calls_per_second", row->calls,
			 "p99_ns", number_json(row->p99_ns), "in_flight",
			 number_json(row->in_flight), "waiting", number_json(row->queued),
			 "restarts", number_json(row->restarts));
}

static void
print_rows(const struct ctl *ctl, const struct top_row **rows, size_t count)
{
	const char *heads[TOP_COLUMN_COUNT + 1];
	char cell[TOP_CELL_BYTES];
	json_t *list = json_array();
	struct table *table;

	for (int c = 0; c < TOP_COLUMN_COUNT; c++)
		heads[c] = top_columns[c].head;
	heads[TOP_COLUMN_COUNT] = NULL;
	table = table_new(heads);
	for (size_t i = 0; table && i < count; i++) {
		for (int c = 0; c < TOP_COLUMN_COUNT; c++)
			table_cell(table,
				   c == TOP_STATE ? out_state_color(rows[i]->state) : OUT_PLAIN,
				   "%s", top_cell(rows[i], (enum top_column)c, cell));
		table_row(table);
		json_array_append_new(list, row_json(rows[i]));
	}
	if (ctl->json)
		out_json_line(json_pack("{s:O}", "plugins", list));
	else if (table)
		table_print(table);
	fflush(stdout);
	table_free(table);
	json_decref(list);
}

static int
batch(struct ctl *ctl, const struct top_view *view, uint64_t every_ms, uint64_t count)
{
	struct top_look before = {.rows = NULL}, now;
	char why[TOP_WHY_BYTES];
	plug_err err = top_look(ctl, NULL, &before, why);

	for (uint64_t i = 0; !err && i < count; i++) {
		const struct top_row **rows;
		size_t shown;

		poll(NULL, 0, (int)every_ms);
		err = top_look(ctl, &before, &now, why);
		if (err)
			break;
		if (i && !ctl->json)
			putchar('\n');
		rows = top_select(&now, view, &shown);
		if (rows)
			print_rows(ctl, rows, shown);
		free(rows);
		top_look_fini(&before);
		before = now;
	}
	top_look_fini(&before);
	return err ? ctl_fail(ctl, err, NULL, why) : CTL_DONE;
}

/* ---- the verb ---- */

static const char *const column_words[] = {"name", "type",     "state", "pid", "instances",
					   "cpu",  "memory",   "calls", "p99", "run",
					   "wait", "restarts", NULL};

static bool
take_sort(const char *word, struct top_view *view)
{
	for (int c = 0; column_words[c]; c++) {
		if (strcmp(column_words[c], word) == 0) {
			view->sort = (enum top_column)c;
			return true;
		}
	}
	return false;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct top_view view = {.sort = TOP_CPU, .reversed = args_flag(args, "reverse")};
	const char *sort = args_text(args, "sort", "cpu"), *near;
	uint64_t every_ms = args_number(args, "interval", EVERY_MS);
	uint64_t count = args_number(args, "count", 0);

	if (!take_sort(sort, &view)) {
		near = suggest_from(sort, column_words);
		return ctl_usage(ctl, "no column \"%s\"%s%s%s", sort, near ? "; did you mean " : "",
				 near ? near : "", near ? "?" : "");
	}
	snprintf(view.filter, sizeof(view.filter), "%s", args_text(args, "filter", ""));
	if (count)
		return batch(ctl, &view, every_ms, count);
	if (!out_is_terminal() || !isatty(STDIN_FILENO) || ctl->json)
		return ctl_usage(ctl, "a screen is a terminal's; with --count N it prints N times "
				      "instead");
	return top_screen(ctl, view, every_ms, !args_flag(args, "no-color"));
}

const struct verb verb_top = {
	.name = "top",
	.summary = "watch plugins on a full screen: load, calls, latency, restarts",
	.help = "Shows a line for each plugin, and again every 2 seconds: its state, the processor "
		"time and memory of all its processes, the calls that ended in a second and the "
		"latency that 99 of 100 of them did not exceed, by either way and in the time "
		"since the last look, calls that run and that wait, restarts.\n\n"
		"Keys: n t s c m k l f w r sort by name, type, state, CPU, memory, calls, latency, "
		"calls that run and wait, restarts; < and > by the next column; R the other way "
		"round; / shows only what holds a word in its name, type or state; arrows, page "
		"keys, Home and End move; + and - look more and less often; space stops and goes "
		"on; ? is help; q ends.",
	.options =
		(const struct option_spec[]){
			{"interval", 'i', "DURATION", "time between two looks (2s)",
			 COMPLETE_NOTHING, ARGS_DURATION},
			{"sort", 's', "COLUMN", "name, type, state, cpu, memory, calls, p99, …"},
			{"reverse", 'R', NULL, "the other way round"},
			{"filter", 0, "WORD", "only what has it in name, type or state"},
			{"count", 'n', "N", "print N times and end, without a screen",
			 COMPLETE_NOTHING, ARGS_COUNT},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl top --sort calls", "the busiest first"},
			{"plugctl top -n 1 -i 5s --json",
			 "one look over five seconds, for a script"},
			{NULL},
		},
	.run = run,
};
