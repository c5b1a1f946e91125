/*
 * Fields are written in one pass.  How long a body or a Tensor becomes is not known before it is
 * written, so its length has a place of three bytes, a varint with leading zeros; every reader of
 * the format takes that.
 */
#include <string.h>

#include "message.h"
#include "message_wire.h"

#define NESTED_BYTES 3 /* a length up to 2 MiB */

/* The sum of the longest keys, lengths and numbers; see the puts below. */
#define MESSAGE_FIXED 64
#define TENSOR_FIXED  256
#define BUFFER_FIXED  40

size_t
plugs_message_bound(const struct plugs_message *message)
{
	size_t bytes = MESSAGE_FIXED + message->method.size + message->content_type.size +
		       message->payload.size + message->text.size +
		       (size_t)message->tensor_count * TENSOR_FIXED +
		       (size_t)message->buffer_count * BUFFER_FIXED;

	for (uint32_t i = 0; i < message->tensor_count; i++)
		bytes += message->tensors[i].name.size;
	return bytes;
}

static inline uint8_t *
put_varint(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

/* What has its default value is left out, as proto3 has it. */
static inline uint8_t *
put_number(uint8_t *at, uint32_t number, uint64_t value)
{
	if (value == 0)
		return at;
	*at++ = (uint8_t)KEY(number, WIRE_VARINT);
	return put_varint(at, value);
}

static inline uint8_t *
put_bytes(uint8_t *at, uint32_t number, struct plugs_bytes bytes)
{
	if (bytes.size == 0)
		return at;
	*at++ = (uint8_t)KEY(number, WIRE_BYTES);
	at = put_varint(at, bytes.size);
	memcpy(at, bytes.data, bytes.size);
	return at + bytes.size;
}

/* Leaves room for the length; end_nested() fills it in. */
static inline uint8_t *
begin_nested(uint8_t *at, uint32_t number)
{
	at = put_varint(at, KEY(number, WIRE_BYTES));
	return at + NESTED_BYTES;
}

static inline uint8_t *
end_nested(uint8_t *content, uint8_t *at)
{
	size_t bytes = (size_t)(at - content);

	content[-3] = (uint8_t)(bytes | 0x80);
	content[-2] = (uint8_t)(bytes >> 7 | 0x80);
	content[-1] = (uint8_t)(bytes >> 14 & 0x7f);
	return at;
}

static uint8_t *
put_shape(uint8_t *at, const struct plugs_tensor *tensor)
{
	uint8_t *content = begin_nested(at, TENSOR_SHAPE);

	if (tensor->dims == 0)
		return at;
	at = content;
	for (uint32_t i = 0; i < tensor->dims; i++)
		at = put_varint(at, tensor->shape[i]);
	return end_nested(content, at);
}

static uint8_t *
put_strides(uint8_t *at, const struct plugs_tensor *tensor)
{
	uint8_t *content = begin_nested(at, TENSOR_STRIDES);

	if (tensor->strides_count == 0)
		return at;
	at = content;
	for (uint32_t i = 0; i < tensor->strides_count; i++) {
		uint64_t bits = (uint64_t)tensor->strides[i];

		at = put_varint(at, bits << 1 ^ (0 - (bits >> 63)));
	}
	return end_nested(content, at);
}

static uint8_t *
put_tensors(uint8_t *at, uint32_t number, const struct plugs_message *message)
{
	for (uint32_t i = 0; i < message->tensor_count; i++) {
		const struct plugs_tensor *tensor = &message->tensors[i];
		uint8_t *content = begin_nested(at, number);

		at = put_bytes(content, TENSOR_NAME, tensor->name);
		at = put_number(at, TENSOR_ARENA, tensor->arena);
		at = put_number(at, TENSOR_OFFSET, tensor->offset);
		at = put_number(at, TENSOR_GENERATION, tensor->generation);
		at = put_number(at, TENSOR_BYTES, tensor->bytes);
		at = put_number(at, TENSOR_BYTE_OFFSET, tensor->byte_offset);
		at = put_number(at, TENSOR_CODE, tensor->code);
		at = put_number(at, TENSOR_BITS, tensor->bits);
		at = put_number(at, TENSOR_LANES, tensor->lanes);
		at = put_shape(at, tensor);
		at = put_strides(at, tensor);
		at = put_number(at, TENSOR_YOURS, tensor->yours);
		end_nested(content, at);
	}
	return at;
}

static uint8_t *
put_call(uint8_t *at, const struct plugs_message *message)
{
	at = put_bytes(at, CALL_METHOD, message->method);
	at = put_bytes(at, CALL_CONTENT_TYPE, message->content_type);
	at = put_bytes(at, CALL_PAYLOAD, message->payload);
	at = put_number(at, CALL_MORE, message->more);
	at = put_number(at, CALL_TIMEOUT_US, message->timeout_us);
	return put_tensors(at, CALL_TENSORS, message);
}

static uint8_t *
put_reply(uint8_t *at, const struct plugs_message *message)
{
	at = put_number(at, REPLY_OUTCOME, message->code);
	at = put_bytes(at, REPLY_CONTENT_TYPE, message->content_type);
	at = put_bytes(at, REPLY_PAYLOAD, message->payload);
	at = put_number(at, REPLY_MORE, message->more);
	at = put_number(at, REPLY_PARTIAL, message->partial);
	at = put_bytes(at, REPLY_MESSAGE, message->text);
	return put_tensors(at, REPLY_TENSORS, message);
}

static uint8_t *
put_release(uint8_t *at, const struct plugs_message *message)
{
	for (uint32_t i = 0; i < message->buffer_count; i++) {
		const struct plugs_buffer *buffer = &message->buffers[i];
		uint8_t *content = begin_nested(at, RELEASE_BUFFERS);

		at = put_number(content, BUFFER_ARENA, buffer->arena);
		at = put_number(at, BUFFER_OFFSET, buffer->offset);
		at = put_number(at, BUFFER_GENERATION, buffer->generation);
		end_nested(content, at);
	}
	return at;
}

static uint8_t *
put_body(uint8_t *at, const struct plugs_message *message)
{
	switch (message->kind) {
	case PLUGS_CALL:
		return put_call(at, message);
	case PLUGS_REPLY:
		return put_reply(at, message);
	case PLUGS_CHUNK:
		at = put_bytes(at, CHUNK_DATA, message->payload);
		return put_number(at, CHUNK_LAST, message->last);
	case PLUGS_CANCEL:
		return put_number(at, CANCEL_REASON, message->code);
	case PLUGS_CREDIT:
		return put_number(at, CREDIT_BYTES, message->credit);
	case PLUGS_RELEASE:
		return put_release(at, message);
	}
	return at;
}

size_t
plugs_message_pack(const struct plugs_message *message, uint8_t *buf)
{
	static const uint8_t numbers[] = {
		[PLUGS_CALL] = ENVELOPE_CALL,       [PLUGS_CHUNK] = ENVELOPE_CHUNK,
		[PLUGS_CANCEL] = ENVELOPE_CANCEL,   [PLUGS_CREDIT] = ENVELOPE_CREDIT,
		[PLUGS_RELEASE] = ENVELOPE_RELEASE, [PLUGS_REPLY] = ENVELOPE_REPLY};
	uint8_t *at = put_number(buf, ENVELOPE_ID, message->id);
	uint8_t *content = begin_nested(at, numbers[message->kind]);

	at = end_nested(content, put_body(content, message));
	return (size_t)(at - buf);
}
