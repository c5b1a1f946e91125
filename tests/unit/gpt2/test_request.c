/* What callers may ask, and what they are told otherwise; the holder of the model. */
#include "holder.h"
#include "request.h"
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { GENERATE, TOKENIZE, EMBED, EMPTY };

static int
parse(enum kind kind, const char *json, size_t size, struct failure *failure)
{
	struct generate_request generate;
	struct tokenize_request tokenize;
	struct embed_request embed;
	json_t *root = NULL;
	int result;

	switch (kind) {
	case GENERATE:
		result = generate_request_parse(json, size, 10, &generate, failure);
		root = result == 0 ? generate.root : NULL;
		break;
	case TOKENIZE:
		result = tokenize_request_parse(json, size, &tokenize, failure);
		root = result == 0 ? tokenize.root : NULL;
		break;
	case EMBED:
		result = embed_request_parse(json, size, 2, &embed, failure);
		root = result == 0 ? embed.root : NULL;
		break;
	default:
		return empty_request_check(json, size, failure);
	}
	json_decref(root);
	return result;
}

static const struct {
	enum kind kind;
	const char *json, *message; /* NULL: accepted */
} cases[] = {
	{GENERATE, "{\"prompt\":\"x\"}", NULL},
	{GENERATE, "{\"prompt\":\"\"}", NULL},
	{GENERATE, "{\"prompt\":\"x\",\"temperature\":0,\"top_k\":0,\"top_p\":1,\"seed\":0}", NULL},
	{GENERATE, "{\"prompt\":\"x\",\"stop\":\"y\",\"stream\":true,\"max_tokens\":1}", NULL},
	{GENERATE, "", "prompt is missing, expected text"},
	{GENERATE, "{}", "prompt is missing, expected text"},
	{GENERATE, "{\"prompt\":7}", "prompt is not text, expected text"},
	{GENERATE, "{\"prompt\":\"x\",\"max_token\":3}",
	 "\"max_token\" is not a key of this request; expected prompt, max_tokens, temperature, "
	 "top_k, top_p, seed, stop, stream"},
	{GENERATE, "{\"prompt\":\"x\",\"max_tokens\":0}",
	 "max_tokens is 0, expected 1 to 2147483647"},
	{GENERATE, "{\"prompt\":\"x\",\"max_tokens\":1.5}", "max_tokens is not an integer"},
	{GENERATE, "{\"prompt\":\"x\",\"max_tokens\":99999999999}",
	 "max_tokens is 99999999999, expected 1 to 2147483647"},
	{GENERATE, "{\"prompt\":\"x\",\"temperature\":-0.1}",
	 "temperature is -0.1, expected 0 to 100"},
	{GENERATE, "{\"prompt\":\"x\",\"temperature\":\"1\"}", "temperature is not a number"},
	{GENERATE, "{\"prompt\":\"x\",\"top_p\":1.01}", "top_p is 1.01, expected 0 to 1"},
	{GENERATE, "{\"prompt\":\"x\",\"top_k\":-1}", "top_k is -1, expected 0 to 4294967295"},
	{GENERATE, "{\"prompt\":\"x\",\"seed\":-1}",
	 "seed is -1, expected 0 to 9223372036854775807"},
	{GENERATE, "{\"prompt\":\"x\",\"stop\":[\"a\",\"\"]}",
	 "stop has a text of 0 bytes, expected 1 to 256 without a NUL"},
	{GENERATE, "{\"prompt\":\"x\",\"stop\":[\"a\\u0000b\"]}",
	 "stop has a text of 3 bytes, expected 1 to 256 without a NUL"},
	{GENERATE, "{\"prompt\":\"x\",\"stop\":[1]}", "stop is not text or a list of texts"},
	{GENERATE, "{\"prompt\":\"x\",\"stop\":{}}", "stop is not text or a list of texts"},
	{GENERATE,
	 "{\"prompt\":\"x\",\"stop\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
	 "\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]}",
	 "stop has more than 16 texts"},
	{GENERATE, "{\"prompt\":\"x\",\"stream\":1}", "stream is not true or false"},
	{GENERATE, "{\"prompt\":\"x\"", "not valid JSON: "},
	{GENERATE, "{\"prompt\":\"\xff\"}", "not valid JSON: "},
	{GENERATE, "{\"prompt\":\"\\ud800\"}", "not valid JSON: "},
	{GENERATE, "{\"prompt\":\"x\",\"prompt\":\"y\"}", "not valid JSON: duplicate object key"},
	{GENERATE, "[]", "the request is not a JSON object"},
	{GENERATE, "null", "not valid JSON: "},
	{TOKENIZE, "{\"text\":\"\"}", NULL},
	{TOKENIZE, "{\"tokens\":[]}", NULL},
	{TOKENIZE, "{\"tokens\":[1,2]}", NULL},
	{TOKENIZE, "{}", "expected either text, to be encoded, or tokens, to be decoded"},
	{TOKENIZE, "{\"text\":\"a\",\"tokens\":[]}",
	 "expected either text, to be encoded, or tokens, to be decoded"},
	{TOKENIZE, "{\"text\":[\"a\"]}", "text is not text, expected text"},
	{TOKENIZE, "{\"tokens\":\"a\"}", "tokens is not a list"},
	{TOKENIZE, "{\"tokens\":[1,\"a\"]}", "tokens[1] is not an integer"},
	{EMBED, "{\"input\":\"a\"}", NULL},
	{EMBED, "{\"input\":[\"a\",\"b\"],\"normalize\":true}", NULL},
	{EMBED, "{}", "input is missing, expected text"},
	{EMBED, "{\"input\":[]}", "input has 0 texts, expected 1 to 2 (max_batch_size)"},
	{EMBED, "{\"input\":[\"a\",\"b\",\"c\"]}",
	 "input has 3 texts, expected 1 to 2 (max_batch_size)"},
	{EMBED, "{\"input\":[\"a\",3]}", "input is not text, expected text"},
	{EMBED, "{\"input\":\"a\",\"normalize\":\"yes\"}", "normalize is not true or false"},
	{EMPTY, "", NULL},
	{EMPTY, "{}", NULL},
	{EMPTY, "{\"now\":true}", "\"now\" is not a key of this request; expected none"},
};

