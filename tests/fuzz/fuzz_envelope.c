/*
 * plug_envelope_unpack(): it stays within its budget, and what it takes is packed and taken again.
 */
#include <stdbool.h>
#include <string.h>

#include "codec.h"
#include "fuzz.h"
#include "sample.h"
#include "wire.h"

#define SEEDS_EACH 3 /* of each body */
#define DEPTH_MAX  8 /* of messages in messages; none contains itself */

/* Of the sanitizers; without one there is nothing to ask. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t
allocated(void)
{
	return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
						       : 0;
}

static bool has_field_0(const ProtobufCMessage *message);

static bool
field_has_field_0(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const uint8_t *base = (const uint8_t *)message, *count = base + field->quantifier_offset;
	void *const *value = (void *const *)(base + field->offset);
	bool found = false;

	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		ProtobufCMessage *const *list = *value;

		for (size_t i = 0; i < *(const size_t *)count; i++)
			found = found || has_field_0(list[i]);
		return found;
	}
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(const uint32_t *)count != field->id)
		return false;
	return *value && has_field_0(*value);
}

/* protobuf-c takes a field of number 0 whose key is padded, packs it without the padding, and then
 * refuses it. */
static bool
has_field_0(const ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->n_unknown_fields; i++) {
		if (message->unknown_fields[i].tag == 0)
			return true;
	}
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];

		if (field->type == PROTOBUF_C_TYPE_MESSAGE && field_has_field_0(message, field))
			return true;
	}
	return false;
}

static void
pack_again(const Plug__Envelope *env)
{
	static uint8_t packed[2][PLUG_MESSAGE_BYTES];
	Plug__Envelope *again = NULL;
	size_t sizes[2] = {0, 0};

	if (plug_envelope_pack(env, packed[0], PLUG_MESSAGE_BYTES, &sizes[0]) != PLUG_OK)
		return; /* what was merged may have become too large */
	CHECK(sizes[0] == plug_envelope_size(env));
	CHECK(plug_envelope_unpack(packed[0], sizes[0], &again) == PLUG_OK);
	CHECK(plug_envelope_pack(again, packed[1], PLUG_MESSAGE_BYTES, &sizes[1]) == PLUG_OK);
	CHECK(sizes[0] == sizes[1] && !memcmp(packed[0], packed[1], sizes[0]));
	plug_envelope_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Plug__Envelope *env = NULL;
	size_t before = allocated();
	plug_err err = plug_envelope_unpack(data, size, &env);

	if (err != PLUG_OK) {
		CHECK(err == PLUG_EPROTO || err == PLUG_ETOOLARGE);
		CHECK(allocated() == before);
		return 0;
	}
	CHECK(size <= PLUG_MESSAGE_BYTES);
	CHECK(allocated() - before <= PLUG_UNPACK_BYTES);
	CHECK(env->body_case != PLUG__ENVELOPE__BODY__NOT_SET);
	if (!has_field_0(&env->base))
		pack_again(env);
	plug_envelope_free(env);
	CHECK(allocated() == before);
	return 0;
}

/* ---- seeds: every message that plug.proto knows, from its descriptor ---- */

struct out {
	uint8_t *data;
	size_t size, capacity;
};

static void
put(struct out *out, uint64_t value)
{
	do {
		CHECK(out->size < out->capacity);
		out->data[out->size++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value);
}

static void put_message(struct out *out, const ProtobufCMessageDescriptor *descriptor,
			unsigned depth, uint64_t *random);

static void
put_text(struct out *out, uint64_t *random)
{
	for (uint64_t left = sample_random(random) % 12; left; left--)
		put(out, 'a' + sample_random(random) % 26);
}

static void
put_field(struct out *out, const ProtobufCFieldDescriptor *field, unsigned depth, uint64_t *random)
{
	static uint8_t space[DEPTH_MAX][FUZZ_INPUT_MAX];
	struct out inner = {space[depth], 0, FUZZ_INPUT_MAX};

	CHECK(depth + 1 < DEPTH_MAX);
	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		put_message(&inner, field->descriptor, depth + 1, random);
	} else if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES) {
		put_text(&inner, random);
	} else {
		put(out, (uint64_t)field->id << 3);
		put(out, sample_random(random) >> sample_random(random) % 64);
		return;
	}
	put(out, (uint64_t)field->id << 3 | 2);
	put(out, inner.size);
	CHECK(inner.size <= out->capacity - out->size);
	memcpy(out->data + out->size, inner.data, inner.size);
	out->size += inner.size;
}

static void
put_message(struct out *out, const ProtobufCMessageDescriptor *descriptor, unsigned depth,
	    uint64_t *random)
{
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		uint64_t count = sample_random(random) % 3;

		if (field->label != PROTOBUF_C_LABEL_REPEATED && count > 1)
			count = 1;
		for (; count; count--)
			put_field(out, field, depth, random);
	}
}

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	const ProtobufCMessageDescriptor *envelope = &plug__envelope__descriptor;
	uint64_t random = number + 1;
	struct out out = {buf, 0, capacity};

	for (unsigned i = 0; i < envelope->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &envelope->fields[i];

		if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
			put_field(&out, field, 0, &random);
		} else if (number < SEEDS_EACH) {
			put_field(&out, field, 0, &random);
			return out.size;
		} else {
			number -= SEEDS_EACH;
		}
	}
	return 0;
}
