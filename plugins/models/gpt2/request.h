/*
 * What callers ask, as JSON objects.  An unknown key, a wrong type or a value out of range is
 * refused with the key and what was expected.  Strings and arrays in a request belong to its root,
 * which the caller releases with json_decref(); on failure there is nothing to release.
 */
#ifndef GPT2_REQUEST_H
#define GPT2_REQUEST_H

#include "failure.h"
#include "generate.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_TEXT_MAX_BYTES (1u << 20)

struct generate_request {
	json_t *root;
	struct generate_params params;
	bool seeded; /* params.sampling.seed was given */
	bool stream;
};

/* One of the two is set. */
struct tokenize_request {
	json_t *root;
	const json_t *text;   /* a string, to be encoded */
	const json_t *tokens; /* an array of integers, to be decoded */
};

struct embed_request {
	json_t *root;
	const json_t *input; /* an array of strings, or one string */
	size_t count;
	bool normalize;
};

/* An empty payload is an empty object. `max_tokens` is what a request that names none gets. */
int generate_request_parse(const char *json, size_t size, uint32_t max_tokens,
			   struct generate_request *ret, struct failure *failure);
int tokenize_request_parse(const char *json, size_t size, struct tokenize_request *ret,
			   struct failure *failure);
int embed_request_parse(const char *json, size_t size, size_t max_texts, struct embed_request *ret,
			struct failure *failure);

/* For the methods that take nothing. */
int empty_request_check(const char *json, size_t size, struct failure *failure);

/* Text number `index` of an embed request. */
const json_t *embed_request_text(const struct embed_request *request, size_t index);

#endif
