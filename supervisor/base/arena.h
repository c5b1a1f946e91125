/*
 * Memory that is given back all at once.
 *
 * What a parser builds has one owner and one end: it allocates from an arena and never frees a
 * piece. An arena belongs to one thread at a time and never aborts: when malloc fails or the cap is
 * reached, the allocation returns NULL and `failed` stays set, so a long construction may be
 * checked once, at its end.
 */
#ifndef PLUGD_ARENA_H
#define PLUGD_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* the newest first */
	size_t taken_bytes;         /* from malloc, so far */
	size_t cap_bytes;           /* taken_bytes never exceeds it */
	bool failed;                /* an allocation returned NULL since arena_init() */
};

/* An empty arena of at most `cap_bytes`, which holds no memory until the first allocation. */
void arena_init(struct arena *arena, size_t cap_bytes);

/* Give everything back.  The arena is as after arena_init() with the same cap. */
void arena_fini(struct arena *arena);

/* Zeroed memory, aligned for any type; valid until arena_fini().  NULL when there is none. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* The same for `count` items of `bytes` each; NULL also when the product overflows. */
void *arena_array(struct arena *arena, size_t count, size_t bytes);

/* Copies with a NUL behind them.  A NULL text gives NULL and is no failure. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t length);

/* Formatted text. */
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

#endif
