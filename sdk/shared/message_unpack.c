/*
 * Whatever is taken here, protobuf-c takes as well and finds the same values in it; the reverse
 * does not hold: two bodies in one Envelope, field number 0 and varints beyond 64 bits are refused.
 * Every message is walked field by field, none contains itself, and nothing is believed to be where
 * a length says before that was compared with the end.
 */
#include <string.h>

#include "message.h"
#include "message_field.h"

/* ---- fields ---- */

static inline struct plugs_bytes
bytes_of(const struct field *field)
{
	return (struct plugs_bytes){field->data, field->value};
}

/* A field that is not in the message's switch: of a number that it has, the type is wrong. */
static inline bool
unknown(const struct field *field, uint32_t last_number)
{
	return field->key >> 3 > last_number;
}

/* ---- tensors and buffers ---- */

static bool
add_extent(struct plugs_tensor *tensor, uint64_t value)
{
	if (tensor->dims == PLUGS_DIMS_MAX)
		return false;
	tensor->shape[tensor->dims++] = value;
	return true;
}

static bool
add_stride(struct plugs_tensor *tensor, uint64_t zigzag)
{
	if (tensor->strides_count == PLUGS_DIMS_MAX)
		return false;
	tensor->strides[tensor->strides_count++] = (int64_t)(zigzag >> 1 ^ (0 - (zigzag & 1)));
	return true;
}

static bool
take_packed(struct plugs_tensor *tensor, const struct field *field,
	    bool (*add)(struct plugs_tensor *tensor, uint64_t value))
{
	const uint8_t *at = field->data, *end = at + field->value;
	uint64_t value;

	while (at < end) {
		at = take_varint(at, end, VARINT_BYTES, &value);
		if (!at || !add(tensor, value))
			return false;
	}
	return true;
}

/* One of the fields that are lists; they may come packed or one by one. */
static bool
take_list(struct plugs_tensor *tensor, const struct field *field)
{
	switch (field->key) {
	case KEY(TENSOR_SHAPE, WIRE_BYTES):
		return take_packed(tensor, field, add_extent);
	case KEY(TENSOR_SHAPE, WIRE_VARINT):
		return add_extent(tensor, field->value);
	case KEY(TENSOR_STRIDES, WIRE_BYTES):
		return take_packed(tensor, field, add_stride);
	case KEY(TENSOR_STRIDES, WIRE_VARINT):
		return add_stride(tensor, field->value);
	default:
		return unknown(field, TENSOR_YOURS);
	}
}

/* The number behind this key, if that is what comes next. */
static inline bool
take_number_of(struct reader *reader, uint32_t key, uint64_t *ret)
{
	const uint8_t *at = reader->at;

	if (at == reader->end || *at != key)
		return false;
	at = take_varint(at + 1, reader->end, VARINT_BYTES, ret);
	if (!at)
		return false; /* whoever walks the fields finds the same */
	reader->at = at;
	return true;
}

/* What stands between the name and the lists, in the order in which everybody writes it: taken
 * without asking which field of all it may be. */
static void
take_usual(struct reader *reader, struct plugs_tensor *tensor)
{
	uint64_t value;

	if (take_number_of(reader, KEY(TENSOR_ARENA, WIRE_VARINT), &value))
		tensor->arena = (uint32_t)value;
	if (take_number_of(reader, KEY(TENSOR_OFFSET, WIRE_VARINT), &value))
		tensor->offset = value;
	if (take_number_of(reader, KEY(TENSOR_GENERATION, WIRE_VARINT), &value))
		tensor->generation = value;
	if (take_number_of(reader, KEY(TENSOR_BYTES, WIRE_VARINT), &value))
		tensor->bytes = value;
	if (take_number_of(reader, KEY(TENSOR_BYTE_OFFSET, WIRE_VARINT), &value))
		tensor->byte_offset = value;
	if (take_number_of(reader, KEY(TENSOR_CODE, WIRE_VARINT), &value))
		tensor->code = (uint32_t)value;
	if (take_number_of(reader, KEY(TENSOR_BITS, WIRE_VARINT), &value))
		tensor->bits = (uint32_t)value;
	if (take_number_of(reader, KEY(TENSOR_LANES, WIRE_VARINT), &value))
		tensor->lanes = (uint32_t)value;
}

