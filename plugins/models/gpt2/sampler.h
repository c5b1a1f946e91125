/*
 * Choosing the next token from logits.
 *
 * The random numbers are the engine's own, so that a seed gives the same text on every machine
 * that computes the same logits: SplitMix64, one 64-bit step a token, of which the upper 53 bits
 * are a number from 0 up to 1.
 */
#ifndef GPT2_SAMPLER_H
#define GPT2_SAMPLER_H

#include "failure.h"

#include <stddef.h>
#include <stdint.h>

struct sampling {
	double temperature; /* 0: always the most likely token, the rest is not used */
	uint32_t top_k;     /* only so many of the most likely; 0: all */
	double top_p;       /* only the fewest that have this share together; 1: all */
	uint64_t seed;
};

struct choice {
	float value;
	uint32_t token;
};

struct sampler {
	struct sampling params;
	uint64_t state;
	struct choice *choices; /* scratch, [vocab] */
	size_t vocab;
};

int sampler_init(struct sampler *sampler, const struct sampling *params, size_t vocab,
		 struct failure *failure);
void sampler_fini(struct sampler *sampler);

/*
 * Temperature, then top-k, then top-p; equal logits are ordered by token.  Fails on logits that are
 * not numbers, which only damaged weights produce.
 */
int sampler_pick(struct sampler *sampler, const float *logits, uint32_t *ret_token,
		 struct failure *failure);

#endif
