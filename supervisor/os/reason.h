/*
 * Why something was refused: one sentence for people that says what was found, what was expected
 * and what to do.  Caller's memory; every function that takes one accepts NULL, and writes it only
 * when it fails.
 */
#ifndef PLUGD_REASON_H
#define PLUGD_REASON_H

#include <plug/error.h>

struct reason {
	char text[384];
};

/* Formats and returns `err`, so that a refusal is one statement. Keeps errno. */
plug_err reason_set(struct reason *why, plug_err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
