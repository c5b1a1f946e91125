/* load, info, unload, tokenize, embed */
#include "generate.h"
#include "plugin.h"
#include "request.h"
#include "scope.h"
#include "tokenizer.h"

#include <string.h>

#define JSON_TYPE "application/json"

plug_err
call_json(struct plug_call *call, const char **ret_json, size_t *ret_size)
{
	const char *type = plug_call_content_type(call);

	if (*type && strcmp(type, JSON_TYPE) != 0)
		return plug_fail(call, PLUG_EINVAL, "content type is %s, expected " JSON_TYPE,
				 type);
	*ret_json = plug_call_payload(call, ret_size);
	return PLUG_OK;
}

plug_err
call_model(struct plug_call *call, struct gpt2 *gpt2, struct held **ret_held)
{
	*ret_held = holder_take(&gpt2->holder);
	if (!*ret_held)
		return plug_fail(call, PLUG_ESTATE, "the model is unloaded; call load first");
	return PLUG_OK;
}

plug_err
call_failed(struct plug_call *call, const struct failure *failure)
{
	return plug_fail(call, failure->internal ? PLUG_EPLUGIN : PLUG_EINVAL, "%s", failure->text);
}

plug_err
call_reply(struct plug_call *call, json_t *object)
{
	AUTO_JSON json_t *owned = object;
	AUTO_FREE char *text =
		owned ? json_dumps(owned, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

	if (!text)
		return plug_fail(call, PLUG_ENOMEM, "no memory for the answer");
	return plug_reply(call, JSON_TYPE, text, strlen(text));
}

static json_t *
describe(const struct gpt2 *gpt2, const struct model *model)
{
	const struct model_config *config = &model->config;
	char stored[16];

	snprintf(stored, sizeof(stored), "%s", tensor_dtype_name(model->weights.stored_as));
	return json_pack("{s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:i}",
			 "loaded", 1, "type", "gpt2", "model", gpt2->holder.dir, "parameters",
			 (json_int_t)model->weights.parameters, "layers",
			 (json_int_t)config->layers, "heads", (json_int_t)config->heads,
			 "dimensions", (json_int_t)config->embd, "context",
			 (json_int_t)config->context, "vocabulary", (json_int_t)config->vocab,
			 "stored_as", stored, "computed_as", "F32", "device", "cpu", "threads",
			 gpt2->threads);
}

static plug_err
reply_info(struct plug_call *call, struct gpt2 *gpt2)
{
	struct held *held = holder_take(&gpt2->holder);
	json_t *info = held ? describe(gpt2, held_model(held))
			    : json_pack("{s:b, s:s, s:s}", "loaded", 0, "type", "gpt2", "model",
					gpt2->holder.dir);

	holder_release(&gpt2->holder, held);
	return call_reply(call, info);
}

static plug_err
call_takes_nothing(struct plug_call *call)
{
	struct failure failure;
	const char *json;
	size_t size;
	plug_err err = call_json(call, &json, &size);

	if (err == PLUG_OK && empty_request_check(json, size, &failure) < 0)
		err = call_failed(call, &failure);
	return err;
}

plug_err
method_info(struct plug_call *call, void *user)
{
	plug_err err = call_takes_nothing(call);

	return err == PLUG_OK ? reply_info(call, user) : err;
}

plug_err
method_load(struct plug_call *call, void *user)
{
	struct gpt2 *gpt2 = user;
	struct failure failure;
	plug_err err = call_takes_nothing(call);

	if (err != PLUG_OK)
		return err;
	if (holder_load(&gpt2->holder, &failure) < 0)
		return plug_fail(call, PLUG_EPLUGIN, "%s", failure.text);
	return reply_info(call, gpt2);
}

plug_err
method_unload(struct plug_call *call, void *user)
{
	struct gpt2 *gpt2 = user;
	plug_err err = call_takes_nothing(call);

	if (err != PLUG_OK)
		return err;
	if (holder_unload(&gpt2->holder))
		plug_call_log(call, PLUG_LOG_INFO, "unloaded %s", gpt2->holder.dir);
	return reply_info(call, gpt2);
}

static json_t *
encoded(const struct vocab *vocab, const json_t *text, struct failure *failure)
{
	struct token_list tokens = {0};
	json_t *array = NULL;

	if (tokenizer_encode(vocab, json_string_value(text), json_string_length(text), &tokens,
			     failure) == 0)
		array = json_array();
	for (size_t i = 0; array && i < tokens.count; i++)
		json_array_append_new(array, json_integer(tokens.ids[i]));
	token_list_fini(&tokens);
	return array ? json_pack("{s:o, s:I}", "tokens", array, "count",
				 (json_int_t)json_array_size(array))
		     : NULL;
}

static int
tokens_from(const json_t *array, uint32_t size, struct token_list *tokens, struct failure *failure)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		json_int_t id = json_integer_value(json_array_get(array, i));

		if (id < 0 || id >= size)
			return failf(failure,
				     "tokens[%zu] is %" JSON_INTEGER_FORMAT ", expected 0 to %u", i,
				     id, size - 1);
		if (token_list_add(tokens, (uint32_t)id) < 0)
			return fail_memory(failure, "reading tokens");
	}
	return 0;
}

