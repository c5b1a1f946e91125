/* What a dying process said of itself (proto/trace.h): checked, and put into words. */
#ifndef PLUGD_BACKTRACE_H
#define PLUGD_BACKTRACE_H

#include <stdbool.h>
#include <stddef.h>

#include "trace.h"

#define BACKTRACE_ORIGIN_BYTES 96

/* Does a packet claim to be one?  No Envelope does. */
bool backtrace_is_meant(const void *bytes, size_t size);

/* What is wrong with it, or NULL.  Then the copy is the caller's, to be freed, and its texts
 * end and are UTF-8; it is NULL when memory is short. */
const char *backtrace_take(const void *bytes, size_t size, struct plug_trace **ret_trace);

/* The signal was sent by somebody else than the process itself or its fault. */
bool backtrace_is_from_outside(const struct plug_trace *trace);

/* "address 0x10 is not mapped", "raised by itself", "sent by process 812".  Returns `text`. */
const char *backtrace_origin(const struct plug_trace *trace, char text[BACKTRACE_ORIGIN_BYTES]);

#endif
