/*
 * The last lines of a plugin, in bounded memory.
 *
 * Nothing is allocated before the first line; the memory doubles up to the cap, then the oldest
 * lines make room.  Appending is O(1) amortised.  Lines are numbered from 1 without gaps, so a
 * reader that comes back sees what it missed.  One thread.
 */
#ifndef PLUGD_LOGRING_H
#define PLUGD_LOGRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGRING_DEFAULT_BYTES (64u * 1024)
#define LOGRING_MIN_BYTES     (16u * 1024)
#define LOGRING_LINE_BYTES    8192 /* longer text is cut there and marked `continues` */

struct logring_line {
	uint64_t seq;     /* given by the ring */
	uint64_t time_ms; /* wall clock */
	int64_t pid;
	uint32_t generation;
	uint8_t stream; /* the caller's numbers */
	uint8_t level;
	bool continues; /* the next line of this stream goes on with it */
	uint32_t length;
	const char *text; /* not NUL-terminated; from the ring: valid until the next append */
};

struct logring {
	char *data;
	size_t capacity, cap;
	size_t head, tail;  /* offsets of the oldest record and of the first free byte */
	size_t wrap;        /* end of the records that lie before a wrapped tail */
	uint64_t first_seq; /* of the oldest line held; next_seq when empty */
	uint64_t next_seq;
	uint64_t lost;  /* lines not held any more, or never for want of memory */
	uint32_t epoch; /* changes when offsets do */
};

/* Where a reader is.  A zeroed one is at the oldest line. */
struct logring_cursor {
	uint64_t seq;
	size_t offset;
	uint32_t epoch;
};

/* `cap`: bytes of memory at most, raised to LOGRING_MIN_BYTES. */
void logring_init(struct logring *ring, size_t cap);
void logring_fini(struct logring *ring);

/* Copies the line and returns its number.  line->seq is ignored. */
uint64_t logring_append(struct logring *ring, const struct logring_line *line);

/* Lines held now. */
size_t logring_count(const struct logring *ring);

/* A cursor at the n-th last line (0: behind the last), or at the oldest if there are fewer. */
struct logring_cursor logring_last(const struct logring *ring, size_t n);

/* A cursor at line `seq`, or at the oldest if that is gone. */
struct logring_cursor logring_from(const struct logring *ring, uint64_t seq);

/* The line at the cursor, which moves on.  false: no more yet.  A jump in `seq` is what was lost.
 */
bool logring_next(const struct logring *ring, struct logring_cursor *cursor,
		  struct logring_line *ret);

#endif
