/* The engine against Hugging Face transformers: see tools/train-gpt2/golden.py. */
#include "generate.h"
#include "kernels.h"
#include "safetensors.h"
#include "session.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE 1e-4

static double worst;

static void
compare(const char *label, const float *found, const float *expected, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		double error = fabs((double)found[i] - (double)expected[i]);

		worst = error > worst ? error : worst;
		if (!(error <= TOLERANCE))
			fail_msg("%s: value %zu is %.7g, expected %.7g", label, i, found[i],
				 expected[i]);
	}
}

/* Feed `tokens` in steps of `step` and compare every row that the golden file has. */
static void
check_logits(const struct model *model, const json_t *golden, const float *expected, size_t step)
{
	const char *name = json_string_value(json_object_get(golden, "name"));
	const json_t *rows = json_object_get(golden, "rows");
	struct token_list tokens = tokens_of(json_object_get(golden, "ids"));
	float *logits = calloc(model->config.vocab, sizeof(*logits));
	struct failure failure = {.text = ""};
	struct session *session;
	char label[64];
	size_t checked = 0;

	step = step < tokens.count ? step : tokens.count;
	assert_int_equal(session_new(model, tokens.count, step, &session, &failure), 0);
	for (size_t at = 0; at < tokens.count; at += step) {
		size_t count = tokens.count - at < step ? tokens.count - at : step;

		session_feed(session, tokens.ids + at, count);
		for (size_t r = 0; r < json_array_size(rows); r++) {
			size_t row = (size_t)json_integer_value(json_array_get(rows, r));

			if (row < at || row >= at + count)
				continue;
			session_logits(session, row - at, logits);
			snprintf(label, sizeof(label), "%s, row %zu, steps of %zu", name, row,
				 step);
			compare(label, logits, expected + r * model->config.vocab,
				model->config.vocab);
			checked++;
		}
	}
	assert_int_equal(checked, json_array_size(rows));
	session_free(session);
	token_list_fini(&tokens);
	free(logits);
}

static void
check_all_logits(const struct model *model, bool untied)
{
	static const size_t steps[] = {SIZE_MAX, 1, 7};
	struct failure failure = {.text = ""};
	struct safetensors *file;
	json_t *cases = load_golden("logits.json"), *golden;
	size_t i;

	assert_int_equal(safetensors_open(GPT2_GOLDEN_DIR "/logits.safetensors", &file, &failure),
			 0);
	json_array_foreach(cases, i, golden)
	{
		const char *name = json_string_value(json_object_get(golden, "name"));
		const struct tensor *tensor = safetensors_find(file, name);
		float *expected;

		if ((strcmp(name, "untied") == 0) != untied)
			continue;
		assert_non_null(tensor);
		assert_int_equal(tensor->shape[1], model->config.vocab);
		expected = calloc(tensor->elements, sizeof(*expected));
		tensor_to_floats(tensor, expected);
		for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++)
			check_logits(model, golden, expected, steps[s]);
		free(expected);
	}
	safetensors_close(file);
	json_decref(cases);
}

static void
test_logits(void **state)
{
	check_all_logits(*state, false);
}

/* Two threads of BLAS share the work differently; the values must still agree. */
static void
test_logits_two_threads(void **state)
{
	if (UNDER_TSAN)
		skip();
	kernels_set_threads(2);
	check_all_logits(*state, false);
	kernels_set_threads(1);
}

/* Unprefixed names, bf16, a head of its own, an MLP that is not four times as wide. */
static void
test_logits_untied(void **state)
{
	struct model *model = load_model(GPT2_GOLDEN_DIR "/untied");

	(void)state;
	assert_true(model->weights.head != model->weights.token_embd);
	assert_int_equal(model->weights.stored_as, TENSOR_BF16);
	check_all_logits(model, true);
	model_free(model);
}

