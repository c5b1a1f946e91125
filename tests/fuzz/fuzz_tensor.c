/*
 * The tensors of a channel: descriptors, releases and arenas of a peer who says anything.  What is
 * taken lies inside its buffer, and its buffer inside the arena; at the end nothing is held.
 */
#include <unistd.h>

#include "foreign.h"
#include "fuzz.h"
#include "sample.h"
#include "tensor.h"

#define HELD_MAX 128

/* The input is a list of steps: this number, then its arguments, little-endian. */
enum step {
	STEP_TENSOR,   /* one more descriptor, a right one */
	STEP_FIELD,    /* 1, 8: a field of the last descriptor is set */
	STEP_RECEIVE,  /* a message with these descriptors comes */
	STEP_DISCARD,  /* the same, but nobody waits for it */
	STEP_DROP,     /* all tensors that are held are given up */
	STEP_RETURNS,  /* 1: so many are taken to be returned */
	STEP_LEND,     /* 1: an own tensor is sent; odd: its message cannot be posted */
	STEP_RELEASED, /* 4, 8, 8: the peer releases a buffer */
	STEP_SHOW,     /* 1, 1: the peer shows its arena under a number, or takes the number back */
	STEP_HEAD,     /* 1, 8: a word of the head of the peer's arena is set */
	STEPS
};

struct input {
	const uint8_t *at, *end;
};

