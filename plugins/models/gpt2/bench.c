/*
 * gpt2-bench DIR THREADS TOKENS [PROMPT]: decode greedily and print the speed as JSON.  The clock
 * runs from the prompt's tokens to the last new one, as in tools/train-gpt2/bench_peer.py.
 */
#include "kernels.h"
#include "model.h"
#include "session.h"
#include "tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct measured {
	size_t prompt_tokens;
	double seconds;
	uint32_t last;
};

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint32_t
argmax(const float *values, size_t count)
{
	size_t best = 0;

	for (size_t i = 1; i < count; i++)
		if (values[i] > values[best])
			best = i;
	return (uint32_t)best;
}

/* End-of-text does not stop it: both sides make the same number of tokens. */
static int
decode(const struct model *model, const struct token_list *prompt, size_t tokens, float *logits,
       struct measured *ret, struct failure *failure)
{
	struct session *session;
	double start = now();
	uint32_t token;

	if (session_new(model, prompt->count + tokens, prompt->count, &session, failure) < 0)
		return -1;
	session_feed(session, prompt->ids, prompt->count);
	session_logits(session, prompt->count - 1, logits);
	token = argmax(logits, model->config.vocab);
	for (size_t i = 1; i < tokens; i++) {
		session_feed(session, &token, 1);
		session_logits(session, 0, logits);
		token = argmax(logits, model->config.vocab);
	}
	session_free(session);
	*ret = (struct measured){prompt->count, now() - start, token};
	return 0;
}

static int
run(const char *dir, size_t tokens, const char *text, struct measured *ret, struct failure *failure)
{
	struct token_list prompt = {0};
	struct model *model = NULL;
	float *logits = NULL;
	int result = -1;

	if (model_load(dir, &model, failure) == 0 &&
	    tokenizer_encode(&model->vocab, text, strlen(text), &prompt, failure) == 0)
		logits = calloc(model->config.vocab, sizeof(*logits));
	if (logits && prompt.count) /* the first round warms up */
		result = decode(model, &prompt, tokens, logits, ret, failure) < 0
				 ? -1
				 : decode(model, &prompt, tokens, logits, ret, failure);
	free(logits);
	token_list_fini(&prompt);
	model_free(model);
	return result;
}

int
main(int argc, char **argv)
{
	const char *text = argc > 4 ? argv[4] : "It is a truth universally acknowledged, that";
	struct failure failure = {.text = "the prompt is empty"};
	struct measured measured;

	if (argc < 4 || atoi(argv[2]) < 1 || atoi(argv[3]) < 1) {
		fprintf(stderr, "usage: gpt2-bench DIR THREADS TOKENS [PROMPT]\n");
		return 2;
	}
	kernels_set_threads(atoi(argv[2]));
	if (run(argv[1], (size_t)atoi(argv[3]), text, &measured, &failure) < 0) {
		fprintf(stderr, "gpt2-bench: %s\n", failure.text);
		return 1;
	}
	printf("{\"threads\":%s,\"prompt_tokens\":%zu,\"tokens\":%s,\"seconds\":%.6f,"
	       "\"tokens_per_second\":%.1f,\"last_token\":%u}\n",
	       argv[2], measured.prompt_tokens, argv[3], measured.seconds,
	       atoi(argv[3]) / measured.seconds, measured.last);
	return 0;
}
