/* What is said at the end: a table, Markdown or one JSON document. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench.h"
#include "load.h"
#include "machine.h"

/* A latency at one size, for the plot; `series` is static. */
struct point {
	const char *series;
	size_t bytes;
	struct percentiles value; /* in microseconds */
};

/* A load without a floor. */
struct load_line {
	struct load_plan plan;
	struct load_result *result;
};

struct report {
	struct row *rows;
	size_t count;
	struct point *points;
	size_t point_count;
	struct load_line *loads;
	size_t load_count;
};

/* Copies the row.  Ends the process when memory runs out. */
void report_add(struct report *report, const struct row *row);
void report_add_point(struct report *report, const struct point *point);
/* Copies both, but not what the plan points to. */
void report_add_load(struct report *report, const struct load_plan *plan,
		     const struct load_result *result);
void report_fini(struct report *report);

void report_table(const struct report *report, const struct bench *bench,
		  const struct machine *machine, FILE *out);
void report_markdown(const struct report *report, const struct bench *bench,
		     const struct machine *machine, FILE *out);
/* The points, if there are any, below a table.  report_points.c */
void report_points(const struct report *report, bool markdown, FILE *out);

/* The loads, if there are any.  report_loads.c */
void report_loads(const struct report *report, bool markdown, FILE *out);

void report_json(const struct report *report, const struct bench *bench,
		 const struct machine *machine, FILE *out);

#endif
