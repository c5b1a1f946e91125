/*
 * What plugd counts, for Prometheus: families of samples as a JSON array, which is what
 * `plugctl metrics --json` prints, and the same in the text exposition format 0.0.4.
 *
 * A family: {"name", "type", "help", "samples": [{"name", "labels": {…}, "value"}]}.  A sample's
 * name is the family's, or that with _bucket, _sum or _count.
 */
#ifndef PLUGCTL_METRICS_H
#define PLUGCTL_METRICS_H

#include <jansson.h>

/* Documents as status, list and stats print them; none of them is kept. */
struct metrics_source {
	const json_t *daemon;
	const json_t *lines; /* of list */
	const json_t *stats; /* a plugin that is in one of the two only came or went in between */
	size_t unusable;     /* folders that look like plugins and are none */
};

/* The families; the caller's. */
json_t *metrics_families(const struct metrics_source *source);

/* The families as Prometheus reads them; the caller's, freed with free().  Never NULL. */
char *metrics_text(const json_t *families);

#endif
