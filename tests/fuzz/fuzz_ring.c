/*
 * The honest side of a channel against a peer whose region the input writes, word by word, between
 * the steps of the honest one.
 */
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "message.h"
#include "ring.h"
#include "sample.h"

#define REGION PLUG_REGION_BYTES_MIN

/* The input is a list of steps: this number, then its arguments, little-endian. */
enum step {
	STEP_TAKE,   /* the next record */
	STEP_HEADER, /* 2 bytes: the peer writes the right header for that size where it is looked
		      */
	STEP_WRITE,  /* 2, 1, bytes: how far behind that place the peer writes so many bytes */
	STEP_HEAD,   /* 1, 8: which word of its head the peer sets to what */
	STEP_POST,   /* 2: a record of that size */
	STEP_TELL,
	STEPS
};

struct input {
	const uint8_t *at, *end;
};

struct sides {
	struct plugs_region own, peer_seen;
	struct plugs_region peer; /* mapped for writing: the peer's own */
	struct plugs_poster poster;
	struct plugs_taker taker;
};

/* Beyond the end everything is 0. */
static uint64_t
number(struct input *input, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && input->at < input->end; i++)
		value |= (uint64_t)*input->at++ << 8 * i;
	return value;
}

static void
make_regions(struct sides *sides)
{
	const char *why;
	int own_fd, peer_fd;

	CHECK(plugs_region_make(PLUG_SIDE_PLUGIN, 1, REGION, &sides->own, &own_fd) == PLUG_OK);
	CHECK(plugs_region_make(PLUG_SIDE_CALLER, 0, REGION, &sides->peer, &peer_fd) == PLUG_OK);
	CHECK(plugs_region_map(peer_fd, PLUG_SIDE_CALLER, REGION, &sides->peer_seen, &why) ==
	      PLUG_OK);
	close(own_fd);
	close(peer_fd);
}

static void
start(struct sides *sides)
{
	if (!sides->own.head)
		make_regions(sides);
	memset(sides->own.head, 0, REGION);
	memset(sides->peer.head, 0, REGION);
	plugs_poster_init(&sides->poster, &sides->own, &sides->peer_seen);
	plugs_taker_init(&sides->taker, &sides->own, &sides->peer_seen);
}

/* ---- the peer ---- */

static void
forge_header(struct sides *sides, struct input *input)
{
	uint64_t word = (uint64_t)(uint32_t)(sides->taker.position / 8 + 1) << 32;

	word |= number(input, 2);
	memcpy(sides->peer.ring + sides->taker.place, &word, sizeof(word));
}

static void
write_bytes(struct sides *sides, struct input *input)
{
	uint64_t place = (sides->taker.place + number(input, 2)) % sides->peer.ring_bytes;

	for (uint64_t left = number(input, 1); left; left--)
		sides->peer.ring[place++] = (uint8_t)number(input, 1);
}

static void
write_head(struct sides *sides, struct input *input)
{
	struct plug_region_head *head = sides->peer.head;
	uint64_t which = number(input, 1), value = number(input, 8);

	if (which % 4 == 0)
		head->taken = value;
	else if (which % 4 == 1)
		head->taken = sides->poster.position - value % 256;
	else if (which % 4 == 2)
		head->sleeping = (uint32_t)value;
	else
		head->closed_at = value;
}

/* ---- the honest side ---- */

static void
look_at(const uint8_t *body, size_t size)
{
	static struct plugs_tensor tensors[PLUGS_TENSORS_MAX];
	static struct plugs_buffer buffers[PLUGS_BUFFERS_MAX];
	struct plugs_message message = {.tensors = tensors, .buffers = buffers};
	uint8_t *copy = malloc(size);

	CHECK(copy);
	memcpy(copy, body, size);
	plugs_message_unpack(copy, size, &message);
	free(copy);
}

static void
take(struct sides *sides)
{
	struct plugs_taker *taker = &sides->taker;
	const struct plugs_taker before = *taker;
	const uint8_t *body = NULL, *ring = taker->ring;
	size_t size = 0;
	plug_err err = plugs_peek(taker, &body, &size);

	CHECK(taker->position == before.position && taker->place == before.place);
	if (err != PLUG_OK) {
		CHECK(err == PLUG_EAGAIN || err == PLUG_EPROTO);
		return;
	}
	CHECK(size > 0 && size <= taker->record_max);
	CHECK(body == ring + before.place + PLUG_RECORD_HEADER);
	CHECK(body + size <= ring + 2 * taker->ring_bytes);
	look_at(body, size);
	plugs_taken(taker, size);
	CHECK(taker->position == before.position + PLUG_RECORD_HEADER + (size + 7) / 8 * 8);
	CHECK(taker->place == taker->position % taker->ring_bytes);
	CHECK(sides->own.head->taken == taker->position);
}

