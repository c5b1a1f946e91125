#include "sample.h"

uint64_t
sample_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

static uint64_t
number(uint64_t *state)
{
	static const uint64_t edges[] = {0,      1,          0x7f,       0x80,      0x3fff,
					 0x4000, UINT32_MAX, 1ull << 32, INT64_MAX, UINT64_MAX};
	uint64_t word = sample_random(state);

	if (word % 2)
		return edges[word / 2 % (sizeof(edges) / sizeof(*edges))];
	return sample_random(state) >> word % 64;
}

static struct plugs_bytes
text(struct sample *sample, uint64_t *state)
{
	uint64_t word = sample_random(state);
	size_t size = word % 4 == 0 ? 0 : word / 4 % (word & 64 ? 300 : 20);

	return (struct plugs_bytes){sample->bytes + word / 4096 % (SAMPLE_BYTES_MAX - 300), size};
}

static void
make_tensors(struct sample *sample, uint64_t *state)
{
	uint64_t word = sample_random(state);
	uint32_t count = word % 4 == 0 ? 0 : word / 4 % (PLUGS_TENSORS_MAX + 1);

	sample->message.tensor_count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct plugs_tensor *tensor = &sample->tensors[i];

		*tensor = (struct plugs_tensor){
			.name = text(sample, state),
			.arena = (uint32_t)number(state),
			.yours = number(state) % 2,
			.offset = number(state),
			.generation = number(state),
			.bytes = number(state),
			.byte_offset = number(state),
			.code = (uint32_t)number(state),
			.bits = (uint32_t)number(state),
			.lanes = (uint32_t)number(state),
			.dims = (uint32_t)(number(state) % (PLUGS_DIMS_MAX + 1)),
			.strides_count = (uint32_t)(number(state) % (PLUGS_DIMS_MAX + 1)),
		};
		for (uint32_t d = 0; d < tensor->dims; d++)
			tensor->shape[d] = number(state);
		for (uint32_t d = 0; d < tensor->strides_count; d++)
			tensor->strides[d] = (int64_t)number(state);
	}
}

static void
make_buffers(struct sample *sample, uint64_t *state)
{
	uint32_t count = (uint32_t)(sample_random(state) % (PLUGS_BUFFERS_MAX + 1));

	sample->message.buffer_count = count;
	for (uint32_t i = 0; i < count; i++)
		sample->buffers[i] = (struct plugs_buffer){(uint32_t)number(state), number(state),
							   number(state)};
}

void
sample_make(struct sample *sample, enum plugs_kind kind, uint64_t *state)
{
	struct plugs_message *message = &sample->message;

	*message = (struct plugs_message){.kind = kind,
					  .id = number(state),
					  .tensors = sample->tensors,
					  .buffers = sample->buffers};
	for (size_t i = 0; i < SAMPLE_BYTES_MAX; i++)
		sample->bytes[i] = (uint8_t)('a' + sample_random(state) % 26);
	if (kind == PLUGS_CALL || kind == PLUGS_REPLY) {
		message->content_type = text(sample, state);
		message->more = number(state) % 2;
		make_tensors(sample, state);
	}
	if (kind == PLUGS_CALL) {
		message->method = text(sample, state);
		message->timeout_us = number(state);
	}
	if (kind == PLUGS_REPLY) {
		message->partial = number(state) % 2;
		message->text = text(sample, state);
	}
	if (kind == PLUGS_CALL || kind == PLUGS_REPLY || kind == PLUGS_CHUNK)
		message->payload = text(sample, state);
	if (kind == PLUGS_CANCEL || kind == PLUGS_REPLY)
		message->code = (uint32_t)number(state);
	if (kind == PLUGS_CHUNK)
		message->last = number(state) % 2;
	if (kind == PLUGS_CREDIT)
		message->credit = number(state);
	if (kind == PLUGS_RELEASE)
		make_buffers(sample, state);
}
