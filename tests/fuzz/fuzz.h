/*
 * One fuzz target: a file that defines both functions below.
 *
 * It becomes fuzz_NAME, driven by libFuzzer (option PLUG_FUZZ, clang), and replay_NAME, which every
 * build has: it runs the target's seeds and mutants of them, or the inputs that it is given.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_INPUT_MAX 65536

/* Always 0.  Must not keep anything from one input to the next. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write seed `number` (0, 1, …) into `buf`; returns its size, or 0 when there are no more. */
size_t fuzz_seed(unsigned number, uint8_t *buf, size_t capacity);

/* What must hold whatever the input. */
#define CHECK(condition)                                                                        \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

#endif
