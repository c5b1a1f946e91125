/*
 * Damaged, truncated and mismatched model directories: each gives an error that names what is
 * wrong, and none more than an error.
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

static void
test_intact(void **state)
{
	const struct scratch *scratch = *state;
	struct generate_params params = {.prompt = "the ", .prompt_size = 4, .max_tokens = 5};
	struct generate_hooks hooks = {0};
	struct generate_result result;
	struct failure failure = {.text = ""};
	struct model *model = load_model(scratch->dir);

	assert_int_equal(model->config.layers, SCRATCH_LAYERS);
	assert_int_equal(generate(model, &params, &hooks, &result, &failure), 0);
	assert_int_equal(result.prompt_tokens, 2);
	generate_result_fini(&result);
	model_free(model);
}

static void
test_prefix_and_tied_head(void **state)
{
	struct scratch *scratch = *state;
	json_t *renamed = json_object(), *entry;
	struct model *model;
	const char *name;
	char longer[96];

	json_object_foreach(scratch->header, name, entry)
	{
		snprintf(longer, sizeof(longer), "transformer.%s", name);
		json_object_set(renamed, longer, entry);
	}
	json_decref(scratch->header);
	scratch->header = renamed;
	scratch_write(scratch);
	model = load_model(scratch->dir);
	assert_ptr_equal(model->weights.head, model->weights.token_embd);
	model_free(model);

	json_object_set_new(scratch->config, "tie_word_embeddings", json_false());
	scratch_write(scratch);
	scratch_expect_refused(scratch, "untied without a head",
			       WORDS("tensor lm_head.weight is missing"));
}

/* The four spoilings of one tensor, over every tensor of the model. */
static void
test_every_tensor(void **state)
{
	struct scratch *scratch = *state;
	json_t *intact = scratch->header, *entry;
	const char *name;

	json_object_foreach(intact, name, entry)
	{
		json_t *shape = json_object_get(entry, "shape"), *wrong;

		scratch->header = json_copy(intact);
		wrong = json_deep_copy(entry);
		json_object_set_new(scratch->header, "spare", wrong);
		json_object_del(scratch->header, name);
		scratch_write(scratch);
		scratch_expect_refused(scratch, "missing",
				       WORDS("model.safetensors: tensor ", name, " is missing"));

		json_object_del(scratch->header, "spare");
		wrong = json_deep_copy(entry);
		json_array_append_new(json_object_get(wrong, "shape"), json_integer(1));
		json_object_set_new(scratch->header, name, wrong);
		scratch_write(scratch);
		scratch_expect_refused(scratch, "shape", WORDS(name, "shape [", "expected ["));

		wrong = json_deep_copy(entry);
		json_object_set_new(wrong, "dtype", json_string("I16"));
		json_object_set_new(scratch->header, name, wrong);
		scratch_write(scratch);
		scratch_expect_refused(scratch, "dtype",
				       WORDS(name, "type I16, expected F32, F16 or BF16"));

		wrong = json_deep_copy(entry);
		json_array_set_new(json_object_get(wrong, "shape"), 0,
				   json_integer(json_integer_value(json_array_get(shape, 0)) + 1));
		json_object_set_new(scratch->header, name, wrong);
		scratch_write(scratch);
		scratch_expect_refused(scratch, "bytes", WORDS(name, "does not fit its", "bytes"));
		json_decref(scratch->header);
	}
	scratch->header = intact;
}

static void
test_swapped_dimensions(void **state)
{
	struct scratch *scratch = *state;
	json_t *entry = json_object_get(scratch->header, "h.1.mlp.c_fc.weight");

	json_object_set_new(entry, "shape", json_pack("[i, i]", 32, 8));
	scratch_write(scratch);
	scratch_expect_refused(
		scratch, "swapped",
		WORDS("model.safetensors: tensor h.1.mlp.c_fc.weight: shape [32, 8], "
		      "expected [8, 32]"));
}

