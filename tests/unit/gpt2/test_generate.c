/* Generation with the shipped model: why it ends, what is streamed, many at once. */
#include "generate.h"
#include "kernels.h"
#include "session.h"
#include "support.h"
#include "utf8.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "It is a truth universally acknowledged, that"

/* What a caller of generate() saw. */
struct seen {
	struct text text;
	size_t pieces;
	size_t refuse_after; /* pieces; 0: never */
	size_t asked, cancel_after;
	bool bad_piece;
};

static int
on_text(const char *text, size_t size, void *user)
{
	struct seen *seen = user;
	uint32_t c;
	int n;

	seen->pieces++;
	seen->bad_piece |= size == 0;
	for (size_t at = 0; at < size; at += (size_t)n) {
		n = utf8_next((const unsigned char *)text + at, size - at, &c);
		if (n <= 0) {
			seen->bad_piece = true;
			break;
		}
	}
	text_append(&seen->text, text, size);
	return seen->refuse_after && seen->pieces >= seen->refuse_after;
}

static bool
on_cancelled(void *user)
{
	struct seen *seen = user;

	return ++seen->asked > seen->cancel_after && seen->cancel_after;
}

static struct generate_params
params_for(const char *prompt, uint32_t max_tokens)
{
	return (struct generate_params){.prompt = prompt,
					.prompt_size = strlen(prompt),
					.max_tokens = max_tokens,
					.sampling = {.top_p = 1}};
}

static struct generate_result
run(const struct model *model, const struct generate_params *params, struct seen *seen)
{
	struct generate_hooks hooks = {on_text, on_cancelled, seen};
	struct generate_result result;
	struct failure failure = {.text = ""};

	if (generate(model, params, &hooks, &result, &failure) < 0)
		fail_msg("%s", failure.text);
	assert_false(seen->bad_piece);
	assert_int_equal(seen->text.size, result.text.size);
	if (result.text.size)
		assert_memory_equal(seen->text.data, result.text.data, result.text.size);
	text_fini(&seen->text);
	return result;
}

static void
test_length(void **state)
{
	static const uint32_t wanted[] = {1, 2, 17, 64};

	for (size_t i = 0; i < 4; i++) {
		struct generate_params params = params_for(PROMPT, wanted[i]);
		struct seen seen = {0};
		struct generate_result result = run(*state, &params, &seen);

		assert_string_equal(finish_name(result.finish), "length");
		assert_int_equal(result.completion_tokens, wanted[i]);
		assert_true(seen.pieces <= wanted[i] && result.text.size > 0);
		generate_result_fini(&result);
	}
}

static void
test_no_tokens_wanted(void **state)
{
	struct generate_params params = params_for(PROMPT, 0);
	struct seen seen = {0};
	struct generate_result result = run(*state, &params, &seen);

	assert_int_equal(result.finish, FINISH_LENGTH);
	assert_int_equal(result.completion_tokens, 0);
	generate_result_fini(&result);
}

/* The context is full after context - prompt tokens, whatever max_tokens says. */
static void
test_context_is_the_limit(void **state)
{
	const struct model *model = *state;
	struct text prompt = {0};

	for (uint32_t words = 1; words < model->config.context; words += 50) {
		struct generate_params params;
		struct seen seen = {0};
		struct generate_result result;
		struct token_list tokens;

		prompt.size = 0;
		for (uint32_t i = 0; i < words; i++)
			text_append(&prompt, " the", 4);
		tokens = encode(model, prompt.data, prompt.size);
		params = params_for(prompt.data, UINT32_MAX);
		params.sampling.temperature = 1;
		result = run(model, &params, &seen);
		if (result.finish == FINISH_LENGTH)
			assert_int_equal(result.completion_tokens,
					 model->config.context - tokens.count);
		assert_int_equal(result.prompt_tokens, tokens.count);
		token_list_fini(&tokens);
		generate_result_fini(&result);
	}
	text_fini(&prompt);
}

