/*
 * vocab.json and merges.txt: which bytes a token stands for, and which pairs merge into which.
 * Read-only once loaded.
 */
#ifndef GPT2_VOCAB_H
#define GPT2_VOCAB_H

#include "failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct merge {
	uint64_t pair; /* left token << 32 | right token */
	uint32_t rank; /* line in merges.txt: lower is merged first */
	uint32_t token;
};

struct vocab {
	uint32_t size;
	uint32_t by_byte[256]; /* the token of each byte */
	uint32_t end_of_text;  /* token of <|endoftext|>, NO_TOKEN when there is none */
	unsigned char *bytes;  /* of all tokens, one after the other */
	size_t *starts;        /* [size + 1], into bytes */
	struct merge *merges;  /* open hash table */
	size_t merge_slots;    /* a power of two */
	size_t merge_count;
};

/*
 * `expected` is config.json's vocab_size: another number of tokens in vocab.json is a tokenizer
 * that does not fit the model, and an error.
 */
int vocab_load(struct vocab *vocab, const char *vocab_path, const char *merges_path,
	       uint32_t expected, struct failure *failure);
void vocab_fini(struct vocab *vocab);

/* The bytes of `token`, which must be below size. */
const unsigned char *vocab_bytes(const struct vocab *vocab, uint32_t token, size_t *ret_count);

/* NULL when the two do not merge. */
const struct merge *vocab_merge(const struct vocab *vocab, uint32_t left, uint32_t right);

#endif
