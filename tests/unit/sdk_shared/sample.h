/*
 * Messages of a channel made from a seed: every kind, every field, values at the edges.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "message.h"

#define SAMPLE_BYTES_MAX 512 /* of a payload or a text */

struct sample {
	struct plugs_message message; /* points into what follows */
	struct plugs_tensor tensors[PLUGS_TENSORS_MAX];
	struct plugs_buffer buffers[PLUGS_BUFFERS_MAX];
	uint8_t bytes[SAMPLE_BYTES_MAX];
};

/* The next number of a sequence; *state is its seed and must not be 0. */
uint64_t sample_random(uint64_t *state);

/* Texts are printable, so that both codecs keep all of them. */
void sample_make(struct sample *sample, enum plugs_kind kind, uint64_t *state);

#define SAMPLE_KINDS (PLUGS_REPLY + 1)

#endif
