/*
 * Protobuf's wire format written by hand, right or wrong, and what both codecs make of it.
 */
#ifndef BYTES_H
#define BYTES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agree.h"
#include "message_wire.h"
#include "sample.h"

struct bytes {
	size_t size;
	uint8_t data[8192];
};

/* A varint of at least `width` bytes: padded with zero bits to that width. */
void put_wide(struct bytes *to, uint64_t value, unsigned width);

void put_key(struct bytes *to, uint32_t number, uint32_t type);

/* A field that is a varint. */
void put_varint(struct bytes *to, uint32_t number, uint64_t value);

/* A field that is bytes. */
void put_data(struct bytes *to, uint32_t number, const void *data, size_t size);
void put_inside(struct bytes *to, uint32_t number, const struct bytes *content);

/* A field of any type with plausible content. */
void put_typed(struct bytes *to, uint32_t number, uint32_t type);

/* Room for what is unpacked. */
struct found {
	struct plugs_message message;
	struct plugs_tensor tensors[PLUGS_TENSORS_MAX];
	struct plugs_buffer buffers[PLUGS_BUFFERS_MAX];
	uint8_t *copy; /* exactly as long as the message, so that a sanitizer sees a byte beyond */
};

/* Unpack a copy; it is freed by the next call with the same *ret, which must be cleared before the
 * first, and by forget(). */
plug_err unpack(const uint8_t *data, size_t size, struct found *ret);
void forget(struct found *found);

/* Ours takes it, and so does protobuf-c, with the same values. */
void expect_agreement(const struct bytes *bytes, struct found *ret);

/* Ours refuses it. */
void expect_refused(const struct bytes *bytes);

#endif
