/*
 * Names of Python's distributions, as they are written in a requirement and as they stand in a
 * site-packages folder.  Pure.
 */
#ifndef PLUGD_DISTRIBUTION_H
#define PLUGD_DISTRIBUTION_H

#include <stdbool.h>
#include <stddef.h>

#define DISTRIBUTION_NAME_BYTES 128 /* of a name, NUL included */

/* Letters, digits, . _ and -, the first and the last of them a letter or a digit (PEP 508). */
bool distribution_name_ok(const char *name);

/* The same by PEP 503: case does not matter, and a run of - _ . is like any other. */
bool distribution_same(const char *left, size_t left_length, const char *right,
		       size_t right_length);

/* What the name of an entry of a site-packages folder says. */
struct distribution_entry {
	const char *name, *version; /* in the entry's name */
	size_t name_length,
		version_length; /* version_length 0: it has none, as in "numpy.egg-info" */
};

/* False: it is of no distribution.  *ret is valid as long as `entry`. */
bool distribution_entry(const char *entry, struct distribution_entry *ret);

#endif
