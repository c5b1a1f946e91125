/*
 * The messages of a channel, packed and unpacked without protobuf-c: the same bytes as an Envelope
 * with a Call, Chunk, Cancel, Credit, Release or Reply (proto/plug.proto), in about a ninth of the
 * time. No allocation, no lock, no log; all functions are safe in any thread.
 *
 * Nothing is said about what the bytes mean: names and texts may hold NUL or be no UTF-8, a Call
 * may be without a method, an id be 0.  Who uses a field checks it, as with protobuf-c.  A Call's
 * `plugin` is neither written nor read: the channel says whose it is.
 */
#ifndef PLUGS_MESSAGE_H
#define PLUGS_MESSAGE_H

#include <plug/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUGS_TENSORS_MAX 32 /* in one message */
#define PLUGS_DIMS_MAX    8
#define PLUGS_BUFFERS_MAX 64 /* in one Release */

enum plugs_kind { PLUGS_CALL, PLUGS_CHUNK, PLUGS_CANCEL, PLUGS_CREDIT, PLUGS_RELEASE, PLUGS_REPLY };

/* Bytes that are not terminated. */
struct plugs_bytes {
	const uint8_t *data; /* NULL or anything when size is 0 */
	size_t size;
};

/* A Tensor as it stands in the message: nothing of it is checked except the counts. */
struct plugs_tensor {
	struct plugs_bytes name;
	uint32_t arena;
	bool yours;
	uint64_t offset, generation, bytes, byte_offset;
	uint32_t code, bits, lanes;
	uint32_t dims, strides_count;   /* at most PLUGS_DIMS_MAX; strides_count is 0 or as found */
	uint64_t shape[PLUGS_DIMS_MAX]; /* beyond the counts: anything */
	int64_t strides[PLUGS_DIMS_MAX];
};

struct plugs_buffer {
	uint32_t arena;
	uint64_t offset, generation;
};

/* Only the fields of `kind` have a meaning; the others are 0. */
struct plugs_message {
	enum plugs_kind kind;
	uint64_t id;
	struct plugs_bytes method;       /* CALL */
	struct plugs_bytes content_type; /* CALL REPLY */
	struct plugs_bytes payload;      /* CALL REPLY CHUNK */
	struct plugs_bytes text;         /* REPLY: its message */
	bool more;                       /* CALL REPLY: chunks follow */
	bool partial;                    /* REPLY */
	bool last;                       /* CHUNK */
	uint32_t code;                   /* REPLY: outcome; CANCEL: reason */
	uint64_t timeout_us;             /* CALL */
	uint64_t credit;                 /* CREDIT */
	uint32_t tensor_count;           /* CALL REPLY */
	uint32_t buffer_count;           /* RELEASE */
	/* Packing: the caller's.  Unpacking: set by the caller to room for PLUGS_TENSORS_MAX and
	 * PLUGS_BUFFERS_MAX before, or NULL when it takes none (then one is PLUG_EPROTO). */
	struct plugs_tensor *tensors;
	struct plugs_buffer *buffers;
};

/* No packed message is longer than this; cheap and generous: what to reserve in the ring.  Of a
 * message whose payload has size 0 it is what to keep free beside a piece of payload. */
size_t plugs_message_bound(const struct plugs_message *message);

/* Pack into `buf`, which has plugs_message_bound() bytes; returns the bytes written, never 0.  The
 * message must be shorter than 2 MiB (no ring takes one that long) and keep within the limits. */
size_t plugs_message_pack(const struct plugs_message *message, uint8_t *buf);

/*
 * Unpack.  `data` is private memory (copied from the ring) and must outlive *ret, which points into
 * it.  Fields that this version does not know are skipped, of known ones the last one counts, as
 * protobuf has it.  Set ret->tensors and ret->buffers before.
 *
 * PLUG_OK
 * PLUG_EPROTO  not an Envelope with exactly one of those bodies, a field of the wrong type, or more
 *              tensors, dimensions or buffers than the limits; *ret is undefined
 */
plug_err plugs_message_unpack(const uint8_t *data, size_t size, struct plugs_message *ret);

#endif