struct state {
	struct foreign foreign;
	struct plug_arena *arena; /* the own one */
	struct plug_tensor own;
	struct channel channel;
	struct plugs_tensor described[PLUGS_TENSORS_MAX];
	unsigned count;
	struct plug_tensor held[HELD_MAX];
	unsigned held_count;
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

/* ---- the peer ---- */

static void
set_field(struct plugs_tensor *tensor, unsigned field, uint64_t value)
{
	static const uint8_t name[PLUG_TENSOR_NAME + 8] = "a name";

	switch (field % 32) {
	case 0:
		tensor->arena = (uint32_t)value;
		break;
	case 1:
		tensor->yours = value & 1;
		break;
	case 2:
		tensor->offset = value;
		break;
	case 3:
		tensor->generation = value;
		break;
	case 4:
		tensor->bytes = value;
		break;
	case 5:
		tensor->byte_offset = value;
		break;
	case 6:
		tensor->code = (uint32_t)value;
		break;
	case 7:
		tensor->bits = (uint32_t)value;
		break;
	case 8:
		tensor->lanes = (uint32_t)value;
		break;
	case 9: /* what the decoder lets through */
		tensor->dims = value % (PLUGS_DIMS_MAX + 1);
		break;
	case 10:
		tensor->strides_count = value % (PLUGS_DIMS_MAX + 1);
		break;
	case 11:
		tensor->name = (struct plugs_bytes){name, value % sizeof(name)};
		break;
	default:
		if (field % 2)
			tensor->strides[field / 2 % PLUGS_DIMS_MAX] = (int64_t)value;
		else
			tensor->shape[field / 2 % PLUGS_DIMS_MAX] = value;
	}
}

static void
set_head(struct foreign *foreign, unsigned which, uint64_t value)
{
	uint64_t *words = (uint64_t *)foreign->head;

	__atomic_store_n(&words[which % (FOREIGN_DATA / sizeof(*words))], value, __ATOMIC_SEQ_CST);
}

static void
right_head(struct foreign *foreign)
{
	memset(foreign->head, 0, FOREIGN_DATA);
	foreign->head->magic = PLUG_ARENA_MAGIC;
	foreign->head->version = PLUG_ARENA_VERSION;
	foreign->head->slots = FOREIGN_SLOTS;
	foreign->head->bytes = FOREIGN_BYTES;
	foreign->head->data = FOREIGN_DATA;
	foreign->head->generations[PLUG_ARENA_SLOT(FOREIGN_GENERATION)] = FOREIGN_GENERATION;
}

/* A socket that is full is not what this is about. */
static void
show_some(struct state *state, uint32_t as, bool take_back)
{
	show_fd(&state->channel, as, take_back ? -1 : state->foreign.fd, FOREIGN_BYTES);
	drain(&state->channel);
}

/* ---- what was taken ---- */

/* Worked out with wider numbers than the library has. */
static void
expect_inside(const struct plug_tensor *tensor, const struct plugs_tensor *from)
{
	__int128 low = tensor->byte_offset, high = low;
	uint64_t element = plug_dtype_bytes(tensor->dtype);
	volatile const uint8_t *data = tensor->data;

	for (int i = 0; i < tensor->ndim; i++) {
		__int128 reach =
			(__int128)(tensor->shape[i] - 1) * tensor->strides[i] * (__int128)element;

		if (tensor->shape[i] == 0)
			return;
		*(reach < 0 ? &low : &high) += reach;
	}
	CHECK(element > 0);
	CHECK(low >= 0 && high + element <= tensor->bytes);
	CHECK(tensor->bytes == from->bytes);
	if (!from->yours)
		CHECK(from->offset >= FOREIGN_DATA && from->offset <= FOREIGN_BYTES &&
		      from->bytes <= FOREIGN_BYTES - from->offset);
	(void)data[(size_t)low];
	(void)data[(size_t)high + element - 1];
}

static void
use(const struct plug_tensor *tensor)
{
	static const int64_t first[PLUG_TENSOR_DIMS];
	struct plug_tensor view;
	const char *text;
	char words[128];
	size_t bytes;

	CHECK(plug_tensor_check(tensor) == PLUG_OK);
	plug_tensor_describe(tensor, words, sizeof(words));
	plug_tensor_current(tensor);
	if (plug_tensor_string(tensor, first, &text, &bytes) == PLUG_OK) {
		CHECK(text >= (char *)tensor->data);
		CHECK(text + bytes <= (char *)tensor->data + tensor->bytes);
	}
	if (plug_tensor_transpose(tensor, NULL, &view) == PLUG_OK)
		CHECK(plug_tensor_check(&view) == PLUG_OK);
}

static void
drop(struct state *state)
{
	while (state->held_count > 0)
		plug_tensor_unref(&state->held[--state->held_count]);
}

static void
receive(struct state *state)
{
	struct plug_tensor got[PLUGS_TENSORS_MAX];
	plug_err err = plugs_exchange_receive(state->channel.exchange, state->described,
					      state->count, true, got);

	if (err != PLUG_OK) {
		CHECK(err == PLUG_EINVAL);
		CHECK(*plug_tensor_error_text());
	}
	for (unsigned i = 0; i < state->count && err == PLUG_OK; i++) {
		expect_inside(&got[i], &state->described[i]);
		use(&got[i]);
		if (state->held_count == HELD_MAX)
			drop(state);
		state->held[state->held_count++] = got[i];
	}
	state->count = 0;
}

/* ---- the own part ---- */

static void
lend(struct state *state, bool unposted)
{
	struct plugs_tensor described;
	struct plugs_pins *pins = NULL;
	struct plug_wake_arena shown;
	int fd;

	CHECK(plugs_exchange_send(state->channel.exchange, &state->own, 1, &described, &pins) ==
	      PLUG_OK);
	while (taken_by_peer(&state->channel, &shown, &fd)) {
		if (fd >= 0)
			close(fd);
	}
	if (unposted)
		plugs_pins_end(pins);
	else
		plugs_pins_leave(pins);
	if (state->count < PLUGS_TENSORS_MAX) { /* the peer sends it back */
		state->described[state->count] = described;
		state->described[state->count++].yours = true;
	}
}

static void
take_returns(struct state *state, size_t max)
{
	struct plugs_buffer returns[PLUGS_BUFFERS_MAX];

	CHECK(plugs_exchange_take_returns(state->channel.exchange, returns,
					  max % (PLUGS_BUFFERS_MAX + 1)) <= PLUGS_BUFFERS_MAX);
}

static void
step(struct state *state, struct input *input)
{
	struct plugs_buffer buffer;
	uint64_t word;

	switch (number(input, 1) % STEPS) {
	case STEP_TENSOR:
		if (state->count < PLUGS_TENSORS_MAX)
			state->described[state->count++] = described(1);
		break;
	case STEP_FIELD:
		word = number(input, 1);
		if (state->count > 0)
			set_field(&state->described[state->count - 1], (unsigned)word,
				  number(input, 8));
		break;
	case STEP_RECEIVE:
		receive(state);
		break;
	case STEP_DISCARD:
		plugs_exchange_discard(state->channel.exchange, state->described, state->count);
		state->count = 0;
		break;
	case STEP_DROP:
		drop(state);
		break;
	case STEP_RETURNS:
		take_returns(state, number(input, 1));
		break;
	case STEP_LEND:
		lend(state, number(input, 1) & 1);
		break;
	case STEP_RELEASED:
		buffer.arena = (uint32_t)number(input, 4);
		buffer.offset = number(input, 8);
		buffer.generation = number(input, 8);
		CHECK(plugs_exchange_released(state->channel.exchange, &buffer, 1) <= 1);
		break;
	case STEP_SHOW:
		word = number(input, 1);
		show_some(state, (uint32_t)word, number(input, 1) & 1);
		break;
	case STEP_HEAD:
		word = number(input, 1);
		set_head(&state->foreign, (unsigned)word, number(input, 8));
		break;
	}
}

static void
prepare(struct state *state)
{
	struct plug_arena_config config = {.size = sizeof(config), .bytes = 65536};

	foreign_open(&state->foreign);
	CHECK(plug_arena_open(&config, &state->arena) == PLUG_OK);
	state->own = own_tensor(state->arena, 1000);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state state;
	struct input input = {data, data + size};

	if (!state.arena)
		prepare(&state);
	right_head(&state.foreign);
	state.count = 0;
	channel_open(&state.channel, number(&input, 1) & 1 ? PLUG_SIDE_PLUGIN : PLUG_SIDE_CALLER);
	if (number(&input, 1) % 8) /* else it is shown later, after its head was damaged */
		show_some(&state, 1, false);
	while (input.at < input.end)
		step(&state, &input);
	drop(&state);
	channel_close(&state.channel);
	CHECK(in_use(state.arena) == 1);
	CHECK(stats().seen_arenas == 0);
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
		out->data[out->size++] = (uint8_t)(value >> 8 * i);
}

static void
put_field(struct out *out, unsigned field, uint64_t value)
{
	put(out, STEP_FIELD, 1);
	put(out, field, 1);
	put(out, value, 8);
}

/* A view of the same bytes: another type, other dimensions, strides. */
static void
put_view(struct out *out, uint64_t *random)
{
	static const uint8_t types[][2] = {{PLUG_CODE_INT, 8},     {PLUG_CODE_UINT, 16},
					   {PLUG_CODE_FLOAT, 64},  {PLUG_CODE_COMPLEX, 128},
					   {PLUG_CODE_STRING, 64}, {PLUG_CODE_BOOL, 8},
					   {PLUG_CODE_OPAQUE, 24}};
	uint64_t word = sample_random(random);
	unsigned dims = (unsigned)(word >> 8) % 4;

	put_field(out, 6, types[word % 7][0]);
	put_field(out, 7, types[word % 7][1]);
	put_field(out, 9, dims);
	put_field(out, 10, word >> 16 & 1 ? dims : 0);
	for (unsigned i = 0; i < dims; i++) {
		put_field(out, 16 + 2 * i, (word >> (20 + 4 * i)) % 9);
		put_field(out, 17 + 2 * i, (word >> (40 + 4 * i)) % 9 - 4);
	}
	put_field(out, 5, (word >> 52) % 64 * 16);
}

static void
put_message(struct out *out, uint64_t *random)
{
	for (uint64_t left = 1 + sample_random(random) % 3; left; left--) {
		uint64_t word = sample_random(random);

		put(out, word % 4 ? STEP_TENSOR : STEP_LEND, 1);
		if (word % 4 == 0)
			put(out, word >> 8, 1);
		if (word % 3 == 0)
			put_view(out, random);
		if (word % 5 == 0)
			put_field(out, (unsigned)(word >> 8) % 32, sample_random(random));
	}
	put(out, sample_random(random) % 8 ? STEP_RECEIVE : STEP_DISCARD, 1);
}

static void
put_step(struct out *out, uint64_t *random)
{
	uint64_t word = sample_random(random);

	switch (word % 10) {
	case 0:
		put(out, STEP_DROP, 1);
		return;
	case 1:
		put(out, STEP_RETURNS, 1);
		put(out, word >> 8, 1);
		return;
	case 2:
		put(out, STEP_RELEASED, 1);
		put(out, 1, 4);
		put(out, FOREIGN_DATA, 8);
		put(out, 1ull << PLUG_ARENA_SLOT_BITS, 8);
		return;
	case 3:
		put(out, STEP_SHOW, 1);
		put(out, 1 + (word >> 8) % 3, 1);
		put(out, (word >> 16) % 2, 1);
		return;
	case 4:
		put(out, STEP_HEAD, 1);
		put(out, (word >> 8) % 16, 1);
		put(out, word >> 16 & 1 ? sample_random(random) : FOREIGN_GENERATION, 8);
		return;
	default:
		put_message(out, random);
	}
}

size_t
fuzz_seed(unsigned nth, uint8_t *buf, size_t capacity)
{
	struct out out = {buf, 0, capacity < 8192 ? capacity : 8192};
	uint64_t random = nth + 1;

	if (nth >= 24)
		return 0;
	put(&out, nth, 1);
	put(&out, nth / 2, 1);
	for (unsigned steps = 1 + nth * 2; steps; steps--)
		put_step(&out, &random);
	return out.size;
}
