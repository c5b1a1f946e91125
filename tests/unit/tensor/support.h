/* For the tests of tensors: cmocka, counts of what a process holds, a repeatable source of chance.
 */
#ifndef TENSOR_SUPPORT_H
#define TENSOR_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <plug/tensor.h>

/* xorshift64*; the same numbers in every run. */
uint64_t chance(uint64_t *seed);

static inline uint64_t
chance_below(uint64_t *seed, uint64_t below)
{
	return chance(seed) % below;
}

unsigned open_descriptors(void); /* of this process */
unsigned memfd_mappings(void);   /* lines of /proc/self/maps that are memfds */

struct plug_arena *arena_of(uint64_t bytes);

struct plug_tensor_stats stats(void);

/* Assert that the text of the last failure has all of these words; ends with NULL. */
void assert_text(const char *word, ...);

#endif