static const struct {
	const char *name, *tensor, *entry, *message;
} entries[] = {
	{"no dtype", "ln_f.bias", "{\"shape\":[8],\"data_offsets\":[0,16]}", "dtype"},
	{"dtype unknown", "ln_f.bias", "{\"dtype\":\"F17\",\"shape\":[8],\"data_offsets\":[0,16]}",
	 "dtype"},
	{"entry is a number", "ln_f.bias", "7", "dtype"},
	{"shape is text", "ln_f.bias",
	 "{\"dtype\":\"F16\",\"shape\":\"8\",\"data_offsets\":[0,16]}", "shape"},
	{"shape is negative", "ln_f.bias",
	 "{\"dtype\":\"F16\",\"shape\":[-8],\"data_offsets\":[0,16]}", "shape"},
	{"shape overflows", "ln_f.bias",
	 "{\"dtype\":\"F16\",\"shape\":[4611686018427387904,4611686018427387904,4],"
	 "\"data_offsets\":[0,16]}",
	 "shape"},
	{"bytes overflow", "ln_f.bias",
	 "{\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}",
	 "does not fit"},
	{"too many dimensions", "ln_f.bias",
	 "{\"dtype\":\"F16\",\"shape\":[1,1,1,1,1,1,1,1,8],\"data_offsets\":[0,16]}", "shape"},
	{"offsets missing", "ln_f.bias", "{\"dtype\":\"F16\",\"shape\":[8]}", "data_offsets"},
	{"offsets reversed", "ln_f.bias",
	 "{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[16,0]}", "data_offsets"},
	{"offsets negative", "ln_f.bias",
	 "{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[-16,0]}", "data_offsets"},
	{"offsets three", "ln_f.bias",
	 "{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[0,16,32]}", "data_offsets"},
	{"offsets huge", "ln_f.bias",
	 "{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[9223372036854775791,"
	 "9223372036854775807]}",
	 "but the file holds"},
	{"overlap", "ln_f.bias", "{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[8,24]}",
	 "overlaps another"},
};

static void
test_header_entries(void **state)
{
	struct scratch *scratch = *state;

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		json_t *entry = json_loads(entries[i].entry, JSON_DECODE_ANY, NULL);

		assert_non_null(entry);
		json_object_set_new(scratch->header, entries[i].tensor, entry);
		scratch_write(scratch);
		scratch_expect_refused(scratch, entries[i].name,
				       WORDS("model.safetensors: tensor ", entries[i].message));
	}
}

static void
test_gap_and_excess(void **state)
{
	struct scratch *scratch = *state;
	json_t *last = json_object_get(scratch->header, "ln_f.bias");
	json_int_t begin = (json_int_t)scratch->data_bytes;

	scratch->data_bytes += 6;
	scratch_write(scratch);
	scratch_expect_refused(scratch, "bytes at the end",
			       WORDS("tensors end at byte", "which has"));

	json_object_set_new(last, "data_offsets", json_pack("[I, I]", begin - 10, begin + 6));
	scratch_write(scratch);
	scratch_expect_refused(scratch, "gap", WORDS("tensor ln_f.bias", "leaves a gap"));
}

static void
write_weights(const struct scratch *scratch, uint64_t length, const char *header, size_t more)
{
	size_t size = sizeof(length) + strlen(header) + more;
	char *all = calloc(1, size);

	memcpy(all, &length, sizeof(length));
	memcpy(all + sizeof(length), header, strlen(header));
	scratch_write_file(scratch, "model.safetensors", all, size);
	free(all);
}

static const struct {
	const char *name;
	uint64_t length;
	const char *header, *message;
} headers[] = {
	{"longer than the file", 1000, "{}", "header of 1000 bytes"},
	{"largest length", UINT64_MAX, "{}", "header of 18446744073709551615 bytes"},
	{"length of 2^63", 1ull << 63, "{}", "header of 9223372036854775808 bytes"},
	{"empty", 0, "", "header is not valid JSON"},
	{"not JSON", 6, "hello!", "header is not valid JSON"},
	{"an array", 2, "[]", "header is not a JSON object"},
	{"cut", 9, "{\"a\":{\"dt", "header is not valid JSON"},
	{"twice the same name", 13, "{\"a\":1,\"a\":1}", "header is not valid JSON"},
	{"NUL in a name", 14, "{\"a\\u0000\":{}} ", "header is not valid JSON"},
	{"no tensors", 2, "{}", "tensor wte.weight is missing"},
};

static void
test_headers(void **state)
{
	const struct scratch *scratch = *state;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		write_weights(scratch, headers[i].length, headers[i].header, 0);
		scratch_expect_refused(scratch, headers[i].name,
				       WORDS("model.safetensors: ", headers[i].message));
	}
}

static void
test_deeply_nested_header(void **state)
{
	const struct scratch *scratch = *state;
	size_t depth = 1 << 20;
	char *header = malloc(depth + 1);

	memset(header, '[', depth);
	header[depth] = '\0';
	write_weights(scratch, depth, header, 0);
	free(header);
	scratch_expect_refused(scratch, "nested", WORDS("header is not valid JSON"));
}