static void
check_greedy(const struct model *model, const json_t *golden)
{
	const json_t *prompt = json_object_get(golden, "prompt");
	struct generate_params params = {
		.prompt = json_string_value(prompt),
		.prompt_size = json_string_length(prompt),
		.max_tokens = (uint32_t)json_integer_value(json_object_get(golden, "max_tokens")),
	};
	struct generate_hooks hooks = {0};
	struct generate_result result;
	struct failure failure = {.text = ""};
	struct token_list made;

	if (generate(model, &params, &hooks, &result, &failure) < 0)
		fail_msg("%s: %s", params.prompt, failure.text);
	assert_int_equal(result.prompt_tokens,
			 json_integer_value(json_object_get(golden, "prompt_tokens")));
	assert_same_text(params.prompt, result.text.data, result.text.size,
			 json_object_get(golden, "text"));
	assert_string_equal(finish_name(result.finish),
			    json_string_value(json_object_get(golden, "finish")));
	made = tokens_of(json_object_get(golden, "tokens"));
	assert_int_equal(result.completion_tokens, made.count);
	token_list_fini(&made);
	generate_result_fini(&result);
}

/* The tokens themselves, which the text alone would not always tell apart. */
static void
check_greedy_tokens(const struct model *model, const json_t *golden)
{
	const json_t *prompt = json_object_get(golden, "prompt");
	struct token_list tokens =
		encode(model, json_string_value(prompt), json_string_length(prompt));
	struct token_list expected = tokens_of(json_object_get(golden, "tokens"));
	float *logits = calloc(model->config.vocab, sizeof(*logits));
	struct sampler sampler;
	struct failure failure = {.text = ""};
	struct session *session;
	const uint32_t *next = tokens.ids;
	size_t count = tokens.count;
	uint32_t token;

	sampler_init(&sampler, &(struct sampling){0}, model->config.vocab, &failure);
	assert_int_equal(
		session_new(model, tokens.count + expected.count, count, &session, &failure), 0);
	for (size_t i = 0; i < expected.count; i++) {
		session_feed(session, next, count);
		session_logits(session, count - 1, logits);
		assert_int_equal(sampler_pick(&sampler, logits, &token, &failure), 0);
		if (token != expected.ids[i])
			fail_msg("%s: token %zu is %u, expected %u", json_string_value(prompt), i,
				 token, expected.ids[i]);
		next = &token;
		count = 1;
	}
	session_free(session);
	sampler_fini(&sampler);
	free(logits);
	token_list_fini(&expected);
	token_list_fini(&tokens);
}

static void
test_greedy(void **state)
{
	json_t *cases = load_golden("greedy.json"), *golden;
	size_t i;

	json_array_foreach(cases, i, golden)
	{
		check_greedy(*state, golden);
		check_greedy_tokens(*state, golden);
	}
	json_decref(cases);
}

static void
test_embeddings(void **state)
{
	const struct model *model = *state;
	json_t *cases = load_golden("embed.json"), *golden;
	float *found = calloc(model->config.embd, sizeof(*found));
	struct failure failure = {.text = ""};
	size_t i, tokens;

	json_array_foreach(cases, i, golden)
	{
		const json_t *text = json_object_get(golden, "text");
		const json_t *mean = json_object_get(golden, "mean");
		double length = 0;

		assert_int_equal(embed_text(model, json_string_value(text),
					    json_string_length(text), false, found, &tokens,
					    &failure),
				 0);
		assert_int_equal(tokens, json_integer_value(json_object_get(golden, "tokens")));
		assert_int_equal(json_array_size(mean), model->config.embd);
		for (size_t d = 0; d < model->config.embd; d++) {
			float expected = (float)json_real_value(json_array_get(mean, d));

			compare(json_string_value(text), &found[d], &expected, 1);
		}
		embed_text(model, json_string_value(text), json_string_length(text), true, found,
			   &tokens, &failure);
		for (size_t d = 0; d < model->config.embd; d++)
			length += (double)found[d] * (double)found[d];
		assert_true(fabs(length - 1) < 1e-5);
	}
	free(found);
	json_decref(cases);
}

static int
report_worst(void **state)
{
	print_message("largest error of any compared value: %.2g\n", worst);
	return teardown_model(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logits),        cmocka_unit_test(test_logits_two_threads),
		cmocka_unit_test(test_logits_untied), cmocka_unit_test(test_greedy),
		cmocka_unit_test(test_embeddings),
	};

	kernels_set_threads(1);
	return cmocka_run_group_tests(tests, setup_model, report_worst);
}
