/*
 * The state that a plugd hands to its successor (upgrade_try.h says what must hold).
 *
 * An input's first byte says what follows: the whole of a state with its head (RAW), one without it
 * (BODY), or changes to the one that upgrade_state() makes, of three bytes each (EDITS).
 */
#include <string.h>

#include "fuzz.h"
#include "state/state.h"
#include "state/state_private.h"
#include "upgrade_state.h"
#include "upgrade_try.h"

#define EDIT_BYTES 3
#define EDITS_MAX  16

enum { EDITS, BODY, RAW, KINDS };

static char why[1024];

static void
run_edits(const uint8_t *edits, size_t size)
{
	size_t state_size, count = size / EDIT_BYTES;
	const uint8_t *state = upgrade_state(&state_size);
	struct arena arena;
	Plugd__Saved *saved;
	uint8_t *bytes;

	arena_init(&arena, (size_t)64 * 1024 * 1024);
	saved = upgrade_unpack(state, state_size, &arena);
	CHECK(saved);
	for (size_t i = 0; i < count && i < EDITS_MAX; i++, edits += EDIT_BYTES)
		upgrade_edit(saved, (unsigned)edits[0] << 8 | edits[1], edits[2], &arena);
	state_size = plugd__saved__get_packed_size(saved);
	bytes = malloc(state_size + 1);
	CHECK(bytes);
	plugd__saved__pack(saved, bytes);
	arena_fini(&arena);
	upgrade_try_body(bytes, state_size, why, sizeof(why));
	free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t state_size;

	upgrade_state(&state_size); /* its plugd stays, and has descriptors */
	if (!size)
		return 0;
	switch (data[0] % KINDS) {
	case RAW:
		upgrade_try(data + 1, 0, data + 1, size - 1, why, sizeof(why));
		break;
	case BODY:
		upgrade_try_body(data + 1, size - 1, why, sizeof(why));
		break;
	default:
		run_edits(data + 1, size - 1);
	}
	return 0;
}

/* ---- seeds ---- */

static size_t
seed_raw(uint8_t *buf)
{
	size_t size;
	const uint8_t *state = upgrade_state(&size);
	const struct state_head head = {STATE_MAGIC, STATE_VERSION, STATE_NEEDS, size};

	buf[0] = RAW;
	memcpy(buf + 1, &head, sizeof(head));
	memcpy(buf + 1 + sizeof(head), state, size);
	return 1 + sizeof(head) + size;
}

static size_t
seed_body(uint8_t *buf)
{
	size_t size;
	const uint8_t *state = upgrade_state(&size);

	buf[0] = BODY;
	memcpy(buf + 1, state, size);
	return 1 + size;
}

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	static const uint8_t edits[][1 + 2 * EDIT_BYTES] = {
		{EDITS, 0, 0, 2, 0, 0, 2},
		{EDITS, 1, 0, 16, 2, 0, 3},
		{EDITS, 3, 80, 7, 4, 9, 130},
	};
	size_t size;

	upgrade_state(&size);
	CHECK(size + 1 + sizeof(struct state_head) <= capacity);
	if (number == 0)
		return seed_raw(buf);
	if (number == 1)
		return seed_body(buf);
	if (number - 2 >= sizeof(edits) / sizeof(*edits))
		return 0;
	memcpy(buf, edits[number - 2], sizeof(*edits));
	return sizeof(*edits);
}
