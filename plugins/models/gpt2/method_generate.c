#include "generate.h"
#include "plugin.h"
#include "request.h"
#include "scope.h"

#include <string.h>
#include <sys/random.h>

#define JSON_TYPE "application/json"

struct stream {
	struct plug_call *call;
	plug_err err; /* of the piece that could not be sent */
};

static int
on_text(const char *text, size_t size, void *user)
{
	struct stream *stream = user;
	AUTO_JSON json_t *piece = json_pack("{s:s%}", "text", text, size);
	AUTO_FREE char *json = piece ? json_dumps(piece, JSON_COMPACT) : NULL;

	stream->err =
		json ? plug_reply_piece(stream->call, JSON_TYPE, json, strlen(json)) : PLUG_ENOMEM;
	return stream->err == PLUG_OK ? 0 : -1;
}

static bool
on_cancelled(void *user)
{
	struct stream *stream = user;

	return plug_call_cancelled(stream->call);
}

/* A seed that the caller can give back, so that any text can be made again. */
static uint64_t
fresh_seed(void)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), 0) < 0)
		seed = 0;
	return seed & INT32_MAX;
}

static plug_err
reply_result(struct plug_call *call, const struct generate_request *request,
	     const struct generate_result *result)
{
	const struct text *text = &result->text;

	return call_reply(
		call, json_pack("{s:s%, s:s, s:I, s:{s:I, s:I, s:I}}", "text",
				text->data ? text->data : "", text->size, "finish_reason",
				finish_name(result->finish), "seed",
				(json_int_t)request->params.sampling.seed, "usage", "prompt_tokens",
				(json_int_t)result->prompt_tokens, "completion_tokens",
				(json_int_t)result->completion_tokens, "total_tokens",
				(json_int_t)(result->prompt_tokens + result->completion_tokens)));
}

static plug_err
run(struct plug_call *call, const struct model *model, const struct generate_request *request)
{
	struct stream stream = {.call = call, .err = PLUG_OK};
	struct generate_hooks hooks = {.on_text = request->stream ? on_text : NULL,
				       .cancelled = on_cancelled,
				       .user = &stream};
	struct generate_result result;
	struct failure failure;
	plug_err err;

	if (generate(model, &request->params, &hooks, &result, &failure) < 0)
		return call_failed(call, &failure);
	if (stream.err != PLUG_OK)
		err = stream.err;
	else if (result.finish == FINISH_CANCELLED)
		err = plug_call_status(call);
	else
		err = reply_result(call, request, &result);
	generate_result_fini(&result);
	return err;
}

plug_err
method_generate(struct plug_call *call, void *user)
{
	int64_t max_tokens = plug_config_int(plug_call_plugin(call), "max_tokens", 128);
	struct gpt2 *gpt2 = user;
	struct generate_request request;
	struct held *held = NULL;
	struct failure failure;
	const char *json;
	size_t size;
	plug_err err = call_json(call, &json, &size);

	if (err != PLUG_OK)
		return err;
	if (generate_request_parse(json, size, (uint32_t)max_tokens, &request, &failure) < 0)
		return call_failed(call, &failure);
	if (!request.seeded)
		request.params.sampling.seed = fresh_seed();
	err = call_model(call, gpt2, &held);
	if (err == PLUG_OK)
		err = run(call, held_model(held), &request);
	holder_release(&gpt2->holder, held);
	json_decref(request.root);
	return err;
}
