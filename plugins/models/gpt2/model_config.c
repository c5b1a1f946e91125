#include "model_config.h"

#include "files.h"
#include "scope.h"

#include <math.h>
#include <string.h>

#define CONFIG_MAX_BYTES (1 << 20)

struct source {
	const char *path;
	json_t *root;
	struct failure *failure;
};

struct range {
	json_int_t min, max;
};

static json_t *
find(const struct source *src, const char *key)
{
	json_t *value = json_object_get(src->root, key);

	return json_is_null(value) ? NULL : value;
}

static int
read_int(const struct source *src, const char *key, struct range range, uint32_t *ret)
{
	json_t *value = find(src, key);

	if (!value)
		return failf(src->failure, "%s: key %s is missing, expected a number", src->path,
			     key);
	if (!json_is_integer(value))
		return failf(src->failure, "%s: %s is not an integer", src->path, key);
	if (json_integer_value(value) < range.min || json_integer_value(value) > range.max)
		return failf(src->failure,
			     "%s: %s is %" JSON_INTEGER_FORMAT ", expected %" JSON_INTEGER_FORMAT
			     " to %" JSON_INTEGER_FORMAT,
			     src->path, key, json_integer_value(value), range.min, range.max);
	*ret = (uint32_t)json_integer_value(value);
	return 0;
}

static int
read_optional_int(const struct source *src, const char *key, struct range range, uint32_t fallback,
		  uint32_t *ret)
{
	if (find(src, key))
		return read_int(src, key, range, ret);
	*ret = fallback;
	return 0;
}

static int
expect_text(const struct source *src, const char *key, const char *expected)
{
	json_t *value = find(src, key);
	const char *text = json_string_value(value);

	if (!value || (text && strcmp(text, expected) == 0))
		return 0;
	return failf(src->failure, "%s: %s is \"%s\"; this plugin computes \"%s\" only", src->path,
		     key, text ? text : "(not text)", expected);
}

static int
expect_bool(const struct source *src, const char *key, bool expected)
{
	json_t *value = find(src, key);

	if (!value || (json_is_boolean(value) && json_is_true(value) == expected))
		return 0;
	return failf(src->failure, "%s: %s is not %s; this plugin computes no other kind",
		     src->path, key, expected ? "true" : "false");
}

static int
check_architecture(const struct source *src)
{
	if (expect_text(src, "model_type", "gpt2") < 0 ||
	    expect_text(src, "activation_function", "gelu_new") < 0 ||
	    expect_bool(src, "scale_attn_weights", true) < 0 ||
	    expect_bool(src, "scale_attn_by_inverse_layer_idx", false) < 0 ||
	    expect_bool(src, "add_cross_attention", false) < 0)
		return -1;
	return 0;
}

/* n_positions is the key that counts; n_ctx is its old name. */
static int
read_context(const struct source *src, uint32_t *ret)
{
	const char *key = find(src, "n_positions") ? "n_positions" : "n_ctx";

	return read_int(src, key, (struct range){1, 1 << 20}, ret);
}

static int
read_epsilon(const struct source *src, float *ret)
{
	json_t *value = find(src, "layer_norm_epsilon");
	double epsilon = value ? json_number_value(value) : 1e-5;

	if (!(epsilon > 0 && epsilon < 1))
		return failf(src->failure,
			     "%s: layer_norm_epsilon is %g, expected above 0, below 1", src->path,
			     epsilon);
	*ret = (float)epsilon;
	return 0;
}

static int
read_sizes(const struct source *src, struct model_config *config)
{
	if (read_int(src, "n_layer", (struct range){1, 1024}, &config->layers) < 0 ||
	    read_int(src, "n_embd", (struct range){1, 1 << 16}, &config->embd) < 0 ||
	    read_int(src, "n_head", (struct range){1, 1024}, &config->heads) < 0 ||
	    read_int(src, "vocab_size", (struct range){1, 1 << 24}, &config->vocab) < 0 ||
	    read_optional_int(src, "n_inner", (struct range){1, 1 << 20}, 4 * config->embd,
			      &config->inner) < 0 ||
	    read_context(src, &config->context) < 0)
		return -1;
	if (config->embd % config->heads)
		return failf(src->failure, "%s: n_embd %u is not a multiple of n_head %u",
			     src->path, config->embd, config->heads);
	return 0;
}

int
model_config_read(const char *path, struct model_config *ret, struct failure *failure)
{
	AUTO_JSON json_t *root = NULL;
	struct source src = {.path = path, .failure = failure};
	struct model_config config = {0};
	struct range token;

	if (file_read_json(path, CONFIG_MAX_BYTES, &root, failure) < 0)
		return -1;
	src.root = root;
	if (check_architecture(&src) < 0 || read_sizes(&src, &config) < 0 ||
	    read_epsilon(&src, &config.epsilon) < 0)
		return -1;
	token = (struct range){0, config.vocab - 1};
	if (read_optional_int(&src, "bos_token_id", token, NO_TOKEN, &config.bos) < 0 ||
	    read_optional_int(&src, "eos_token_id", token, NO_TOKEN, &config.eos) < 0)
		return -1;
	config.tied_head = !json_is_false(find(&src, "tie_word_embeddings"));
	*ret = config;
	return 0;
}
