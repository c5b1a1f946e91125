#include "agree.h"

#include <string.h>

#define DIFFER(what, condition)      \
	do {                         \
		if (condition)       \
			return what; \
	} while (0)

static bool
differ(struct plugs_bytes a, const void *data, size_t size)
{
	return a.size != size || (size && memcmp(a.data, data, size));
}

/* protobuf-c's strings end at the first NUL, ours do not. */
static bool
differ_text(struct plugs_bytes ours, const char *theirs)
{
	size_t size = strnlen(theirs, ours.size);

	if (size < ours.size && memchr(ours.data, 0, ours.size))
		return memcmp(ours.data, theirs, size + 1);
	return differ(ours, theirs, strlen(theirs));
}

static const char *
agree_tensor(const struct plugs_tensor *ours, const Plug__Tensor *theirs)
{
	DIFFER("tensor.name", differ_text(ours->name, theirs->name));
	DIFFER("tensor.arena", ours->arena != theirs->arena);
	DIFFER("tensor.yours", ours->yours != theirs->yours);
	DIFFER("tensor.offset", ours->offset != theirs->offset);
	DIFFER("tensor.generation", ours->generation != theirs->generation);
	DIFFER("tensor.bytes", ours->bytes != theirs->bytes);
	DIFFER("tensor.byte_offset", ours->byte_offset != theirs->byte_offset);
	DIFFER("tensor.code", ours->code != theirs->code);
	DIFFER("tensor.bits", ours->bits != theirs->bits);
	DIFFER("tensor.lanes", ours->lanes != theirs->lanes);
	DIFFER("tensor.dims", ours->dims != theirs->n_shape);
	DIFFER("tensor.strides_count", ours->strides_count != theirs->n_strides);
	for (uint32_t i = 0; i < ours->dims; i++)
		DIFFER("tensor.shape", ours->shape[i] != theirs->shape[i]);
	for (uint32_t i = 0; i < ours->strides_count; i++)
		DIFFER("tensor.strides", ours->strides[i] != theirs->strides[i]);
	return NULL;
}

static const char *
agree_tensors(const struct plugs_message *ours, size_t count, Plug__Tensor **theirs)
{
	const char *what = NULL;

	DIFFER("tensor_count", ours->tensor_count != count);
	for (uint32_t i = 0; i < count && !what; i++)
		what = agree_tensor(&ours->tensors[i], theirs[i]);
	return what;
}

static const char *
agree_call(const struct plugs_message *ours, const Plug__Call *theirs)
{
	DIFFER("kind", ours->kind != PLUGS_CALL);
	DIFFER("method", differ_text(ours->method, theirs->method));
	DIFFER("content_type", differ_text(ours->content_type, theirs->content_type));
	DIFFER("payload", differ(ours->payload, theirs->payload.data, theirs->payload.len));
	DIFFER("more", ours->more != theirs->more);
	DIFFER("timeout_us", ours->timeout_us != theirs->timeout_us);
	return agree_tensors(ours, theirs->n_tensors, theirs->tensors);
}

static const char *
agree_reply(const struct plugs_message *ours, const Plug__Reply *theirs)
{
	DIFFER("kind", ours->kind != PLUGS_REPLY);
	DIFFER("outcome", ours->code != theirs->outcome);
	DIFFER("content_type", differ_text(ours->content_type, theirs->content_type));
	DIFFER("payload", differ(ours->payload, theirs->payload.data, theirs->payload.len));
	DIFFER("more", ours->more != theirs->more);
	DIFFER("partial", ours->partial != theirs->partial);
	DIFFER("text", differ_text(ours->text, theirs->message));
	return agree_tensors(ours, theirs->n_tensors, theirs->tensors);
}

static const char *
agree_release(const struct plugs_message *ours, const Plug__Release *theirs)
{
	DIFFER("kind", ours->kind != PLUGS_RELEASE);
	DIFFER("buffer_count", ours->buffer_count != theirs->n_buffers);
	for (uint32_t i = 0; i < ours->buffer_count; i++) {
		const struct plugs_buffer *buffer = &ours->buffers[i];

		DIFFER("buffer.arena", buffer->arena != theirs->buffers[i]->arena);
		DIFFER("buffer.offset", buffer->offset != theirs->buffers[i]->offset);
		DIFFER("buffer.generation", buffer->generation != theirs->buffers[i]->generation);
	}
	return NULL;
}

