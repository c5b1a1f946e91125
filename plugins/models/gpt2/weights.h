/*
 * The parameters of a GPT-2 model as floats.  Read-only once loaded: any number of threads may
 * compute with them.  Matrices are stored as GPT-2 stores them, [in, out] row after row.
 */
#ifndef GPT2_WEIGHTS_H
#define GPT2_WEIGHTS_H

#include "failure.h"
#include "model_config.h"
#include "safetensors.h"

#include <stddef.h>

struct layer_weights {
	const float *ln1_gain, *ln1_bias;      /* [embd] */
	const float *attn, *attn_bias;         /* [embd, 3 embd]: query, key, value */
	const float *attn_out, *attn_out_bias; /* [embd, embd] */
	const float *ln2_gain, *ln2_bias;      /* [embd] */
	const float *mlp_in, *mlp_in_bias;     /* [embd, inner] */
	const float *mlp_out, *mlp_out_bias;   /* [inner, embd] */
};

struct weights {
	const float *token_embd;        /* [vocab, embd] */
	const float *place_embd;        /* [context, embd] */
	const float *ln_gain, *ln_bias; /* [embd], the last layer norm */
	const float *head;              /* [vocab, embd]; token_embd itself when tied */
	struct layer_weights *layers;
	size_t parameters;
	enum tensor_dtype stored_as; /* of token_embd in the file */
	void *memory;
};

/*
 * Find every tensor that `config` asks for, check its type and shape, convert it.  Names may carry
 * the prefix "transformer." or not.  Tensors that the model does not use are left alone.
 */
int weights_load(struct weights *weights, const struct model_config *config,
		 const struct safetensors *file, struct failure *failure);
void weights_fini(struct weights *weights);

#endif
