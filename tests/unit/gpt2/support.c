#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct model *
load_model(const char *dir)
{
	struct failure failure = {.text = ""};
	struct model *model = NULL;

	if (model_load(dir, &model, &failure) < 0)
		fail_msg("%s", failure.text);
	return model;
}

json_t *
load_golden(const char *name)
{
	json_error_t error;
	char path[512];
	json_t *root;

	snprintf(path, sizeof(path), "%s/%s", GPT2_GOLDEN_DIR, name);
	root = json_load_file(path, JSON_ALLOW_NUL, &error);
	if (!json_is_array(root) || json_array_size(root) == 0)
		fail_msg("%s: not an array with cases: %s", path, error.text);
	return root;
}

struct token_list
encode(const struct model *model, const char *text, size_t size)
{
	struct failure failure = {.text = ""};
	struct token_list tokens = {0};

	if (tokenizer_encode(&model->vocab, text, size, &tokens, &failure) < 0)
		fail_msg("%s", failure.text);
	return tokens;
}

struct token_list
tokens_of(const json_t *array)
{
	struct token_list tokens = {0};

	assert_true(json_is_array(array));
	for (size_t i = 0; i < json_array_size(array); i++)
		assert_int_equal(token_list_add(&tokens, (uint32_t)json_integer_value(
								 json_array_get(array, i))),
				 0);
	return tokens;
}

void
assert_same_tokens(const char *label, const struct token_list *found, const json_t *expected)
{
	if (found->count != json_array_size(expected))
		fail_msg("%s: %zu tokens, expected %zu", label, found->count,
			 json_array_size(expected));
	for (size_t i = 0; i < found->count; i++) {
		json_int_t want = json_integer_value(json_array_get(expected, i));

		if (found->ids[i] != want)
			fail_msg("%s: token %zu is %u, expected %d", label, i, found->ids[i],
				 (int)want);
	}
}

void
assert_same_text(const char *label, const char *found, size_t size, const json_t *expected)
{
	if (size != json_string_length(expected) ||
	    (size && memcmp(found, json_string_value(expected), size) != 0))
		fail_msg("%s: \"%.*s\" of %zu bytes, expected \"%s\" of %zu", label, (int)size,
			 found, size, json_string_value(expected), json_string_length(expected));
}

int
setup_model(void **state)
{
	*state = load_model(GPT2_MODEL_DIR);
	return 0;
}

int
teardown_model(void **state)
{
	model_free(*state);
	return 0;
}

uint64_t
test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}
