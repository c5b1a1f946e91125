/*
 * Model directories whose parts do not fit together: each gives an error that names what is wrong.
 */
#include "generate.h"
#include "scratch_model.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
setup(void **state)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));

	scratch_init(scratch);
	*state = scratch;
	return 0;
}

static int
teardown(void **state)
{
	scratch_fini(*state);
	free(*state);
	return 0;
}

static const struct {
	const char *name, *key, *value, *message;
} configs[] = {
	{"another architecture", "model_type", "\"llama\"", "model_type is \"llama\""},
	{"another activation", "activation_function", "\"relu\"",
	 "activation_function is \"relu\"; this plugin computes \"gelu_new\" only"},
	{"activation is a number", "activation_function", "3", "activation_function"},
	{"other scaling", "scale_attn_by_inverse_layer_idx", "true",
	 "scale_attn_by_inverse_layer_idx is not false"},
	{"no layers", "n_layer", "0", "n_layer is 0, expected 1 to 1024"},
	{"layers missing", "n_layer", "null", "n_layer is missing"},
	{"layers are text", "n_layer", "\"2\"", "n_layer is not an integer"},
	{"layers huge", "n_layer", "9223372036854775807", "n_layer is 9223372036854775807"},
	{"too many layers", "n_layer", "3", "tensor h.2.ln_1.weight is missing"},
	{"heads do not divide", "n_head", "3", "n_embd 8 is not a multiple of n_head 3"},
	{"width differs", "n_embd", "16",
	 "tensor wte.weight: shape [260, 8], expected [260, 16] as config.json says"},
	{"context differs", "n_positions", "32",
	 "tensor wpe.weight: shape [16, 8], expected [32, 8]"},
	{"inner differs", "n_inner", "8",
	 "tensor h.0.mlp.c_fc.weight: shape [8, 32], expected [8, 8]"},
	{"vocabulary differs", "vocab_size", "300",
	 "vocab.json: 260 tokens, but config.json says vocab_size 300"},
	{"epsilon is zero", "layer_norm_epsilon", "0", "layer_norm_epsilon is 0"},
	{"end token out of range", "eos_token_id", "5000", "eos_token_id is 5000, expected 0 to"},
};

static void
test_configs(void **state)
{
	struct scratch *scratch = *state;
	json_t *intact = scratch->config;

	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		scratch->config = json_copy(intact);
		json_object_set_new(scratch->config, configs[i].key,
				    json_loads(configs[i].value, JSON_DECODE_ANY, NULL));
		/* an end token out of the way of a smaller vocabulary */
		scratch_write(scratch);
		scratch_expect_refused(scratch, configs[i].name, WORDS(configs[i].message));
		json_decref(scratch->config);
	}
	scratch->config = intact;
}

static const struct {
	const char *name, *merges, *message;
} merges[] = {
	{"unknown left", "zz h\n", "merges.txt:1: token \"zz\" is not in vocab.json"},
	{"unknown result", "#version: 0.2\nt h\nh t\n",
	 "merges.txt:3: token \"ht\" is not in vocab.json"},
	{"one token", "#version: 0.2\nth\n", "merges.txt:2: expected two tokens"},
	{"three tokens", "t h e\n", "merges.txt:1: expected two tokens"},
	{"two spaces", "t  h\n", "merges.txt:1: expected two tokens"},
	{"again", "t h\nth e\nt h\n", "merges.txt:3: \"t h\" is merged a second time"},
};

static void
test_merges(void **state)
{
	struct scratch *scratch = *state;

	for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++) {
		scratch->merges = merges[i].merges;
		scratch_write(scratch);
		scratch_expect_refused(scratch, merges[i].name, WORDS(merges[i].message));
	}
}

static void
test_vocabularies(void **state)
{
	struct scratch *scratch = *state;

	json_object_set_new(scratch->vocab, "the", json_integer(256));
	scratch_write(scratch);
	scratch_expect_refused(scratch, "same number",
			       WORDS("vocab.json: tokens \"", "same number 256"));

	json_object_set_new(scratch->vocab, "the", json_integer(260));
	scratch_write(scratch);
	scratch_expect_refused(scratch, "number too high",
			       WORDS("vocab.json: token \"the\" is not numbered 0 to 259"));

	json_object_set_new(scratch->vocab, "the", json_string("x"));
	scratch_write(scratch);
	scratch_expect_refused(scratch, "not a number", WORDS("vocab.json: token \"the\""));

	json_object_set_new(scratch->vocab, "the", json_integer(257));
	json_object_del(scratch->vocab, "A");
	json_object_set_new(scratch->vocab, "AA", json_integer('A'));
	scratch_write(scratch);
	scratch_expect_refused(scratch, "byte missing",
			       WORDS("vocab.json: no token for the single byte 0x41"));
}

static void
test_missing_files(void **state)
{
	static const char *const names[] = {"config.json", "vocab.json", "merges.txt",
					    "model.safetensors"};
	const struct scratch *scratch = *state;
	char path[128];

	for (size_t i = 0; i < 4; i++) {
		scratch_write(scratch);
		snprintf(path, sizeof(path), "%s/%s", scratch->dir, names[i]);
		assert_int_equal(remove(path), 0);
		scratch_expect_refused(scratch, names[i], WORDS(path, "No such file or directory"));
	}
	scratch_write(scratch);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_configs),
		CASE(test_merges),
		CASE(test_vocabularies),
		CASE(test_missing_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
