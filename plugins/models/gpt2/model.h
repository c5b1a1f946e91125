/* A Hugging Face GPT-2 directory, loaded.  Read-only, shared by any number of threads. */
#ifndef GPT2_MODEL_H
#define GPT2_MODEL_H

#include "failure.h"
#include "model_config.h"
#include "vocab.h"
#include "weights.h"

struct model {
	struct model_config config;
	struct vocab vocab;
	struct weights weights;
};

/*
 * Load config.json, vocab.json, merges.txt and model.safetensors from `dir`; other files are not
 * looked at.  A failure names the file, and the tensor, key, token or line in it.
 */
int model_load(const char *dir, struct model **ret_model, struct failure *failure);
void model_free(struct model *model); /* NULL is fine */

#endif