static void
post(struct sides *sides, size_t size)
{
	struct plugs_poster *poster = &sides->poster;
	size_t room = plugs_room(poster);
	uint8_t *body = NULL;
	plug_err err;

	CHECK(room <= poster->record_max);
	CHECK(room == 0 || plugs_reserve(poster, room, &body) == PLUG_OK);
	err = plugs_reserve(poster, size, &body);
	if (err != PLUG_OK) {
		CHECK(err == PLUG_EOVERLOADED || err == PLUG_ETOOLARGE || err == PLUG_EPROTO);
		return;
	}
	CHECK(body == poster->ring + poster->place + PLUG_RECORD_HEADER);
	CHECK(body + size <= poster->ring + 2 * poster->ring_bytes);
	memset(body, 0xa5, size);
	if (size > 0)
		plugs_post(poster, size);
	CHECK(poster->place == poster->position % poster->ring_bytes);
	CHECK(poster->position - poster->taken <= poster->ring_bytes);
}

static void
step(struct sides *sides, struct input *input)
{
	switch (number(input, 1) % STEPS) {
	case STEP_TAKE:
		take(sides);
		break;
	case STEP_HEADER:
		forge_header(sides, input);
		break;
	case STEP_WRITE:
		write_bytes(sides, input);
		break;
	case STEP_HEAD:
		write_head(sides, input);
		break;
	case STEP_POST:
		post(sides, number(input, 2));
		break;
	case STEP_TELL:
		plugs_tell_taken(&sides->taker);
		CHECK(sides->own.head->taken == sides->taker.position);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sides sides;
	struct input input = {data, data + size};

	start(&sides);
	while (input.at < input.end)
		step(&sides, &input);
	return 0;
}

/* ---- seeds ---- */

struct out {
	uint8_t *data;
	size_t size, capacity;
};

static void
put(struct out *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes && out->size < out->capacity; i++)
		out->data[out->size++] = (uint8_t)(i < 8 ? value >> 8 * i : 0);
}

/* A whole message of the peer, written as its ring would have it, and taken. */
static void
put_record(struct out *out, uint64_t *random)
{
	static struct sample sample;
	uint8_t packed[2048];
	size_t size;

	do
		sample_make(&sample, (enum plugs_kind)(sample_random(random) % SAMPLE_KINDS),
			    random);
	while (plugs_message_bound(&sample.message) > sizeof(packed));
	size = plugs_message_pack(&sample.message, packed);
	for (size_t at = 0; at < size; at += 255) {
		size_t some = size - at < 255 ? size - at : 255;

		put(out, STEP_WRITE, 1);
		put(out, PLUG_RECORD_HEADER + at, 2);
		put(out, some, 1);
		for (size_t i = 0; i < some; i++)
			put(out, packed[at + i], 1);
	}
	put(out, STEP_HEADER, 1);
	put(out, size, 2);
	put(out, STEP_TAKE, 1);
}

static void
put_step(struct out *out, uint64_t *random)
{
	uint64_t word = sample_random(random);

	switch (word % 6) {
	case 0:
		put_record(out, random);
		return;
	case 1: /* whatever lies there is a record */
		put(out, STEP_HEADER, 1);
		put(out, (word >> 8) % (REGION / 3), 2);
		put(out, STEP_TAKE, 1);
		return;
	case 2: /* it has taken all that was posted, or nearly */
		put(out, STEP_HEAD, 1);
		put(out, 1, 1);
		put(out, (word >> 8) % 3 ? 0 : 8, 8);
		return;
	case 3:
		put(out, STEP_HEAD, 1);
		put(out, word >> 8, 9);
		return;
	case 4:
		put(out, STEP_POST, 1);
		put(out, (word >> 8) % (REGION / 3), 2);
		return;
	default:
		put(out, STEP_TELL, 1);
	}
}

size_t
fuzz_seed(unsigned nth, uint8_t *buf, size_t capacity)
{
	struct out out = {buf, 0, capacity < 8192 ? capacity : 8192};
	uint64_t random = nth + 1;

	if (nth >= 24)
		return 0;
	for (unsigned steps = 1 + nth * 4; steps; steps--)
		put_step(&out, &random);
	return out.size;
}
