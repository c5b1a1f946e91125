#include "generate.h"

#include "scope.h"
#include "session.h"
#include "tokenizer.h"
#include "utf8.h"

struct run {
	const struct model *model;
	const struct generate_params *params;
	const struct generate_hooks *hooks;
	struct generate_result *result;
	struct failure *failure;
	struct token_list prompt;
	struct session *session;
	struct sampler sampler;
	struct utf8_stream utf8;
	struct stopper stopper;
	struct text whole;   /* characters of one step */
	struct text certain; /* of those, what may be let out */
	float *logits;
	size_t limit; /* tokens to make, at most */
};

const char *
finish_name(enum finish finish)
{
	static const char *const names[] = {
		[FINISH_STOP] = "stop",
		[FINISH_LENGTH] = "length",
		[FINISH_EOS] = "eos",
		[FINISH_CANCELLED] = "cancelled",
	};

	return names[finish];
}

static int
encode_prompt(struct run *run)
{
	const struct model_config *config = &run->model->config;

	if (tokenizer_encode(&run->model->vocab, run->params->prompt, run->params->prompt_size,
			     &run->prompt, run->failure) < 0)
		return -1;
	if (!run->prompt.count && config->bos == NO_TOKEN)
		return failf(run->failure,
			     "the prompt is empty and the model has no token to begin with");
	if (!run->prompt.count && token_list_add(&run->prompt, config->bos) < 0)
		return fail_memory(run->failure, "encoding the prompt");
	if (run->prompt.count >= config->context)
		return failf(
			run->failure,
			"the prompt is %zu tokens; the model's context of %u leaves room for a "
			"prompt of at most %u",
			run->prompt.count, config->context, config->context - 1);
	return 0;
}

/* The last token is never fed: its successor is not wanted. */
static int
open_run(struct run *run)
{
	size_t room = run->model->config.context - run->prompt.count, capacity;

	run->limit = run->params->max_tokens < room ? run->params->max_tokens : room;
	capacity = run->prompt.count + (run->limit ? run->limit - 1 : 0);
	if (session_new(run->model, capacity, run->prompt.count, &run->session, run->failure) < 0)
		return -1;
	run->logits = calloc(run->model->config.vocab, sizeof(*run->logits));
	if (!run->logits)
		return fail_memory(run->failure, "making room for logits");
	run->stopper.list = &run->params->stop;
	return sampler_init(&run->sampler, &run->params->sampling, run->model->config.vocab,
			    run->failure);
}

static void
close_run(struct run *run)
{
	token_list_fini(&run->prompt);
	session_free(run->session);
	sampler_fini(&run->sampler);
	stopper_fini(&run->stopper);
	text_fini(&run->whole);
	text_fini(&run->certain);
	free(run->logits);
}

static bool
is_cancelled(const struct run *run)
{
	return run->hooks->cancelled && run->hooks->cancelled(run->hooks->user);
}

/* Hand over what is certain.  *ret_refused: the receiver wants no more. */
static int
deliver(struct run *run, bool *ret_refused)
{
	struct text *certain = &run->certain;

	if (!certain->size)
		return 0;
	if (text_append(&run->result->text, certain->data, certain->size) < 0)
		return fail_memory(run->failure, "collecting the text");
	if (run->hooks->on_text &&
	    run->hooks->on_text(certain->data, certain->size, run->hooks->user) != 0)
		*ret_refused = true;
	certain->size = 0;
	return 0;
}

static int
take_token(struct run *run, uint32_t token, bool *ret_stopped, bool *ret_refused)
{
	size_t size;
	const unsigned char *bytes = vocab_bytes(&run->model->vocab, token, &size);

	run->result->completion_tokens++;
	run->whole.size = 0;
	if (utf8_stream_push(&run->utf8, bytes, size, &run->whole) < 0 ||
	    stopper_push(&run->stopper, run->whole.data, run->whole.size, &run->certain,
			 ret_stopped) < 0)
		return fail_memory(run->failure, "decoding a token");
	return deliver(run, ret_refused);
}

/* The text ended otherwise than by a stop string: what was held back is part of it after all. */
static int
flush(struct run *run)
{
	bool stopped = false, refused = false;

	run->whole.size = 0;
	if (utf8_stream_end(&run->utf8, &run->whole) < 0 ||
	    stopper_push(&run->stopper, run->whole.data, run->whole.size, &run->certain, &stopped) <
		    0 ||
	    (!stopped && stopper_end(&run->stopper, &run->certain) < 0))
		return fail_memory(run->failure, "decoding the last token");
	if (stopped)
		run->result->finish = FINISH_STOP;
	return deliver(run, &refused);
}

static int
generate_tokens(struct run *run)
{
	struct generate_result *result = run->result;
	const uint32_t *next = run->prompt.ids;
	size_t count = run->prompt.count, row = count - 1;
	bool stopped = false, refused = false;
	uint32_t token;

	for (;;) {
		result->finish = FINISH_LENGTH;
		if (result->completion_tokens == run->limit)
			return 0;
		result->finish = FINISH_CANCELLED;
		if (is_cancelled(run))
			return 0;
		session_feed(run->session, next, count);
		session_logits(run->session, row, run->logits);
		if (sampler_pick(&run->sampler, run->logits, &token, run->failure) < 0)
			return -1;
		result->finish = FINISH_EOS;
		if (token == run->model->config.eos)
			return 0;
		if (take_token(run, token, &stopped, &refused) < 0)
			return -1;
		result->finish = stopped ? FINISH_STOP : FINISH_CANCELLED;
		if (stopped || refused)
			return 0;
		next = &token;
		count = 1;
		row = 0;
	}
}

int
generate(const struct model *model, const struct generate_params *params,
	 const struct generate_hooks *hooks, struct generate_result *result,
	 struct failure *failure)
{
	struct generate_result made = {0};
	struct run run = {.model = model,
			  .params = params,
			  .hooks = hooks,
			  .result = &made,
			  .failure = failure};
	int status = encode_prompt(&run);

	made.prompt_tokens = run.prompt.count;
	if (status == 0)
		status = open_run(&run);
	if (status == 0)
		status = generate_tokens(&run);
	if (status == 0 && (made.finish == FINISH_LENGTH || made.finish == FINISH_EOS))
		status = flush(&run);
	close_run(&run);
	if (status == 0)
		*result = made;
	else
		generate_result_fini(&made);
	return status;
}

void
generate_result_fini(struct generate_result *result)
{
	text_fini(&result->text);
}