static bool
take_tensor(const struct field *from, struct plugs_tensor *tensor)
{
	struct reader reader = read_bytes(from);
	struct field field = {0};

	memset(tensor, 0, offsetof(struct plugs_tensor, shape)); /* the lists have their counts */
	take_usual(&reader, tensor);
	while (next_field(&reader, &field)) {
		switch (field.key) {
		case KEY(TENSOR_NAME, WIRE_BYTES):
			tensor->name = bytes_of(&field);
			take_usual(&reader, tensor);
			break;
		case KEY(TENSOR_ARENA, WIRE_VARINT):
			tensor->arena = (uint32_t)field.value;
			break;
		case KEY(TENSOR_OFFSET, WIRE_VARINT):
			tensor->offset = field.value;
			break;
		case KEY(TENSOR_GENERATION, WIRE_VARINT):
			tensor->generation = field.value;
			break;
		case KEY(TENSOR_BYTES, WIRE_VARINT):
			tensor->bytes = field.value;
			break;
		case KEY(TENSOR_BYTE_OFFSET, WIRE_VARINT):
			tensor->byte_offset = field.value;
			break;
		case KEY(TENSOR_CODE, WIRE_VARINT):
			tensor->code = (uint32_t)field.value;
			break;
		case KEY(TENSOR_BITS, WIRE_VARINT):
			tensor->bits = (uint32_t)field.value;
			break;
		case KEY(TENSOR_LANES, WIRE_VARINT):
			tensor->lanes = (uint32_t)field.value;
			break;
		case KEY(TENSOR_YOURS, WIRE_VARINT):
			tensor->yours = field.value != 0;
			break;
		default:
			if (!take_list(tensor, &field))
				return false;
		}
	}
	return reader.at;
}

static bool
add_tensor(const struct field *field, struct plugs_message *ret)
{
	return ret->tensors && ret->tensor_count < PLUGS_TENSORS_MAX &&
	       take_tensor(field, &ret->tensors[ret->tensor_count++]);
}

static bool
take_buffer(const struct field *from, struct plugs_buffer *buffer)
{
	struct reader reader = read_bytes(from);
	struct field field = {0};

	*buffer = (struct plugs_buffer){.arena = 0};
	while (next_field(&reader, &field)) {
		switch (field.key) {
		case KEY(BUFFER_ARENA, WIRE_VARINT):
			buffer->arena = (uint32_t)field.value;
			break;
		case KEY(BUFFER_OFFSET, WIRE_VARINT):
			buffer->offset = field.value;
			break;
		case KEY(BUFFER_GENERATION, WIRE_VARINT):
			buffer->generation = field.value;
			break;
		default:
			if (!unknown(&field, BUFFER_GENERATION))
				return false;
		}
	}
	return reader.at;
}

/* ---- bodies ---- */

static bool
take_call(const struct field *from, struct plugs_message *ret)
{
	struct reader reader = read_bytes(from);
	struct field field = {0};

	while (next_field(&reader, &field)) {
		switch (field.key) {
		case KEY(CALL_PLUGIN, WIRE_BYTES): /* the channel says which */
			break;
		case KEY(CALL_METHOD, WIRE_BYTES):
			ret->method = bytes_of(&field);
			break;
		case KEY(CALL_CONTENT_TYPE, WIRE_BYTES):
			ret->content_type = bytes_of(&field);
			break;
		case KEY(CALL_PAYLOAD, WIRE_BYTES):
			ret->payload = bytes_of(&field);
			break;
		case KEY(CALL_MORE, WIRE_VARINT):
			ret->more = field.value != 0;
			break;
		case KEY(CALL_TIMEOUT_US, WIRE_VARINT):
			ret->timeout_us = field.value;
			break;
		case KEY(CALL_TENSORS, WIRE_BYTES):
			if (!add_tensor(&field, ret))
				return false;
			break;
		case KEY(CALL_AGAIN, WIRE_VARINT): /* words to plugd */
		case KEY(CALL_DIED_CHANNEL, WIRE_VARINT):
		case KEY(CALL_DIED_NUMBER, WIRE_VARINT):
			break;
		default:
			if (!unknown(&field, CALL_DIED_NUMBER))
				return false;
		}
	}
	return reader.at;
}

static bool
take_reply(const struct field *from, struct plugs_message *ret)
{
	struct reader reader = read_bytes(from);
	struct field field = {0};

	while (next_field(&reader, &field)) {
		switch (field.key) {
		case KEY(REPLY_OUTCOME, WIRE_VARINT):
			ret->code = (uint32_t)field.value;
			break;
		case KEY(REPLY_CONTENT_TYPE, WIRE_BYTES):
			ret->content_type = bytes_of(&field);
			break;
		case KEY(REPLY_PAYLOAD, WIRE_BYTES):
			ret->payload = bytes_of(&field);
			break;
		case KEY(REPLY_MORE, WIRE_VARINT):
			ret->more = field.value != 0;
			break;
		case KEY(REPLY_PARTIAL, WIRE_VARINT):
			ret->partial = field.value != 0;
			break;
		case KEY(REPLY_MESSAGE, WIRE_BYTES):
			ret->text = bytes_of(&field);
			break;
		case KEY(REPLY_TENSORS, WIRE_BYTES):
			if (!add_tensor(&field, ret))
				return false;
			break;
		default:
			if (!unknown(&field, REPLY_TENSORS))
				return false;
		}
	}
	return reader.at;
}