static json_t *
decoded(const struct vocab *vocab, const json_t *array, struct failure *failure)
{
	struct token_list tokens = {0};
	struct text text = {0};
	json_t *reply = NULL;

	if (tokens_from(array, vocab->size, &tokens, failure) == 0 &&
	    tokenizer_decode(vocab, tokens.ids, tokens.count, &text, failure) == 0)
		reply = json_pack("{s:s%, s:I}", "text", text.data ? text.data : "", text.size,
				  "count", (json_int_t)tokens.count);
	text_fini(&text);
	token_list_fini(&tokens);
	return reply;
}

plug_err
method_tokenize(struct plug_call *call, void *user)
{
	struct failure failure = {"no memory for the answer", true};
	struct tokenize_request request;
	const struct vocab *vocab;
	struct held *held = NULL;
	const char *json;
	json_t *reply;
	size_t size;
	plug_err err = call_json(call, &json, &size);

	if (err != PLUG_OK)
		return err;
	if (tokenize_request_parse(json, size, &request, &failure) < 0)
		return call_failed(call, &failure);
	err = call_model(call, user, &held);
	if (err == PLUG_OK) {
		vocab = &held_model(held)->vocab;
		reply = request.text ? encoded(vocab, request.text, &failure)
				     : decoded(vocab, request.tokens, &failure);
		err = reply ? call_reply(call, reply) : call_failed(call, &failure);
	}
	holder_release(&((struct gpt2 *)user)->holder, held);
	json_decref(request.root);
	return err;
}

static json_t *
vector_json(const float *vector, size_t width)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < width; i++)
		json_array_append_new(array, json_real((double)vector[i]));
	return array;
}

/* Embed each text; between texts the caller may have gone. */
static plug_err
embed_all(struct plug_call *call, const struct model *model, const struct embed_request *request,
	  json_t *vectors, size_t *ret_tokens)
{
	AUTO_FREE float *vector = calloc(model->config.embd, sizeof(*vector));
	struct failure failure;
	size_t tokens;

	if (!vector)
		return plug_fail(call, PLUG_ENOMEM, "no memory for a vector");
	for (size_t i = 0; i < request->count; i++) {
		const json_t *text = embed_request_text(request, i);

		if (plug_call_cancelled(call))
			return plug_call_status(call);
		if (embed_text(model, json_string_value(text), json_string_length(text),
			       request->normalize, vector, &tokens, &failure) < 0)
			return plug_fail(call, failure.internal ? PLUG_EPLUGIN : PLUG_EINVAL,
					 "input %zu: %s", i, failure.text);
		if (json_array_append_new(vectors, vector_json(vector, model->config.embd)) < 0)
			return plug_fail(call, PLUG_ENOMEM, "no memory for a vector");
		*ret_tokens += tokens;
	}
	return PLUG_OK;
}

static plug_err
embed(struct plug_call *call, const struct model *model, const struct embed_request *request)
{
	json_t *vectors = json_array();
	size_t tokens = 0;
	plug_err err = embed_all(call, model, request, vectors, &tokens);

	if (err != PLUG_OK) {
		json_decref(vectors);
		return err;
	}
	return call_reply(call, json_pack("{s:o, s:I, s:{s:I}}", "embeddings", vectors,
					  "dimensions", (json_int_t)model->config.embd, "usage",
					  "prompt_tokens", (json_int_t)tokens));
}

plug_err
method_embed(struct plug_call *call, void *user)
{
	const struct plug_plugin *plugin = plug_call_plugin(call);
	struct gpt2 *gpt2 = user;
	struct embed_request request;
	struct held *held = NULL;
	struct failure failure;
	const char *json;
	size_t size;
	plug_err err = call_json(call, &json, &size);

	if (err != PLUG_OK)
		return err;
	if (embed_request_parse(json, size, (size_t)plug_config_int(plugin, "max_batch_size", 32),
				&request, &failure) < 0)
		return call_failed(call, &failure);
	err = call_model(call, gpt2, &held);
	if (err == PLUG_OK)
		err = embed(call, held_model(held), &request);
	holder_release(&gpt2->holder, held);
	json_decref(request.root);
	return err;
}
