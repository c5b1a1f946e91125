/*
 * Two passes over the same table: the first finds and checks every tensor and adds up the sizes,
 * so that a config.json that lies about them costs an error and not an allocation; the second
 * converts into one block.
 */
#include "weights.h"

#include "scope.h"

#include <stdio.h>
#include <string.h>

#define PREFIX      "transformer."
#define NAME_BYTES  96
#define FLOAT_ALIGN 16 /* floats: one cache line */

enum dim { END, EMBD, EMBD3, INNER, VOCAB, CONTEXT };

struct spec {
	const char *name;
	size_t offset; /* of the pointer in its struct */
	enum dim dims[2];
};

#define LAYER(field) offsetof(struct layer_weights, field)
#define MODEL(field) offsetof(struct weights, field)

static const struct spec layer_specs[] = {
	{"ln_1.weight", LAYER(ln1_gain), {EMBD}},
	{"ln_1.bias", LAYER(ln1_bias), {EMBD}},
	{"attn.c_attn.weight", LAYER(attn), {EMBD, EMBD3}},
	{"attn.c_attn.bias", LAYER(attn_bias), {EMBD3}},
	{"attn.c_proj.weight", LAYER(attn_out), {EMBD, EMBD}},
	{"attn.c_proj.bias", LAYER(attn_out_bias), {EMBD}},
	{"ln_2.weight", LAYER(ln2_gain), {EMBD}},
	{"ln_2.bias", LAYER(ln2_bias), {EMBD}},
	{"mlp.c_fc.weight", LAYER(mlp_in), {EMBD, INNER}},
	{"mlp.c_fc.bias", LAYER(mlp_in_bias), {INNER}},
	{"mlp.c_proj.weight", LAYER(mlp_out), {INNER, EMBD}},
	{"mlp.c_proj.bias", LAYER(mlp_out_bias), {EMBD}},
};

static const struct spec model_specs[] = {
	{"wte.weight", MODEL(token_embd), {VOCAB, EMBD}},
	{"wpe.weight", MODEL(place_embd), {CONTEXT, EMBD}},
	{"ln_f.weight", MODEL(ln_gain), {EMBD}},
	{"ln_f.bias", MODEL(ln_bias), {EMBD}},
};

static const struct spec head_spec = {"lm_head.weight", MODEL(head), {VOCAB, EMBD}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct loader {
	const struct model_config *config;
	const struct safetensors *file;
	struct failure *failure;
	const char *prefix;
	float *to; /* NULL in the first pass */
	size_t floats;
	size_t parameters;
};

static size_t
dim_size(const struct model_config *config, enum dim dim)
{
	switch (dim) {
	case EMBD:
		return config->embd;
	case EMBD3:
		return 3 * (size_t)config->embd;
	case INNER:
		return config->inner;
	case VOCAB:
		return config->vocab;
	case CONTEXT:
		return config->context;
	case END:
		break;
	}
	return 0;
}

static int
check_tensor(const struct loader *loader, const struct spec *spec, const struct tensor *tensor)
{
	char found[128], wanted[128];
	size_t shape[2];
	unsigned rank = 0;

	for (; rank < 2 && spec->dims[rank] != END; rank++)
		shape[rank] = dim_size(loader->config, spec->dims[rank]);
	if (tensor->dtype != TENSOR_F32 && tensor->dtype != TENSOR_F16 &&
	    tensor->dtype != TENSOR_BF16)
		return failf(loader->failure, "%s: tensor %s: type %s, expected F32, F16 or BF16",
			     safetensors_path(loader->file), tensor->name,
			     tensor_dtype_name(tensor->dtype));
	if (tensor->rank != rank || memcmp(tensor->shape, shape, rank * sizeof(shape[0])) != 0)
		return failf(loader->failure,
			     "%s: tensor %s: shape %s, expected %s as config.json says",
			     safetensors_path(loader->file), tensor->name,
			     tensor_shape_text(tensor->shape, tensor->rank, found, sizeof(found)),
			     tensor_shape_text(shape, rank, wanted, sizeof(wanted)));
	return 0;
}

static int
load_tensor(struct loader *loader, const struct spec *spec, const char *name, void *owner)
{
	const struct tensor *tensor = safetensors_find(loader->file, name);
	size_t padded;

	if (!tensor)
		return failf(loader->failure, "%s: tensor %s is missing; the file holds %zu others",
			     safetensors_path(loader->file), name, safetensors_count(loader->file));
	if (check_tensor(loader, spec, tensor) < 0)
		return -1;
	if (loader->to) {
		float *at = loader->to + loader->floats;

		tensor_to_floats(tensor, at);
		memcpy((char *)owner + spec->offset, &at, sizeof(at));
	}
	padded = (tensor->elements + FLOAT_ALIGN - 1) / FLOAT_ALIGN * FLOAT_ALIGN;
	loader->floats += padded;
	loader->parameters += tensor->elements;
	return 0;
}

static int
load_layers(struct loader *loader, struct weights *weights)
{
	char name[NAME_BYTES];

	for (uint32_t i = 0; i < loader->config->layers; i++)
		for (size_t s = 0; s < COUNT(layer_specs); s++) {
			snprintf(name, sizeof(name), "%sh.%u.%s", loader->prefix, i,
				 layer_specs[s].name);
			if (load_tensor(loader, &layer_specs[s], name, &weights->layers[i]) < 0)
				return -1;
		}
	return 0;
}

static int
load_head(struct loader *loader, struct weights *weights)
{
	if (safetensors_find(loader->file, head_spec.name) || !loader->config->tied_head)
		return load_tensor(loader, &head_spec, head_spec.name, weights);
	weights->head = weights->token_embd;
	return 0;
}

static int
load_all(struct loader *loader, struct weights *weights)
{
	char name[NAME_BYTES];

	loader->floats = loader->parameters = 0;
	for (size_t s = 0; s < COUNT(model_specs); s++) {
		snprintf(name, sizeof(name), "%s%s", loader->prefix, model_specs[s].name);
		if (load_tensor(loader, &model_specs[s], name, weights) < 0)
			return -1;
	}
	if (load_layers(loader, weights) < 0)
		return -1;
	return load_head(loader, weights);
}

int
weights_load(struct weights *weights, const struct model_config *config,
	     const struct safetensors *file, struct failure *failure)
{
	bool prefixed = safetensors_find(file, PREFIX "wte.weight") != NULL;
	struct loader loader = {.config = config,
				.file = file,
				.failure = failure,
				.prefix = prefixed ? PREFIX : ""};
	struct weights loaded = {0};
	const struct tensor *embd;

	loaded.layers = calloc(config->layers, sizeof(*loaded.layers));
	if (!loaded.layers)
		return fail_memory(failure, "making room for the layers");
	if (load_all(&loader, &loaded) < 0)
		goto failed;
	loaded.memory = aligned_alloc(FLOAT_ALIGN * sizeof(float), loader.floats * sizeof(float));
	if (!loaded.memory) {
		failf(failure, "%s: no memory for %zu parameters", safetensors_path(file),
		      loader.parameters);
		goto failed;
	}
	loader.to = loaded.memory;
	if (load_all(&loader, &loaded) < 0)
		goto failed;
	embd = safetensors_find(file, prefixed ? PREFIX "wte.weight" : "wte.weight");
	loaded.stored_as = embd->dtype;
	loaded.parameters = loader.parameters;
	*weights = loaded;
	return 0;
failed:
	weights_fini(&loaded);
	return -1;
}

void
weights_fini(struct weights *weights)
{
	free(weights->layers);
	free(weights->memory);
	*weights = (struct weights){0};
}
