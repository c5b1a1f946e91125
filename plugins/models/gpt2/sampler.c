#include "sampler.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

int
sampler_init(struct sampler *sampler, const struct sampling *params, size_t vocab,
	     struct failure *failure)
{
	*sampler = (struct sampler){.params = *params, .state = params->seed, .vocab = vocab};
	if (params->temperature == 0)
		return 0;
	sampler->choices = calloc(vocab, sizeof(*sampler->choices));
	return sampler->choices ? 0 : fail_memory(failure, "making a sampler");
}

void
sampler_fini(struct sampler *sampler)
{
	free(sampler->choices);
	*sampler = (struct sampler){0};
}

/* SplitMix64 (Steele, Lea and Flood 2014) */
static double
next_fraction(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return (double)(z >> 11) * 0x1p-53;
}

static uint32_t
most_likely(const float *logits, size_t count)
{
	size_t best = 0;

	for (size_t i = 1; i < count; i++)
		if (logits[i] > logits[best])
			best = i;
	return (uint32_t)best;
}

static bool
precedes(struct choice a, struct choice b)
{
	return a.value != b.value ? a.value > b.value : a.token < b.token;
}

static int
compare(const void *a, const void *b)
{
	return precedes(*(const struct choice *)a, *(const struct choice *)b) ? -1 : 1;
}

static void
swap(struct choice *a, struct choice *b)
{
	struct choice kept = *a;

	*a = *b;
	*b = kept;
}

/* Hoare's partition: in low..ret nothing is preceded by anything in ret+1..high.  low < high. */
static size_t
partition(struct choice *choices, size_t low, size_t high)
{
	struct choice pivot = choices[low + (high - low) / 2];

	for (;;) {
		while (precedes(choices[low], pivot))
			low++;
		while (precedes(pivot, choices[high]))
			high--;
		if (low >= high)
			return high;
		swap(&choices[low++], &choices[high--]);
	}
}

/* Bring the `k` first in order to the front, in any order. */
static void
select_first(struct choice *choices, size_t count, size_t k)
{
	size_t low = 0, high = count - 1;

	while (low < high) {
		size_t cut = partition(choices, low, high);

		if (k - 1 <= cut)
			high = cut;
		else
			low = cut + 1;
	}
}

/* Logits to shares of one, up to a common factor that is returned. */
static double
weigh(struct sampler *sampler, size_t count, float max)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		struct choice *choice = &sampler->choices[i];

		choice->value = (float)exp((choice->value - max) / sampler->params.temperature);
		sum += choice->value;
	}
	return sum;
}

/*
 * All that are below (1 - p)/n together are less than 1 - p, so none of them is among the few that
 * make up p: they need not be sorted.  (A little less than that, for rounding.)
 */
static size_t
nucleus(struct sampler *sampler, size_t count, double *sum)
{
	struct choice *choices = sampler->choices;
	double floor = 0.999 * (1 - sampler->params.top_p) / (double)count * *sum;
	double wanted = sampler->params.top_p * *sum, have = 0;
	size_t likely = 0, kept = 0;

	for (size_t i = 0; i < count; i++)
		if (choices[i].value >= floor)
			choices[likely++] = choices[i];
	qsort(choices, likely, sizeof(*choices), compare);
	do
		have += choices[kept++].value;
	while (kept < likely && have < wanted);
	*sum = have;
	return kept;
}

static uint32_t
draw(struct sampler *sampler, const float *logits, uint32_t best)
{
	struct choice *choices = sampler->choices;
	size_t count = sampler->vocab, k = sampler->params.top_k;
	double sum, at;

	for (size_t i = 0; i < count; i++)
		choices[i] = (struct choice){logits[i], (uint32_t)i};
	if (k && k < count) {
		select_first(choices, count, k);
		count = k;
	}
	sum = weigh(sampler, count, logits[best]);
	if (sampler->params.top_p < 1)
		count = nucleus(sampler, count, &sum);
	at = next_fraction(&sampler->state) * sum;
	for (size_t i = 0; i < count; i++) {
		at -= choices[i].value;
		if (at < 0)
			return choices[i].token;
	}
	return best;
}

int
sampler_pick(struct sampler *sampler, const float *logits, uint32_t *ret_token,
	     struct failure *failure)
{
	uint32_t best = most_likely(logits, sampler->vocab);

	for (size_t i = 0; i < sampler->vocab; i++)
		if (!isfinite(logits[i]))
			return failf_internal(
				failure,
				"the logit of token %zu is not a number: the weights are damaged",
				i);
	*ret_token = sampler->params.temperature == 0 ? best : draw(sampler, logits, best);
	return 0;
}
