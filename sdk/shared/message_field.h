/*
 * Walking the fields of a message in protobuf's wire format.  Nothing is believed to be where a
 * length says before that was compared with the end.  Private to message_unpack.c.
 */
#ifndef PLUGS_MESSAGE_FIELD_H
#define PLUGS_MESSAGE_FIELD_H

#include <endian.h>
#include <string.h>

#include "message_wire.h"

struct field {
	uint32_t key;
	uint64_t value;      /* of a varint; of bytes: how many */
	const uint8_t *data; /* of bytes */
};

static inline const uint8_t *
long_varint(const uint8_t *at, const uint8_t *end, unsigned limit, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < limit && at < end; i++) {
		uint8_t byte = *at++;

		value |= (uint64_t)(byte & 0x7f) << 7 * i;
		if (byte & 0x80)
			continue;
		if (i == VARINT_BYTES - 1 && byte > 1)
			return NULL;
		*ret = value;
		return at;
	}
	return NULL;
}

/* The low 7 bits of each of 8 bytes, put together. */
static inline uint64_t
join_sevens(uint64_t word)
{
	word = (word & 0x007f007f007f007f) | (word & 0x7f007f007f007f00) >> 1;
	word = (word & 0x00003fff00003fff) | (word & 0x3fff00003fff0000) >> 2;
	return (word & 0x0fffffff) | (word & 0x0fffffff00000000) >> 4;
}

/* Up to 8 bytes at once: offsets, sizes and generations have three to six. */
static inline const uint8_t *
take_word(const uint8_t *at, unsigned limit, uint64_t *ret)
{
	uint64_t word, last;
	unsigned bytes;

	memcpy(&word, at, sizeof(word));
	word = le64toh(word);
	last = ~word & 0x8080808080808080; /* of each byte that ends one */
	if (!last)
		return NULL;
	bytes = (unsigned)__builtin_ctzll(last) / 8 + 1;
	if (bytes > limit)
		return NULL;
	*ret = join_sevens(word & (last ^ (last - 1)));
	return at + bytes;
}

/* The place behind it; NULL: it does not end within `limit` bytes or before the end. */
static inline const uint8_t *
take_varint(const uint8_t *at, const uint8_t *end, unsigned limit, uint64_t *ret)
{
	const uint8_t *behind;

	if (at < end && *at < 0x80) {
		*ret = *at;
		return at + 1;
	}
	if (end - at >= 8 && (behind = take_word(at, limit, ret)))
		return behind;
	return long_varint(at, end, limit, ret);
}

static inline const uint8_t *
skip(const uint8_t *at, const uint8_t *end, size_t bytes)
{
	return (size_t)(end - at) < bytes ? NULL : at + bytes;
}

struct reader {
	const uint8_t *at; /* NULL: something was broken */
	const uint8_t *end;
};

static inline struct reader
read_bytes(const struct field *from)
{
	return (struct reader){from->data, from->data + from->value};
}

static inline const uint8_t *
take_content(const uint8_t *at, const uint8_t *end, struct field *ret)
{
	switch (ret->key & 7) {
	case WIRE_VARINT:
		return take_varint(at, end, VARINT_BYTES, &ret->value);
	case WIRE_BYTES:
		at = take_varint(at, end, LENGTH_BYTES, &ret->value);
		ret->data = at;
		return at ? skip(at, end, ret->value) : NULL;
	case WIRE_64:
		return skip(at, end, 8);
	case WIRE_32:
		return skip(at, end, 4);
	default:
		return NULL;
	}
}

/* False: that was the last one, or it is broken. */
static inline bool
next_field(struct reader *reader, struct field *ret)
{
	uint64_t key;

	if (reader->at == reader->end)
		return false;
	reader->at = take_varint(reader->at, reader->end, LENGTH_BYTES, &key);
	if (!reader->at)
		return false;
	ret->key = (uint32_t)key;
	reader->at = key < KEY(1, 0) || key > UINT32_MAX
			     ? NULL
			     : take_content(reader->at, reader->end, ret);
	return reader->at;
}

#endif
