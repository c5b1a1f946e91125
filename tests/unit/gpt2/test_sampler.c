#include "sampler.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VOCAB 6
#define DRAWS 60000

static struct sampler
make(struct sampling params, size_t vocab)
{
	struct failure failure = {.text = ""};
	struct sampler sampler;

	assert_int_equal(sampler_init(&sampler, &params, vocab, &failure), 0);
	return sampler;
}

static uint32_t
pick(struct sampler *sampler, const float *logits)
{
	struct failure failure = {.text = ""};
	uint32_t token;

	assert_int_equal(sampler_pick(sampler, logits, &token, &failure), 0);
	return token;
}

/* Shares that a distribution over `logits` must be drawn with; 0 is never drawn. */
static const struct {
	const char *name;
	struct sampling params;
	float logits[VOCAB];
	double shares[VOCAB];
} cases[] = {
	{"even",
	 {.temperature = 1, .top_p = 1},
	 {0, 0, 0, 0, 0, 0},
	 {1 / 6., 1 / 6., 1 / 6., 1 / 6., 1 / 6., 1 / 6.}},
	{"softmax",
	 {.temperature = 1, .top_p = 1},
	 {0, 0.6931472f, 1.3862944f, -50, -50, -50},
	 {1 / 7., 2 / 7., 4 / 7.}},
	{"half the temperature squares",
	 {.temperature = 0.5, .top_p = 1},
	 {0, 0.6931472f, 1.3862944f, -50, -50, -50},
	 {1 / 21., 4 / 21., 16 / 21.}},
	{"greedy", {.temperature = 0, .top_p = 1}, {1, 3, 2, 0, 0, 0}, {0, 1}},
	{"greedy takes the lower of equals", {.temperature = 0}, {1, 3, 3, 0, 0, 3}, {0, 1}},
	{"top-k",
	 {.temperature = 1, .top_k = 2, .top_p = 1},
	 {0, 1, 0.3f, 1, 0, 0.5f},
	 {0, 0.5, 0, 0.5}},
	{"top-k of one is greedy",
	 {.temperature = 9, .top_k = 1, .top_p = 1},
	 {0, 1, 2, 1, 0, 0.5f},
	 {0, 0, 1}},
	{"top-k cuts equals by number",
	 {.temperature = 1, .top_k = 2, .top_p = 1},
	 {5, 5, 5, 5, 5, 5},
	 {0.5, 0.5}},
	{"top-k above the vocabulary",
	 {.temperature = 1, .top_k = 100, .top_p = 1},
	 {0, 0, -50, -50, -50, -50},
	 {0.5, 0.5}},
	{"top-p takes the one that crosses",
	 {.temperature = 1, .top_p = 0.6},
	 {0, 0.6931472f, -50, 0, -50, -50},
	 {1 / 3., 2 / 3.}},
	{"top-p of nothing is greedy",
	 {.temperature = 1, .top_p = 0},
	 {0, 0.1f, 0, 0, 0, 0},
	 {0, 1}},
	{"top-p after top-k",
	 {.temperature = 1, .top_k = 3, .top_p = 0.5},
	 {0, 1.0986123f, 0, 1.0986123f, -1, -1},
	 {0, 0.5, 0, 0.5}},
	{"extreme logits", {.temperature = 1, .top_p = 1}, {3e38f, -3e38f, 0, 0, 0, 0}, {1}},
};

static void
test_shares(void **state)
{
	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct sampler sampler = make(cases[c].params, VOCAB);
		double counts[VOCAB] = {0};

		for (int i = 0; i < DRAWS; i++)
			counts[pick(&sampler, cases[c].logits)]++;
		for (int t = 0; t < VOCAB; t++) {
			double share = cases[c].shares[t];
			double sigma = sqrt(share * (1 - share) / DRAWS);

			if (fabs(counts[t] / DRAWS - share) > 5 * sigma)
				fail_msg("%s: token %d drawn with %.4f, expected %.4f",
					 cases[c].name, t, counts[t] / DRAWS, share);
		}
		sampler_fini(&sampler);
	}
}