static void
test_prompt_that_leaves_no_room(void **state)
{
	const struct model *model = *state;
	struct generate_hooks hooks = {0};
	struct failure failure = {.text = ""};
	struct generate_result result;
	struct text prompt = {0};
	struct generate_params params;
	char expected[128];

	for (uint32_t i = 0; i < model->config.context; i++)
		text_append(&prompt, " the", 4);
	params = params_for(prompt.data, 1);
	assert_int_equal(generate(model, &params, &hooks, &result, &failure), -1);
	snprintf(
		expected, sizeof(expected),
		"the prompt is %u tokens; the model's context of %u leaves room for a prompt of at "
		"most %u",
		model->config.context, model->config.context, model->config.context - 1);
	assert_string_equal(failure.text, expected);
	params.prompt_size -= 4;
	assert_int_equal(generate(model, &params, &hooks, &result, &failure), 0);
	assert_int_equal(result.completion_tokens, 1);
	generate_result_fini(&result);
	text_fini(&prompt);
}

/* An empty prompt begins with the bos token: the same as that token as the prompt. */
static void
test_empty_prompt(void **state)
{
	struct generate_params empty = params_for("", 20), bos = params_for("<|endoftext|>", 20);
	struct seen one = {0}, two = {0};
	struct generate_result a = run(*state, &empty, &one), b = run(*state, &bos, &two);

	assert_int_equal(a.prompt_tokens, 1);
	assert_string_equal(a.text.data, b.text.data);
	generate_result_fini(&a);
	generate_result_fini(&b);
}

static void
test_eos_ends(void **state)
{
	struct model changed = *(const struct model *)*state;
	struct generate_params params = params_for(PROMPT, 12);
	struct seen one = {0}, two = {0};
	struct generate_result all = run(&changed, &params, &one), some;
	struct token_list made = encode(&changed, all.text.data, all.text.size);

	/* call the fifth token that greedy decoding makes the end */
	changed.config.eos = made.ids[4];
	some = run(&changed, &params, &two);
	assert_string_equal(finish_name(some.finish), "eos");
	assert_true(some.completion_tokens <= 4);
	assert_memory_equal(some.text.data, all.text.data, some.text.size);
	token_list_fini(&made);
	generate_result_fini(&all);
	generate_result_fini(&some);
}

/* Every substring of the greedy text as a stop string: the text ends just before it. */
static void
test_stop_strings_anywhere(void **state)
{
	struct generate_params params = params_for(PROMPT, 24);
	struct seen whole = {0};
	struct generate_result all = run(*state, &params, &whole);

	for (size_t at = 0; at < all.text.size; at += 5)
		for (size_t size = 1; size < 14 && at + size <= all.text.size; size += 4) {
			char stop[16] = {0};
			struct seen seen = {0};
			struct generate_result result;
			size_t expected;

			memcpy(stop, all.text.data + at, size);
			params.stop = (struct stop_list){.strings = {stop}, .count = 1};
			result = run(*state, &params, &seen);
			expected = (size_t)(strstr(all.text.data, stop) - all.text.data);
			assert_string_equal(finish_name(result.finish), "stop");
			if (result.text.size != expected)
				fail_msg("stop \"%s\": text of %zu bytes, expected %zu", stop,
					 result.text.size, expected);
			if (expected)
				assert_memory_equal(result.text.data, all.text.data, expected);
			generate_result_fini(&result);
		}
	generate_result_fini(&all);
}

static void
test_cancelled(void **state)
{
	struct generate_params params = params_for(PROMPT, 100);
	struct seen asks = {.cancel_after = 7}, refuses = {.refuse_after = 3};
	struct generate_result result = run(*state, &params, &asks);

	assert_string_equal(finish_name(result.finish), "cancelled");
	assert_int_equal(result.completion_tokens, 7);
	generate_result_fini(&result);
	result = run(*state, &params, &refuses);
	assert_string_equal(finish_name(result.finish), "cancelled");
	assert_int_equal(refuses.pieces, 3);
	generate_result_fini(&result);
}

