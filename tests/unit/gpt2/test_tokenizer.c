/* Byte-level BPE against the reference: see tools/train-gpt2/golden.py. */
#include "pretokenize.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
check_decoded(const struct model *model, const char *label, const json_t *golden)
{
	struct token_list ids = tokens_of(json_object_get(golden, "ids"));
	struct failure failure = {.text = ""};
	struct text text = {0};

	assert_int_equal(tokenizer_decode(&model->vocab, ids.ids, ids.count, &text, &failure), 0);
	assert_same_text(label, text.data, text.size, json_object_get(golden, "decoded"));
	text_fini(&text);
	token_list_fini(&ids);
}

static void
test_reference_strings(void **state)
{
	const struct model *model = *state;
	json_t *cases = load_golden("tokens.json"), *golden;
	char label[128];
	size_t i;

	json_array_foreach(cases, i, golden)
	{
		const json_t *text = json_object_get(golden, "text");
		struct token_list found =
			encode(model, json_string_value(text), json_string_length(text));

		snprintf(label, sizeof(label), "case %zu \"%.80s\"", i, json_string_value(text));
		assert_same_tokens(label, &found, json_object_get(golden, "ids"));
		check_decoded(model, label, golden);
		token_list_fini(&found);
	}
	json_decref(cases);
}

static void
test_broken_bytes_decode_as_in_the_reference(void **state)
{
	json_t *cases = load_golden("broken.json"), *golden;
	char label[64];
	size_t i;

	json_array_foreach(cases, i, golden)
	{
		snprintf(label, sizeof(label), "broken bytes %zu", i);
		check_decoded(*state, label, golden);
	}
	json_decref(cases);
}

static const struct {
	const char *name, *text;
	const char *words[8];
} cuts[] = {
	{"spaces leave one", "a   b", {"a", "  ", " b"}},
	{"trailing spaces stay together", "a   ", {"a", "   "}},
	{"newline is not taken along", "a \nb", {"a", " ", "\n", "b"}},
	{"contraction", "we'll", {"we", "'ll"}},
	{"no contraction in capitals", "WE'LL", {"WE", "'", "LL"}},
	{"digits", "a12 34", {"a", "12", " 34"}},
	{"signs swallow quotes", "!'s", {"!'", "s"}},
	{"combining mark is no letter", "e\xcc\x81x", {"e", "\xcc\x81", "x"}},
	{"no-break space is whitespace", "a\xc2\xa0 b", {"a", "\xc2\xa0", " b"}},
	{"zero-width space is not",
	 "a\xe2\x80\x8b"
	 "b",
	 {"a", "\xe2\x80\x8b", "b"}},
};

static void
test_pretokenize(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		const char *at = cuts[i].text;

		for (size_t w = 0; cuts[i].words[w]; w++) {
			size_t size = pretokenize(at, strlen(at));

			if (size != strlen(cuts[i].words[w]) ||
			    memcmp(at, cuts[i].words[w], size) != 0)
				fail_msg("%s: word %zu is \"%.*s\"", cuts[i].name, w, (int)size,
					 at);
			at += size;
		}
		assert_string_equal(at, "");
	}
}

static const struct {
	const char *name, *text;
	size_t size;
	const char *message;
} refused[] = {
	{"lone continuation", "a\x80", 2, "text is not UTF-8 at byte 1"},
	{"cut character", "ab\xe2\x82", 4, "text is not UTF-8 at byte 2"},
	{"overlong", "\xc0\xaf", 2, "text is not UTF-8 at byte 0"},
	{"surrogate", "x\xed\xa0\x80", 4, "text is not UTF-8 at byte 1"},
	{"above U+10FFFF", "\xf4\x90\x80\x80", 4, "text is not UTF-8 at byte 0"},
};

static void
test_what_is_no_text_is_refused(void **state)
{
	const struct model *model = *state;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct token_list tokens = {0};
		struct failure failure = {.text = ""};

		if (tokenizer_encode(&model->vocab, refused[i].text, refused[i].size, &tokens,
				     &failure) == 0)
			fail_msg("%s: accepted", refused[i].name);
		assert_string_equal(failure.text, refused[i].message);
		token_list_fini(&tokens);
	}
}

/* Any text must come back as it was: byte-level BPE loses nothing. */
static void
test_round_trip_of_random_text(void **state)
{
	static const char *const parts[] = {"the", " ",   "\n", "'s", "é",  "🙂",
					    "9",   "Mr.", "--", "\t", "\"", "\xe3\x80\x80",
					    "q",   "日本"};
	const struct model *model = *state;
	struct failure failure = {.text = ""};
	uint64_t random = 1;

	for (int round = 0; round < 2000; round++) {
		struct text text = {0}, back = {0};
		struct token_list tokens;
		size_t count = test_random(&random) % 40;

		text_append(&text, "", 0);
		for (size_t i = 0; i < count; i++) {
			const char *part =
				parts[test_random(&random) % (sizeof(parts) / sizeof(parts[0]))];

			assert_int_equal(text_append(&text, part, strlen(part)), 0);
		}
		tokens = encode(model, text.data, text.size);
		assert_int_equal(
			tokenizer_decode(&model->vocab, tokens.ids, tokens.count, &back, &failure),
			0);
		assert_int_equal(back.size, text.size);
		assert_memory_equal(back.data ? back.data : "", text.data, text.size);
		token_list_fini(&tokens);
		text_fini(&text);
		text_fini(&back);
	}
}

/* One word of a megabyte: quadratic work would take hours. */
static void
test_a_very_long_word(void **state)
{
	size_t size = 1 << 20;
	char *text = malloc(size);
	struct token_list tokens;

	for (size_t i = 0; i < size; i++)
		text[i] = "thequickbrownfox"[i % 16];
	tokens = encode(*state, text, size);
	assert_true(tokens.count > size / 16 && tokens.count < size);
	token_list_fini(&tokens);
	free(text);
}

static void
test_decode_refuses_unknown_tokens(void **state)
{
	const struct model *model = *state;
	const uint32_t ids[] = {0, model->vocab.size};
	struct failure failure = {.text = ""};
	struct text text = {0};
	char expected[64];

	assert_int_equal(tokenizer_decode(&model->vocab, ids, 2, &text, &failure), -1);
	snprintf(expected, sizeof(expected), "token %u at 1, expected 0 to %u", model->vocab.size,
		 model->vocab.size - 1);
	assert_string_equal(failure.text, expected);
	text_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_strings),
		cmocka_unit_test(test_broken_bytes_decode_as_in_the_reference),
		cmocka_unit_test(test_pretokenize),
		cmocka_unit_test(test_what_is_no_text_is_refused),
		cmocka_unit_test(test_round_trip_of_random_text),
		cmocka_unit_test(test_a_very_long_word),
		cmocka_unit_test(test_decode_refuses_unknown_tokens),
	};

	return cmocka_run_group_tests(tests, setup_model, teardown_model);
}
