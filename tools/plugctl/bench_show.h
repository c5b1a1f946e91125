/* How `plugctl bench` says what it measured. */
#ifndef PLUGCTL_BENCH_SHOW_H
#define PLUGCTL_BENCH_SHOW_H

#include "load.h"
#include "table.h"

/* Heads of the table, for table_new(). */
extern const char *const bench_heads[];

/* One measurement as a line of the table. */
void bench_show_row(struct table *table, const struct load_plan *plan,
		    const struct load_result *result);

/* What must be known to read the line rightly, on stderr: calls that failed, a rate that was not
 * kept. */
void bench_show_warnings(const char *plugin, const char *method, const struct load_plan *plan,
			 const struct load_result *result);

/* "0.98us" "21.6us" "1.25ms" "2.1s"; "-" for NAN */
#define BENCH_TIME_BYTES 24
const char *bench_show_time(double ns, char buffer[BENCH_TIME_BYTES]);

#endif
