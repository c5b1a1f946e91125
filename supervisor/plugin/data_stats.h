/*
 * What a plugin's processes say of the calls that came to them on channels, past plugd.  Loop's
 * thread only.
 *
 * It is the plugin's word, read from the vitals pages: a process that lies spoils its own numbers.
 */
#ifndef PLUGD_DATA_STATS_H
#define PLUGD_DATA_STATS_H

#include <stdint.h>

#include "vitals.h"

struct data_stats {
	uint64_t calls, ok, errors, cancelled, tensor_faults;
	uint64_t took[PLUG_VITALS_TOOK]; /* handlers, as in struct plug_vitals */
};

/* What one process has done in its life so far. */
void data_stats_add(struct data_stats *stats, const struct plug_vitals *vitals);

/* Taken and not answered. */
uint64_t data_stats_in_flight(const struct data_stats *stats);

/* The time within which the share q (0..1) of the handlers were done, in ns: right within a factor
 * of two; 0 when there were none. */
uint64_t data_stats_quantile_ns(const struct data_stats *stats, double q);

#endif
