/*
 * plugs_message_unpack(): what it takes, protobuf-c takes with the same values; what it found, it
 * packs within the bound and finds again.
 */
#include <string.h>

#include "agree.h"
#include "fuzz.h"
#include "sample.h"

#define SEEDS_EACH 12

struct found {
	struct plugs_message message;
	struct plugs_tensor tensors[PLUGS_TENSORS_MAX];
	struct plugs_buffer buffers[PLUGS_BUFFERS_MAX];
};

static plug_err
unpack(const uint8_t *data, size_t size, struct found *ret)
{
	ret->message.tensors = ret->tensors;
	ret->message.buffers = ret->buffers;
	return plugs_message_unpack(data, size, &ret->message);
}

/* protobuf-c refuses a message only when it would be too large. */
static void
compare(const uint8_t *data, size_t size, const struct found *found)
{
	Plug__Envelope *env = NULL;
	plug_err err = plug_envelope_unpack(data, size, &env);
	const char *what;

	if (err == PLUG_ETOOLARGE)
		return;
	CHECK(err == PLUG_OK);
	what = agree(&found->message, env);
	if (what) {
		fprintf(stderr, "%s differs\n", what);
		abort();
	}
	plug_envelope_free(env);
}

static void
pack_again(const struct found *found)
{
	static struct found again;
	size_t bound = plugs_message_bound(&found->message), size;
	uint8_t *packed = malloc(bound);

	CHECK(packed);
	size = plugs_message_pack(&found->message, packed);
	CHECK(size > 0 && size <= bound);
	CHECK(unpack(packed, size, &again) == PLUG_OK);
	CHECK(same(&found->message, &again.message) == NULL);
	free(packed);
}

/* Who gives no room for tensors and buffers gets the same, or nothing. */
static void
without_room(const uint8_t *data, size_t size, const struct found *found)
{
	struct plugs_message bare = {.tensors = NULL, .buffers = NULL};
	plug_err err = plugs_message_unpack(data, size, &bare);
	bool some = found->message.tensor_count || found->message.buffer_count;

	CHECK(err == (some ? PLUG_EPROTO : PLUG_OK));
	CHECK(some || same(&found->message, &bare) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct found found;

	if (unpack(data, size, &found) != PLUG_OK)
		return 0;
	compare(data, size, &found);
	pack_again(&found);
	without_room(data, size, &found);
	return 0;
}

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	static struct sample sample;
	uint64_t random = number + 1;

	if (number >= SEEDS_EACH * SAMPLE_KINDS)
		return 0;
	do
		sample_make(&sample, (enum plugs_kind)(number % SAMPLE_KINDS), &random);
	while (plugs_message_bound(&sample.message) > capacity);
	return plugs_message_pack(&sample.message, buf);
}
