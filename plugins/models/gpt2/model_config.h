/* config.json of a GPT-2 model. */
#ifndef GPT2_MODEL_CONFIG_H
#define GPT2_MODEL_CONFIG_H

#include "failure.h"

#include <stdbool.h>
#include <stdint.h>

#define NO_TOKEN UINT32_MAX

struct model_config {
	uint32_t layers;
	uint32_t heads;
	uint32_t embd;    /* a multiple of heads */
	uint32_t inner;   /* width of the MLP */
	uint32_t context; /* positions, tokens */
	uint32_t vocab;
	float epsilon;  /* of every layer norm */
	uint32_t bos;   /* token, or NO_TOKEN */
	uint32_t eos;   /* token, or NO_TOKEN */
	bool tied_head; /* false: the file must hold lm_head.weight */
};

/*
 * Read and validate.  A model that this engine would compute wrongly (another architecture,
 * another activation, other attention scaling) is refused by the key that says so.
 */
int model_config_read(const char *path, struct model_config *ret, struct failure *failure);

#endif