static bool
take_chunk(const struct field *from, struct plugs_message *ret)
{
	struct reader reader = read_bytes(from);
	struct field field = {0};

	while (next_field(&reader, &field)) {
		if (field.key == KEY(CHUNK_DATA, WIRE_BYTES))
			ret->payload = bytes_of(&field);
		else if (field.key == KEY(CHUNK_LAST, WIRE_VARINT))
			ret->last = field.value != 0;
		else if (!unknown(&field, CHUNK_LAST))
			return false;
	}
	return reader.at;
}

/* Cancel and Credit: a number in field 1. */
static bool
take_number(const struct field *from, uint64_t *ret)
{
	struct reader reader = read_bytes(from);
	struct field field = {0};

	while (next_field(&reader, &field)) {
		if (field.key == KEY(1, WIRE_VARINT))
			*ret = field.value;
		else if (!unknown(&field, 1))
			return false;
	}
	return reader.at;
}

static bool
take_cancel(const struct field *from, struct plugs_message *ret)
{
	uint64_t reason = 0;
	bool ok = take_number(from, &reason);

	ret->code = (uint32_t)reason;
	return ok;
}

static bool
take_release(const struct field *from, struct plugs_message *ret)
{
	struct reader reader = read_bytes(from);
	struct field field = {0};

	while (next_field(&reader, &field)) {
		if (field.key == KEY(RELEASE_BUFFERS, WIRE_BYTES)) {
			if (!ret->buffers || ret->buffer_count == PLUGS_BUFFERS_MAX ||
			    !take_buffer(&field, &ret->buffers[ret->buffer_count++]))
				return false;
		} else if (!unknown(&field, RELEASE_BUFFERS)) {
			return false;
		}
	}
	return reader.at;
}

static bool
take_body(const struct field *from, struct plugs_message *ret)
{
	switch (from->key) {
	case KEY(ENVELOPE_CALL, WIRE_BYTES):
		ret->kind = PLUGS_CALL;
		return take_call(from, ret);
	case KEY(ENVELOPE_REPLY, WIRE_BYTES):
		ret->kind = PLUGS_REPLY;
		return take_reply(from, ret);
	case KEY(ENVELOPE_CHUNK, WIRE_BYTES):
		ret->kind = PLUGS_CHUNK;
		return take_chunk(from, ret);
	case KEY(ENVELOPE_CANCEL, WIRE_BYTES):
		ret->kind = PLUGS_CANCEL;
		return take_cancel(from, ret);
	case KEY(ENVELOPE_CREDIT, WIRE_BYTES):
		ret->kind = PLUGS_CREDIT;
		return take_number(from, &ret->credit);
	case KEY(ENVELOPE_RELEASE, WIRE_BYTES):
		ret->kind = PLUGS_RELEASE;
		return take_release(from, ret);
	default:
		return false;
	}
}

/* Of plugin, client and broker sessions; a body of theirs is none here. */
static bool
elsewhere(uint32_t number)
{
	return (number >= 10 && number <= 20) || (number >= 40 && number <= 43) ||
	       (number >= 50 && number <= 54) || number == 100 || (number >= 120 && number <= 121);
}

plug_err
plugs_message_unpack(const uint8_t *data, size_t size, struct plugs_message *ret)
{
	static const struct plugs_message empty; /* copying takes 10 ns less than clearing */
	struct plugs_tensor *tensors = ret->tensors;
	struct plugs_buffer *buffers = ret->buffers;
	struct reader reader = {data, data + size};
	struct field field = {0};
	bool found = false;

	*ret = empty;
	ret->tensors = tensors;
	ret->buffers = buffers;
	while (next_field(&reader, &field)) {
		uint32_t number = field.key >> 3;

		if (field.key == KEY(ENVELOPE_ID, WIRE_VARINT)) {
			ret->id = field.value;
		} else if (number == ENVELOPE_RELEASE ||
			   (number >= ENVELOPE_CALL && number <= ENVELOPE_CREDIT)) {
			if (found || !take_body(&field, ret))
				return PLUG_EPROTO;
			found = true;
		} else if (number <= ENVELOPE_ACK ? field.key % 8 != WIRE_VARINT
						  : elsewhere(number)) {
			return PLUG_EPROTO;
		}
	}
	return reader.at && found ? PLUG_OK : PLUG_EPROTO;
}