/* Against a sort of everything, over random logits and all k, p. */
static void
test_support_is_that_of_a_full_sort(void **state)
{
	enum { COUNT = 97 };
	uint64_t random = 5;

	(void)state;
	for (int round = 0; round < 400; round++) {
		float logits[COUNT];
		uint32_t k = (uint32_t)(test_random(&random) % (COUNT + 2));
		double p = (double)(test_random(&random) % 1001) / 1000;
		struct sampling params = {
			.temperature = 0.7, .top_k = k, .top_p = p, .seed = (uint64_t)round};
		struct sampler sampler = make(params, COUNT);

		for (int i = 0; i < COUNT; i++)
			logits[i] = (float)(test_random(&random) % 40) / 5;
		for (int draw = 0; draw < 20; draw++) {
			uint32_t token = pick(&sampler, logits);
			double above = 0, sum = 0;
			uint32_t rank = 0;

			for (uint32_t i = 0; i < COUNT; i++) {
				uint32_t better = 0;

				for (uint32_t j = 0; j < COUNT; j++)
					better += logits[j] > logits[i] ||
						  (logits[j] == logits[i] && j < i);
				if (i == token)
					rank = better;
				if (!k || better < k)
					sum += exp(logits[i] / 0.7);
			}
			for (uint32_t i = 0; i < COUNT; i++)
				if (logits[i] > logits[token] ||
				    (logits[i] == logits[token] && i < token))
					above += exp(logits[i] / 0.7);
			if ((k && rank >= k) || (rank && above / sum > p + 1e-6))
				fail_msg("k %u, p %g: drew rank %u with %g above it", k, p, rank,
					 above / sum);
		}
		sampler_fini(&sampler);
	}
}

static void
test_a_seed_repeats(void **state)
{
	static const float logits[VOCAB] = {0, 1, 2, 1, 0, 1};
	struct sampler a = make((struct sampling){.temperature = 1, .top_p = 1, .seed = 42}, VOCAB);
	struct sampler b = make((struct sampling){.temperature = 1, .top_p = 1, .seed = 42}, VOCAB);
	struct sampler c = make((struct sampling){.temperature = 1, .top_p = 1, .seed = 43}, VOCAB);
	int differ = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		uint32_t token = pick(&a, logits);

		assert_int_equal(token, pick(&b, logits));
		differ += token != pick(&c, logits);
	}
	assert_true(differ > 50);
	sampler_fini(&a);
	sampler_fini(&b);
	sampler_fini(&c);
}

/* With equal weights the token is the random fraction itself, so this pins the generator. */
static void
test_the_generator_is_splitmix64(void **state)
{
	/* the first outputs for seed 1234567, as published with the algorithm */
	static const uint64_t published[] = {6457827717110365317ull, 3203168211198807973ull,
					     9817491932198370423ull, 4593380528125082431ull,
					     16408922859458223821ull};
	enum { COUNT = 1 << 16 };
	struct sampler sampler =
		make((struct sampling){.temperature = 1, .top_p = 1, .seed = 1234567}, COUNT);
	float *logits = calloc(COUNT, sizeof(*logits));

	(void)state;
	for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++)
		assert_int_equal(pick(&sampler, logits), published[i] >> 48);
	sampler_fini(&sampler);
	free(logits);
}

static void
test_no_numbers_are_refused(void **state)
{
	static const float values[] = {NAN, INFINITY, -INFINITY};

	(void)state;
	for (size_t v = 0; v < 3; v++)
		for (uint32_t at = 0; at < VOCAB; at++) {
			struct sampler sampler =
				make((struct sampling){.temperature = 1, .top_p = 1}, VOCAB);
			float logits[VOCAB] = {0};
			struct failure failure = {.text = ""};
			uint32_t token;

			logits[at] = values[v];
			assert_int_equal(sampler_pick(&sampler, logits, &token, &failure), -1);
			assert_non_null(strstr(failure.text, "damaged"));
			sampler_fini(&sampler);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_support_is_that_of_a_full_sort),
		cmocka_unit_test(test_a_seed_repeats),
		cmocka_unit_test(test_the_generator_is_splitmix64),
		cmocka_unit_test(test_no_numbers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
