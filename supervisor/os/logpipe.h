/*
 * Bytes in, lines out.  Pure: reads nothing itself.
 *
 * A line ends at LF or CR LF, which are not part of it; every other byte, NUL and controls too, is
 * kept: who prints it makes it printable.  A line above LOGPIPE_LINE_BYTES is handed out in pieces
 * of that size, all but the last marked.  Memory is held only while a line is incomplete.
 */
#ifndef PLUGD_LOGPIPE_H
#define PLUGD_LOGPIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGPIPE_LINE_BYTES 8192

struct logpipe {
	char *held;
	uint32_t used, capacity;
	bool in_pieces; /* the current line has been handed out in part */
};

#define LOGPIPE_INIT         \
	{                    \
		.held = NULL \
	}

/* `text` is valid during the call only, and not NUL-terminated. */
typedef void (*logpipe_on_line)(void *context, const char *text, size_t length, bool continues);

void logpipe_feed(struct logpipe *pipe, const void *data, size_t size, logpipe_on_line on_line,
		  void *context);

/* End of file: hand out what is left as a line. */
void logpipe_flush(struct logpipe *pipe, logpipe_on_line on_line, void *context);

/* Drops what is held. */
void logpipe_fini(struct logpipe *pipe);

#endif