static void
test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct failure failure = {.text = ""};
		int result = parse(cases[i].kind, cases[i].json, strlen(cases[i].json), &failure);

		if ((result == 0) != !cases[i].message)
			fail_msg("%s: %s", cases[i].json, result ? failure.text : "accepted");
		if (result < 0 &&
		    strncmp(failure.text, cases[i].message, strlen(cases[i].message)) != 0)
			fail_msg("%s: \"%s\", expected \"%s\"", cases[i].json, failure.text,
				 cases[i].message);
	}
}

static void
test_what_a_request_says(void **state)
{
	static const char json[] = "{\"prompt\":\"a\\u0000b\",\"max_tokens\":3,\"temperature\":0.5,"
				   "\"top_k\":4,\"top_p\":0.25,\"seed\":9007199254740993,"
				   "\"stop\":[\"x\",\"yz\"],\"stream\":false}";
	struct failure failure = {.text = ""};
	struct generate_request request;

	(void)state;
	assert_int_equal(generate_request_parse(json, strlen(json), 10, &request, &failure), 0);
	assert_int_equal(request.params.prompt_size, 3);
	assert_memory_equal(request.params.prompt, "a\0b", 3);
	assert_int_equal(request.params.max_tokens, 3);
	assert_true(request.params.sampling.temperature == 0.5);
	assert_int_equal(request.params.sampling.top_k, 4);
	assert_true(request.params.sampling.top_p == 0.25);
	assert_int_equal(request.params.sampling.seed, 9007199254740993);
	assert_int_equal(request.params.stop.count, 2);
	assert_string_equal(request.params.stop.strings[1], "yz");
	assert_true(request.seeded && !request.stream);
	json_decref(request.root);
}

static void
test_defaults(void **state)
{
	struct failure failure = {.text = ""};
	struct generate_request request;

	(void)state;
	assert_int_equal(generate_request_parse("{\"prompt\":\"x\"}", 14, 77, &request, &failure),
			 0);
	assert_int_equal(request.params.max_tokens, 77);
	assert_true(request.stream && !request.seeded);
	assert_int_equal(request.params.stop.count, 0);
	json_decref(request.root);
}

static void
test_text_too_long(void **state)
{
	size_t size = REQUEST_TEXT_MAX_BYTES + 16;
	struct failure failure = {.text = ""};
	struct tokenize_request request;
	char *json = malloc(size);

	(void)state;
	memset(json, 'a', size);
	memcpy(json, "{\"text\":\"", 9);
	memcpy(json + size - 2, "\"}", 2);
	assert_int_equal(tokenize_request_parse(json, size, &request, &failure), -1);
	assert_string_equal(failure.text, "text is 1048581 bytes, expected at most 1048576");
	free(json);
}

static void
test_holder(void **state)
{
	struct failure failure = {.text = ""};
	struct holder holder;
	struct held *held;

	(void)state;
	assert_int_equal(holder_init(&holder, GPT2_MODEL_DIR, &failure), 0);
	assert_null(holder_take(&holder));
	assert_false(holder_unload(&holder));
	assert_int_equal(holder_load(&holder, &failure), 0);
	held = holder_take(&holder);
	assert_int_equal(holder_load(&holder, &failure), 0); /* loaded already: the same one */
	assert_ptr_equal(holder_take(&holder), held);
	holder_release(&holder, held);
	assert_true(holder_unload(&holder));
	assert_null(holder_take(&holder));
	assert_true(held_model(held)->config.layers > 0); /* still ours */
	holder_release(&holder, held);
	holder_fini(&holder);
}

static void
test_holder_of_nothing(void **state)
{
	struct failure failure = {.text = ""};
	struct holder holder;

	(void)state;
	assert_int_equal(holder_init(&holder, "/nonexistent", &failure), 0);
	assert_int_equal(holder_load(&holder, &failure), -1);
	assert_string_equal(failure.text, "/nonexistent/config.json: No such file or directory");
	assert_null(holder_take(&holder));
	holder_fini(&holder);
}

static void *
use_model(void *arg)
{
	struct holder *holder = arg;
	size_t used = 0;

	while (used < 200) {
		struct held *held = holder_take(holder);

		if (held)
			used += held_model(held)->weights.parameters > 0;
		else
			holder_load(holder, NULL);
		holder_release(holder, held);
	}
	return NULL;
}

static void *
drop_model(void *arg)
{
	for (int i = 0; i < 10; i++)
		holder_unload(arg);
	return NULL;
}

static void
test_unload_while_in_use(void **state)
{
	struct failure failure = {.text = ""};
	pthread_t users[4], dropper;
	struct holder holder;

	(void)state;
	assert_int_equal(holder_init(&holder, GPT2_MODEL_DIR, &failure), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&users[i], NULL, use_model, &holder), 0);
	assert_int_equal(pthread_create(&dropper, NULL, drop_model, &holder), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(users[i], NULL);
	pthread_join(dropper, NULL);
	holder_fini(&holder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_what_a_request_says),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_text_too_long),
		cmocka_unit_test(test_holder),
		cmocka_unit_test(test_holder_of_nothing),
		cmocka_unit_test(test_unload_while_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