static void
test_seeds(void **state)
{
	struct generate_params params = params_for(PROMPT, 40);
	struct seen seen[3] = {0};
	struct generate_result a, b, c;

	params.sampling = (struct sampling){.temperature = 1, .top_p = 0.95, .seed = 7};
	a = run(*state, &params, &seen[0]);
	b = run(*state, &params, &seen[1]);
	params.sampling.seed = 8;
	c = run(*state, &params, &seen[2]);
	assert_string_equal(a.text.data, b.text.data);
	assert_string_not_equal(a.text.data, c.text.data);
	generate_result_fini(&a);
	generate_result_fini(&b);
	generate_result_fini(&c);
}

struct worker {
	pthread_t thread;
	const struct model *model;
	struct generate_params params;
	struct generate_result result;
	int status;
};

static void *
work(void *arg)
{
	struct worker *worker = arg;
	struct generate_hooks hooks = {0};
	struct failure failure;

	worker->status =
		generate(worker->model, &worker->params, &hooks, &worker->result, &failure);
	return NULL;
}

/* Calls at once share the weights and nothing else: each must give what it gives alone. */
static void
test_many_at_once(void **state)
{
	static const char *const prompts[] = {"Mr. Darcy",    "Emma was", "She",
					      "The carriage", "I",        "\"Oh!\" cried",
					      "It was",       "Anne"};
	enum { COUNT = sizeof(prompts) / sizeof(prompts[0]) };
	struct worker workers[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		workers[i] = (struct worker){.model = *state, .params = params_for(prompts[i], 40)};
		workers[i].params.sampling =
			(struct sampling){.temperature = 0.8, .top_p = 0.9, .seed = i};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (size_t i = 0; i < COUNT; i++)
		pthread_join(workers[i].thread, NULL);
	for (size_t i = 0; i < COUNT; i++) {
		struct seen seen = {0};
		struct generate_result alone;

		assert_int_equal(workers[i].status, 0);
		alone = run(*state, &workers[i].params, &seen);
		assert_string_equal(workers[i].result.text.data, alone.text.data);
		generate_result_fini(&alone);
		generate_result_fini(&workers[i].result);
	}
}

static void
test_embedding_limits(void **state)
{
	const struct model *model = *state;
	float *vector = calloc(model->config.embd, sizeof(*vector));
	struct failure failure = {.text = ""};
	struct text text = {0};
	size_t tokens;

	assert_int_equal(embed_text(model, "", 0, true, vector, &tokens, &failure), -1);
	assert_string_equal(failure.text, "the text is empty; there is nothing to embed");
	for (uint32_t i = 0; i < model->config.context; i++)
		text_append(&text, " the", 4);
	assert_int_equal(embed_text(model, text.data, text.size, true, vector, &tokens, &failure),
			 0);
	assert_int_equal(tokens, model->config.context);
	text_append(&text, " the", 4);
	assert_int_equal(embed_text(model, text.data, text.size, true, vector, &tokens, &failure),
			 -1);
	assert_non_null(strstr(failure.text, "the model's context is"));
	text_fini(&text);
	free(vector);
}

static void
test_session_limits(void **state)
{
	const struct model *model = *state;
	static const size_t wrong[][2] = {
		{0, 0}, {1, 0}, {1, 2}, {SIZE_MAX, 1}, {SIZE_MAX, SIZE_MAX}};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct failure failure = {.text = ""};
		struct session *session = NULL;

		assert_int_equal(session_new(model, wrong[i][0], wrong[i][1], &session, &failure),
				 -1);
		assert_null(session);
		assert_non_null(strstr(failure.text, "context"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_no_tokens_wanted),
		cmocka_unit_test(test_context_is_the_limit),
		cmocka_unit_test(test_prompt_that_leaves_no_room),
		cmocka_unit_test(test_empty_prompt),
		cmocka_unit_test(test_eos_ends),
		cmocka_unit_test(test_stop_strings_anywhere),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_seeds),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_embedding_limits),
		cmocka_unit_test(test_session_limits),
	};

	kernels_set_threads(1);
	return cmocka_run_group_tests(tests, setup_model, teardown_model);
}
