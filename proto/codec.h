/*
 * Packing and unpacking of Envelopes.
 *
 * Unpacking is budgeted: protobuf-c can turn 1 MiB on the wire into 100 MB of memory, so every
 * unpacked message has an allowance of PLUG_UNPACK_BYTES, and one that would need more is refused.
 * No function here blocks, logs or keeps state; all are safe in any thread.
 */
#ifndef PLUG_CODEC_H
#define PLUG_CODEC_H

#include <plug/error.h>
#include <stddef.h>
#include <stdint.h>

#include "plug.pb-c.h"

#define PLUG_UNPACK_BYTES (1024u * 1024)

/*
 * Unpack one message.  On success *ret is the caller's, freed with plug_envelope_free().
 *
 * PLUG_ETOOLARGE  size exceeds PLUG_MESSAGE_BYTES, or unpacking exceeds PLUG_UNPACK_BYTES
 * PLUG_EPROTO     not an Envelope, or no body this version knows
 * PLUG_ENOMEM
 */
plug_err plug_envelope_unpack(const void *data, size_t size, Plug__Envelope **ret);

void plug_envelope_free(Plug__Envelope *env); /* NULL is allowed */

/* Bytes that packing would write. */
size_t plug_envelope_size(const Plug__Envelope *env);

/*
 * Pack into `buf` of `capacity` bytes.  *ret_size is the number of bytes written.
 *
 * PLUG_ETOOLARGE  the message exceeds PLUG_MESSAGE_BYTES or the capacity
 */
plug_err plug_envelope_pack(const Plug__Envelope *env, void *buf, size_t capacity,
			    size_t *ret_size);

#define PLUG_COMMAND_TYPE "application/vnd.plug.command"
#define PLUG_STDOUT_TYPE  "application/vnd.plug.stdout"
#define PLUG_STDERR_TYPE  "application/vnd.plug.stderr"
#define PLUG_EXIT_TYPE    "application/vnd.plug.exit"

/*
 * Unpack the payload of a command's call: PLUG_UNPACK_BYTES beside its own size.  Errors as above;
 * freed with plug_command_call_free().
 */
plug_err plug_command_call_unpack(const void *data, size_t size, Plug__CommandCall **ret);
void plug_command_call_free(Plug__CommandCall *call); /* NULL is allowed */

/* A protobuf-c string that was not set is "" and never NULL; this guards against hand-made
 * messages. */
static inline const char *
plug_str(const char *text)
{
	return text ? text : "";
}

/* True when text is 1..PLUG_NAME_BYTES characters of [a-z0-9_-] starting with a letter or digit. */
int plug_name_valid(const char *text);

/* Hex of `size` bytes into `out` of 2 * size + 1. */
void plug_hex_encode(const uint8_t *bytes, size_t size, char *out);

/* 0 on success, -1 when text is not exactly 2 * size hex digits. */
int plug_hex_decode(const char *text, uint8_t *bytes, size_t size);

/* Equality in time that depends on size only. */
int plug_secret_equal(const uint8_t *a, const uint8_t *b, size_t size);

#endif
