#include "bytes.h"

void
put_wide(struct bytes *to, uint64_t value, unsigned width)
{
	unsigned written = 0;

	do {
		uint8_t low = value & 0x7f;

		value >>= 7;
		written++;
		assert_true(to->size < sizeof(to->data));
		to->data[to->size++] = low | (value || written < width ? 0x80 : 0);
	} while (value || written < width);
}

void
put_key(struct bytes *to, uint32_t number, uint32_t type)
{
	put_wide(to, (uint64_t)number << 3 | type, 1);
}

void
put_varint(struct bytes *to, uint32_t number, uint64_t value)
{
	put_key(to, number, WIRE_VARINT);
	put_wide(to, value, 1);
}

void
put_data(struct bytes *to, uint32_t number, const void *data, size_t size)
{
	put_key(to, number, WIRE_BYTES);
	put_wide(to, size, 1);
	assert_true(size <= sizeof(to->data) - to->size);
	memcpy(to->data + to->size, data, size);
	to->size += size;
}

void
put_inside(struct bytes *to, uint32_t number, const struct bytes *content)
{
	put_data(to, number, content->data, content->size);
}

void
put_typed(struct bytes *to, uint32_t number, uint32_t type)
{
	static const uint8_t eight[8] = {8, 7, 6, 5, 4, 3, 2, 1};
	size_t size = type == WIRE_64 ? 8 : 4;

	if (type == WIRE_VARINT) {
		put_varint(to, number, 300);
	} else if (type == WIRE_BYTES) {
		put_data(to, number, "\1\2\3", 3);
	} else {
		put_key(to, number, type);
		memcpy(to->data + to->size, eight, size);
		to->size += size;
	}
}

void
forget(struct found *found)
{
	free(found->copy);
	found->copy = NULL;
}

plug_err
unpack(const uint8_t *data, size_t size, struct found *ret)
{
	forget(ret);
	ret->copy = malloc(size ? size : 1);
	assert_non_null(ret->copy);
	memcpy(ret->copy, data, size);
	ret->message.tensors = ret->tensors;
	ret->message.buffers = ret->buffers;
	return plugs_message_unpack(ret->copy, size, &ret->message);
}

void
expect_agreement(const struct bytes *bytes, struct found *ret)
{
	Plug__Envelope *env = NULL;
	const char *what;

	assert_int_equal(unpack(bytes->data, bytes->size, ret), PLUG_OK);
	assert_int_equal(plug_envelope_unpack(bytes->data, bytes->size, &env), PLUG_OK);
	what = agree(&ret->message, env);
	plug_envelope_free(env);
	if (what)
		fail_msg("%s differs", what);
}

void
expect_refused(const struct bytes *bytes)
{
	struct found found = {.copy = NULL};

	assert_int_equal(unpack(bytes->data, bytes->size, &found), PLUG_EPROTO);
	forget(&found);
}
