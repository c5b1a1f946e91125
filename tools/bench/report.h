/* What is said at the end: a table, Markdown or one JSON document. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench.h"
#include "machine.h"

struct report {
	struct row *rows;
	size_t count;
};

/* Copies the row.  Ends the process when memory runs out. */
void report_add(struct report *report, const struct row *row);
void report_fini(struct report *report);

void report_table(const struct report *report, const struct bench *bench,
		  const struct machine *machine, FILE *out);
void report_markdown(const struct report *report, const struct bench *bench,
		     const struct machine *machine, FILE *out);
void report_json(const struct report *report, const struct bench *bench,
		 const struct machine *machine, FILE *out);

#endif
