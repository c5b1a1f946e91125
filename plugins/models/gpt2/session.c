#include "session.h"

#include "kernels.h"
#include "scope.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

struct session {
	const struct model *model;
	size_t capacity, batch, length;
	float *keys, *values; /* [layers, capacity, embd] */
	float *stream;        /* [batch, embd]: what the layers add to */
	float *norm;          /* [batch, embd] */
	float *qkv;           /* [batch, 3 embd] */
	float *mixed;         /* [batch, embd]: what attention saw */
	float *inner;         /* [batch, inner] */
	float *scores;        /* [batch, capacity] */
	float *memory;
};

struct part {
	float **at;
	size_t rows, width;
};

/* One block for everything; false when its size does not fit or there is no memory. */
static bool
allocate(struct session *s)
{
	const struct model_config *config = &s->model->config;
	size_t embd = config->embd;
	struct part parts[] = {
		{&s->keys, s->capacity * config->layers, embd},
		{&s->values, s->capacity * config->layers, embd},
		{&s->stream, s->batch, embd},
		{&s->norm, s->batch, embd},
		{&s->qkv, s->batch, 3 * embd},
		{&s->mixed, s->batch, embd},
		{&s->inner, s->batch, config->inner},
		{&s->scores, s->batch, s->capacity},
	};
	size_t total = 0, part;
	float *at;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!size_mul(parts[i].rows, parts[i].width, &part) ||
		    __builtin_add_overflow(total, part, &total))
			return false;
	if (!size_mul(total, sizeof(float), &part))
		return false;
	at = s->memory = malloc(part);
	for (size_t i = 0; at && i < sizeof(parts) / sizeof(parts[0]); i++) {
		*parts[i].at = at;
		at += parts[i].rows * parts[i].width;
	}
	return s->memory != NULL;
}

int
session_new(const struct model *model, size_t capacity, size_t batch, struct session **ret_session,
	    struct failure *failure)
{
	struct session *s;

	if (!capacity || !batch || capacity > model->config.context || batch > capacity)
		return failf(failure,
			     "a session of %zu tokens, %zu at once; the model's context is "
			     "%u",
			     capacity, batch, model->config.context);
	s = calloc(1, sizeof(*s));
	if (!s)
		return fail_memory(failure, "making a session");
	s->model = model;
	s->capacity = capacity;
	s->batch = batch;
	if (!allocate(s)) {
		session_free(s);
		return fail_memory(failure, "making a key-value cache");
	}
	*ret_session = s;
	return 0;
}

void
session_free(struct session *s)
{
	if (!s)
		return;
	free(s->memory);
	free(s);
}

size_t
session_length(const struct session *s)
{
	return s->length;
}

size_t
session_left(const struct session *s)
{
	return s->capacity - s->length;
}

static void
embed_tokens(struct session *s, const uint32_t *ids, size_t count)
{
	const struct weights *weights = &s->model->weights;
	size_t embd = s->model->config.embd;

	for (size_t r = 0; r < count; r++) {
		const float *token = weights->token_embd + ids[r] * embd;
		const float *place = weights->place_embd + (s->length + r) * embd;

		for (size_t i = 0; i < embd; i++)
			s->stream[r * embd + i] = token[i] + place[i];
	}
}

static void
self_attention(struct session *s, const struct layer_weights *layer, size_t index, size_t count)
{
	const struct model_config *config = &s->model->config;
	size_t embd = config->embd, cache = index * s->capacity * embd;
	float *keys = s->keys + cache, *values = s->values + cache;
	struct attention attention = {
		.heads = config->heads,
		.width = embd / config->heads,
		.query = s->qkv,
		.query_stride = 3 * embd,
		.keys = keys,
		.values = values,
		.past = s->length,
		.rows = count,
		.scores = s->scores,
	};

	layer_norm(s->stream, count, embd, layer->ln1_gain, layer->ln1_bias, config->epsilon,
		   s->norm);
	linear_apply((struct linear){layer->attn, layer->attn_bias, embd, 3 * embd}, s->norm, count,
		     s->qkv);
	for (size_t r = 0; r < count; r++) {
		const float *row = s->qkv + r * 3 * embd;

		memcpy(keys + (s->length + r) * embd, row + embd, embd * sizeof(float));
		memcpy(values + (s->length + r) * embd, row + 2 * embd, embd * sizeof(float));
	}
	attend(&attention, s->mixed);
	linear_add((struct linear){layer->attn_out, layer->attn_out_bias, embd, embd}, s->mixed,
		   count, s->stream);
}

static void
feed_forward(struct session *s, const struct layer_weights *layer, size_t count)
{
	const struct model_config *config = &s->model->config;
	size_t embd = config->embd, inner = config->inner;

	layer_norm(s->stream, count, embd, layer->ln2_gain, layer->ln2_bias, config->epsilon,
		   s->norm);
	linear_apply((struct linear){layer->mlp_in, layer->mlp_in_bias, embd, inner}, s->norm,
		     count, s->inner);
	gelu(s->inner, count * inner);
	linear_add((struct linear){layer->mlp_out, layer->mlp_out_bias, inner, embd}, s->inner,
		   count, s->stream);
}

void
session_feed(struct session *s, const uint32_t *ids, size_t count)
{
	const struct model *model = s->model;

	assert(count > 0 && count <= s->batch && count <= session_left(s));
	embed_tokens(s, ids, count);
	for (uint32_t i = 0; i < model->config.layers; i++) {
		self_attention(s, &model->weights.layers[i], i, count);
		feed_forward(s, &model->weights.layers[i], count);
	}
	layer_norm(s->stream, count, model->config.embd, model->weights.ln_gain,
		   model->weights.ln_bias, model->config.epsilon, s->norm);
	s->length += count;
}

const float *
session_hidden(const struct session *s, size_t row)
{
	return s->norm + row * s->model->config.embd;
}

void
session_logits(const struct session *s, size_t row, float *logits)
{
	rows_dot(s->model->weights.head, s->model->config.vocab, s->model->config.embd,
		 session_hidden(s, row), logits);
}
