/*
 * How a range of versions is written, whatever kind of versions it is of: a list of bounds,
 * separated by commas or spaces.  What a version looks like, and what an operator means for it, is
 * semver.h's and pep440.h's affair.  Pure.
 */
#ifndef PLUGD_BOUNDS_H
#define PLUGD_BOUNDS_H

#include <stdbool.h>

#define BOUNDS_ERR_BYTES 160

enum bounds_op {
	BOUNDS_EXACT, /* == = or nothing */
	BOUNDS_NOT,
	BOUNDS_LT,
	BOUNDS_LE,
	BOUNDS_GE,
	BOUNDS_GT,
	BOUNDS_CARET,
	BOUNDS_TILDE,
	BOUNDS_COMPATIBLE, /* ~= */
};

/* Takes the version that follows `op` off *text.  False after it filled `why`. */
typedef bool (*bounds_take)(void *context, enum bounds_op op, const char **text, char *why);

/*
 * Calls `take` for each bound of `text`.  False with a phrase in `why`, of BOUNDS_ERR_BYTES bytes,
 * that follows "…: "; some bounds may have been taken by then.
 */
bool bounds_scan(const char *text, bounds_take take, void *context, char *why);

/* Fills `why` and is false. */
bool bounds_refuse(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
