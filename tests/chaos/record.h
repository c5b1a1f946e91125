/*
 * A record that survives its writer: lines of JSON, appended by one write() each to a file that
 * many processes share.  Lines of at most RECORD_LINE bytes are never mixed.
 */
#ifndef CHAOS_RECORD_H
#define CHAOS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#define RECORD_LINE 1024
#define RECORD_KEY  64

/* Opens `path` for appending; ends the process with a message when it cannot. */
int record_open(const char *path);

/* A whole line, without its newline.  Ends the process when it cannot be written: a run without
 * its record proves nothing. */
void record_line(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Monotonic nanoseconds, the same for all processes of the machine. */
uint64_t record_now_ns(void);

/* The next of a sequence of random numbers. */
uint64_t record_random(uint64_t *state);

/* `text` with everything that JSON would have to escape replaced, cut at `size`. */
const char *record_clean(const char *text, char *to, size_t size);

#endif
