/* Locals that clean up after themselves, and sizes that do not wrap. */
#ifndef GPT2_SCOPE_H
#define GPT2_SCOPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static inline void
scope_free(void *at)
{
	free(*(void **)at);
}

static inline void
scope_close(const int *at)
{
	if (*at >= 0)
		close(*at);
}

static inline void
scope_json(json_t **at)
{
	json_decref(*at);
}

#define AUTO_FREE  __attribute__((cleanup(scope_free)))
#define AUTO_CLOSE __attribute__((cleanup(scope_close)))
#define AUTO_JSON  __attribute__((cleanup(scope_json)))

/* Take the pointer out of a local that would free it. */
#define STEAL(pointer)                                   \
	__extension__({                                  \
		__typeof__(pointer) stolen_ = (pointer); \
		(pointer) = NULL;                        \
		stolen_;                                 \
	})

/* *ret = a × b; false when that does not fit. */
static inline bool
size_mul(size_t a, size_t b, size_t *ret)
{
	return !__builtin_mul_overflow(a, b, ret);
}

#endif
