/*
 * Protobuf's wire format, as far as the messages of a channel need it.  Private to message_*.c.
 */
#ifndef PLUGS_MESSAGE_WIRE_H
#define PLUGS_MESSAGE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* What stands before a field: its number and how long it is. */
#define KEY(number, type) ((uint32_t)(number) << 3 | (uint32_t)(type))

/* Field numbers of proto/plug.proto; a test holds them against what protoc made of it. */
enum {
	ENVELOPE_ID = 1,
	ENVELOPE_ACK = 4,
	ENVELOPE_CALL = 30,
	ENVELOPE_CHUNK = 31,
	ENVELOPE_CANCEL = 32,
	ENVELOPE_REPLY = 33,
	ENVELOPE_CREDIT = 34,
	ENVELOPE_RELEASE = 60
};
enum {
	CALL_PLUGIN = 1,
	CALL_METHOD = 2,
	CALL_CONTENT_TYPE = 3,
	CALL_PAYLOAD = 4,
	CALL_MORE = 5,
	CALL_TIMEOUT_US = 6,
	CALL_TENSORS = 7,
	CALL_AGAIN = 8,
	CALL_DIED_CHANNEL = 9,
	CALL_DIED_NUMBER = 10
};
enum { CHUNK_DATA = 1, CHUNK_LAST = 2 };
enum { CANCEL_REASON = 1 };
enum {
	REPLY_OUTCOME = 1,
	REPLY_CONTENT_TYPE = 2,
	REPLY_PAYLOAD = 3,
	REPLY_MORE = 4,
	REPLY_PARTIAL = 5,
	REPLY_MESSAGE = 6,
	REPLY_TENSORS = 7
};
enum { CREDIT_BYTES = 1 };
enum { RELEASE_BUFFERS = 1 };
enum { BUFFER_ARENA = 1, BUFFER_OFFSET = 2, BUFFER_GENERATION = 3 };
enum {
	TENSOR_NAME = 1,
	TENSOR_ARENA = 2,
	TENSOR_OFFSET = 3,
	TENSOR_GENERATION = 4,
	TENSOR_BYTES = 5,
	TENSOR_BYTE_OFFSET = 6,
	TENSOR_CODE = 7,
	TENSOR_BITS = 8,
	TENSOR_LANES = 9,
	TENSOR_SHAPE = 10,
	TENSOR_STRIDES = 11,
	TENSOR_YOURS = 12
};

#define VARINT_BYTES 10 /* the longest */
#define LENGTH_BYTES 5  /* the longest length or key */

#endif
