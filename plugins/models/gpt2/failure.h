/*
 * What went wrong, in words.  Functions of the engine return 0, or -1 with the failure filled in;
 * they leave it alone on success.  The text says what was found and what was expected.
 */
#ifndef GPT2_FAILURE_H
#define GPT2_FAILURE_H

#include <stdbool.h>

struct failure {
	char text[1024];
	bool internal; /* not the fault of what was asked: memory, damaged weights */
};

/* Write the text, cut to fit, and return -1.  `failure` may be NULL. */
int failf(struct failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for what the caller could not have asked better. */
int failf_internal(struct failure *failure, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "out of memory while …" */
int fail_memory(struct failure *failure, const char *doing);

#endif