static const char *
agree_small(const struct plugs_message *ours, const Plug__Envelope *theirs)
{
	switch (ours->kind) {
	case PLUGS_CHUNK:
		DIFFER("kind", theirs->body_case != PLUG__ENVELOPE__BODY_CHUNK);
		DIFFER("data",
		       differ(ours->payload, theirs->chunk->data.data, theirs->chunk->data.len));
		DIFFER("last", ours->last != theirs->chunk->last);
		return NULL;
	case PLUGS_CANCEL:
		DIFFER("kind", theirs->body_case != PLUG__ENVELOPE__BODY_CANCEL);
		DIFFER("reason", ours->code != theirs->cancel->reason);
		return NULL;
	case PLUGS_CREDIT:
		DIFFER("kind", theirs->body_case != PLUG__ENVELOPE__BODY_CREDIT);
		DIFFER("credit", ours->credit != theirs->credit->bytes);
		return NULL;
	default:
		return "kind";
	}
}

const char *
agree(const struct plugs_message *ours, const Plug__Envelope *theirs)
{
	DIFFER("id", ours->id != theirs->id);
	switch (theirs->body_case) {
	case PLUG__ENVELOPE__BODY_CALL:
		return agree_call(ours, theirs->call);
	case PLUG__ENVELOPE__BODY_REPLY:
		return agree_reply(ours, theirs->reply);
	case PLUG__ENVELOPE__BODY_RELEASE:
		return agree_release(ours, theirs->release);
	default:
		return agree_small(ours, theirs);
	}
}

/* ---- two of ours ---- */

static bool
differ_bytes(struct plugs_bytes a, struct plugs_bytes b)
{
	return differ(a, b.data, b.size);
}

static const char *
same_tensor(const struct plugs_tensor *a, const struct plugs_tensor *b)
{
	DIFFER("tensor.name", differ_bytes(a->name, b->name));
	DIFFER("tensor.dims", a->dims != b->dims || a->strides_count != b->strides_count);
	DIFFER("tensor.shape", memcmp(a->shape, b->shape, a->dims * sizeof(a->shape[0])));
	DIFFER("tensor.strides",
	       memcmp(a->strides, b->strides, a->strides_count * sizeof(a->strides[0])));
	DIFFER("tensor.arena", a->arena != b->arena || a->yours != b->yours);
	DIFFER("tensor.offset", a->offset != b->offset);
	DIFFER("tensor.generation", a->generation != b->generation);
	DIFFER("tensor.bytes", a->bytes != b->bytes || a->byte_offset != b->byte_offset);
	DIFFER("tensor.code", a->code != b->code || a->bits != b->bits);
	DIFFER("tensor.lanes", a->lanes != b->lanes);
	return NULL;
}

const char *
same(const struct plugs_message *a, const struct plugs_message *b)
{
	const char *what = NULL;

	DIFFER("kind", a->kind != b->kind || a->id != b->id);
	DIFFER("method", differ_bytes(a->method, b->method));
	DIFFER("content_type", differ_bytes(a->content_type, b->content_type));
	DIFFER("payload", differ_bytes(a->payload, b->payload));
	DIFFER("text", differ_bytes(a->text, b->text));
	DIFFER("flags", a->more != b->more || a->partial != b->partial || a->last != b->last);
	DIFFER("code", a->code != b->code);
	DIFFER("timeout_us", a->timeout_us != b->timeout_us || a->credit != b->credit);
	DIFFER("tensor_count", a->tensor_count != b->tensor_count);
	DIFFER("buffer_count", a->buffer_count != b->buffer_count);
	for (uint32_t i = 0; i < a->tensor_count && !what; i++)
		what = same_tensor(&a->tensors[i], &b->tensors[i]);
	for (uint32_t i = 0; i < a->buffer_count && !what; i++)
		DIFFER("buffer", a->buffers[i].arena != b->buffers[i].arena ||
					 a->buffers[i].offset != b->buffers[i].offset ||
					 a->buffers[i].generation != b->buffers[i].generation);
	return what;
}
