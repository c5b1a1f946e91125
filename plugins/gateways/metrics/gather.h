/*
 * What `plugctl metrics` prints: the program is run, with a limit of time and of size.
 *
 * Any thread; several at once.
 */
#ifndef METRICS_GATHER_H
#define METRICS_GATHER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATHER_WHY_BYTES  512
#define GATHER_BYTES_MAX  ((size_t)64 << 20)
#define GATHER_PATH_BYTES PATH_MAX

/*
 * The plugctl to be run: `configured`, unless it is NULL or empty; else bin/plugctl in the folder
 * of this program or in one above it, as in a build tree and in an installed one; else "plugctl",
 * which is looked for in PATH.
 */
void gather_find(const char *configured, char path[GATHER_PATH_BYTES]);

struct gathered {
	char *text;
	size_t size;
};

/*
 * Run it and wait, at most `timeout_ms`, or until cancel_fd is readable; it does not live on. True:
 * *ret->text is the caller's, to be freed.  False after the reason, in one line, was written to
 * `why`.
 */
bool gather(const char *plugctl, uint64_t timeout_ms, int cancel_fd, struct gathered *ret,
	    char why[GATHER_WHY_BYTES]);

#endif