/* Every length from nothing to one byte less than all. */
static void
test_truncated_weights(void **state)
{
	const struct scratch *scratch = *state;
	size_t size;
	char *data = scratch_read_file(scratch, "model.safetensors", &size);

	for (size_t length = 0; length < size; length += length < 64 ? 1 : 13) {
		scratch_write_file(scratch, "model.safetensors", data, length);
		scratch_expect_refused(scratch, "truncated", WORDS("model.safetensors: "));
	}
	scratch_write_file(scratch, "model.safetensors", data, size - 1);
	scratch_expect_refused(scratch, "truncated by one",
			       WORDS("tensor ln_f.bias: ends at", "truncated"));
	free(data);
}

/* The other files, truncated: an error or, for merges.txt at a line's end, fewer merges. */
static void
test_truncated_texts(void **state)
{
	static const char *const names[] = {"config.json", "vocab.json", "merges.txt"};
	const struct scratch *scratch = *state;

	for (size_t n = 0; n < 3; n++) {
		size_t size;
		char *data = scratch_read_file(scratch, names[n], &size);

		for (size_t length = 0; length < size; length += n == 1 ? 3 : 1) {
			struct failure failure = {.text = ""};
			struct model *model = NULL;

			scratch_write_file(scratch, names[n], data, length);
			if (model_load(scratch->dir, &model, &failure) == 0)
				assert_int_equal(n, 2);
			else
				assert_non_null(strstr(failure.text, names[n]));
			model_free(model);
		}
		scratch_write_file(scratch, names[n], data, size);
		free(data);
	}
}

/* Whatever a damaged file does, it is an error or a model that computes something. */
static void
load_whatever(const struct scratch *scratch)
{
	struct generate_params params = {.prompt = "the", .prompt_size = 3, .max_tokens = 2};
	struct generate_hooks hooks = {0};
	struct generate_result result;
	struct failure failure = {.text = ""};
	struct model *model = NULL;

	if (model_load(scratch->dir, &model, &failure) < 0) {
		assert_true(strlen(failure.text) > 0);
		return;
	}
	if (generate(model, &params, &hooks, &result, &failure) == 0)
		generate_result_fini(&result);
	model_free(model);
}

static void
test_random_damage(void **state)
{
	static const char *const names[] = {"model.safetensors", "config.json", "vocab.json",
					    "merges.txt"};
	const struct scratch *scratch = *state;
	uint64_t random = 11;

	for (size_t n = 0; n < 4; n++) {
		size_t size, header;
		char *data = scratch_read_file(scratch, names[n], &size);

		header = n == 0 ? size - scratch->data_bytes : size;
		for (int round = 0; round < 300; round++) {
			char *spoilt = malloc(size);

			memcpy(spoilt, data, size);
			for (uint64_t hits = 1 + test_random(&random) % 3; hits; hits--)
				spoilt[test_random(&random) % header] = (char)test_random(&random);
			scratch_write_file(scratch, names[n], spoilt, size);
			free(spoilt);
			load_whatever(scratch);
		}
		scratch_write_file(scratch, names[n], data, size);
		free(data);
	}
}

/* Weights that are no numbers are found when they are used. */
static void
test_weights_that_are_no_numbers(void **state)
{
	const struct scratch *scratch = *state;
	struct generate_params params = {.prompt = "the", .prompt_size = 3, .max_tokens = 2};
	struct generate_hooks hooks = {0};
	struct generate_result result;
	struct failure failure = {.text = ""};
	struct model *model;
	float vector[SCRATCH_EMBD];
	size_t tokens;
	size_t size;
	char *data = scratch_read_file(scratch, "model.safetensors", &size);

	memset(data + size - 16, 0x7f, 16); /* ln_f.bias */
	scratch_write_file(scratch, "model.safetensors", data, size);
	free(data);
	model = load_model(scratch->dir);
	assert_int_equal(generate(model, &params, &hooks, &result, &failure), -1);
	assert_non_null(strstr(failure.text, "the weights are damaged"));
	assert_true(failure.internal);
	failure = (struct failure){.text = ""};
	assert_int_equal(embed_text(model, "the", 3, false, vector, &tokens, &failure), -1);
	assert_non_null(strstr(failure.text, "the weights are damaged"));
	assert_true(failure.internal);
	model_free(model);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_intact),
		CASE(test_prefix_and_tied_head),
		CASE(test_every_tensor),
		CASE(test_swapped_dimensions),
		CASE(test_header_entries),
		CASE(test_gap_and_excess),
		CASE(test_headers),
		CASE(test_deeply_nested_header),
		CASE(test_truncated_weights),
		CASE(test_truncated_texts),
		CASE(test_random_damage),
		CASE(test_weights_that_are_no_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
