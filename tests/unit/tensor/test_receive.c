/* What a side takes from another that says whatever it likes. */
#include "foreign.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void
test_a_request_is_received_in_place(void **state)
{
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire = described(3);
	struct plug_tensor tensor;
	struct plug_tensor_stats before = stats();

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	((float *)foreign.data)[33] = 1.5f;
	show(&channel, 3, &foreign);
	assert_int_equal(plugs_exchange_receive(channel.exchange, &wire, 1, false, &tensor),
			 PLUG_EAGAIN); /* it lies in the socket still */
	drain(&channel);
	assert_int_equal(stats().seen_arenas, 0); /* mapped when it is needed */
	assert_int_equal(plugs_exchange_receive(channel.exchange, &wire, 1, true, &tensor),
			 PLUG_OK);
	assert_string_equal(tensor.name, "image");
	assert_int_equal(tensor.shape[1], 32);
	assert_int_equal(tensor.strides[0], 32);
	assert_int_equal(tensor.flags, PLUG_TENSOR_READ_ONLY);
	assert_true(((const float *)plug_tensor_data(&tensor))[33] == 1.5f);
	((float *)foreign.data)[33] = 2.5f; /* the same memory */
	assert_true(((const float *)plug_tensor_data(&tensor))[33] == 2.5f);
	assert_true(plug_tensor_current(&tensor));
	foreign.head->generations[5] = FOREIGN_GENERATION + (1 << PLUG_ARENA_SLOT_BITS);
	assert_false(plug_tensor_current(&tensor));
	assert_int_equal(stats().received - before.received, 1);
	assert_int_equal(stats().copies, before.copies);
	/* It stays readable when the channel ends, until the last reference is gone. */
	channel_close(&channel);
	assert_true(((const float *)plug_tensor_data(&tensor))[33] == 2.5f);
	assert_int_equal(stats().seen_arenas, 1);
	plug_tensor_unref(&tensor);
	assert_int_equal(stats().seen_arenas, 0);
	foreign_close(&foreign);
}

/* ---- what is wrong with a tensor ---- */

#define WRONG(text, ...)                                     \
	do {                                                 \
		wire = described(1);                         \
		__VA_ARGS__;                                 \
		refuse(&channel, &wire, text, #__VA_ARGS__); \
	} while (0)

static void
refuse(const struct channel *channel, const struct plugs_tensor *wire, const char *text,
       const char *what)
{
	uint64_t refused = stats().refused;
	struct plug_tensor tensor;
	plug_err err = plugs_exchange_receive(channel->exchange, wire, 1, true, &tensor);

	if (err != PLUG_EINVAL)
		fail_msg("%s: %s", what, plug_err_name(err));
	if (!strstr(plug_tensor_error_text(), text))
		fail_msg("%s: \"%s\" has no \"%s\"", what, plug_tensor_error_text(), text);
	assert_non_null(strstr(plug_tensor_error_text(), "tensor 0"));
	assert_int_equal(stats().refused - refused, 1);
	assert_false(plugs_exchange_has_returns(channel->exchange));
}

static void
test_every_field_that_can_be_wrong(void **state)
{
	static char long_name[PLUG_TENSOR_NAME];
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire;
	struct plug_tensor tensor;

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	show(&channel, 1, &foreign);
	drain(&channel);
	memset(long_name, 'x', sizeof(long_name));
	WRONG("never shown", wire.arena = 2);
	WRONG("never shown", wire.arena = 65);
	WRONG("never shown", wire.arena = UINT32_MAX);
	WRONG("without an arena", wire.arena = 0);
	WRONG("is not lent", wire.yours = true);
	WRONG("not a buffer", wire.offset = 0);
	WRONG("not a buffer", wire.offset = FOREIGN_DATA - 64);
	WRONG("not a buffer", wire.offset = FOREIGN_DATA + 1);
	WRONG("not a buffer", wire.offset = FOREIGN_BYTES);
	WRONG("not a buffer", wire.offset = FOREIGN_BYTES + 64);
	WRONG("not a buffer", wire.offset = UINT64_MAX - 63);
	WRONG("not a buffer", wire.bytes = FOREIGN_BYTES - FOREIGN_DATA + 1);
	WRONG("not a buffer", wire.bytes = UINT64_MAX);
	WRONG("not a buffer", wire.offset = FOREIGN_BYTES - 64; wire.bytes = 65);
	WRONG("is gone", wire.generation++);
	WRONG("is gone", wire.generation = 0);
	WRONG("is gone", wire.generation = 5);
	WRONG("is gone", wire.generation = UINT64_MAX);
	WRONG("is gone", wire.generation = 9ull << PLUG_ARENA_SLOT_BITS | FOREIGN_SLOTS);
	WRONG("first element is at byte 4097", wire.byte_offset = 4097);
	WRONG("first element", wire.byte_offset = UINT64_MAX);
	WRONG("reach from byte 4 to 4100", wire.byte_offset = 4);
	WRONG("expected a multiple of 4", wire.byte_offset = 2; wire.shape[0] = 1);
	WRONG("of a buffer of 4095", wire.bytes = 4095);
	WRONG("cannot be carried", wire.code = 7);
	WRONG("cannot be carried", wire.code = 256 + PLUG_CODE_FLOAT);
	WRONG("cannot be carried", wire.bits = 0);
	WRONG("cannot be carried", wire.bits = 256 + 32);
	WRONG("cannot be carried", wire.lanes = 0);
	WRONG("cannot be carried", wire.lanes = 65537);
	WRONG("cannot be carried", wire.code = PLUG_CODE_INT; wire.bits = 4);
	WRONG("9 dimensions", wire.dims = 9);
	WRONG("2 dimensions and 1 strides", wire.strides_count = 1);
	WRONG("2 dimensions and 3 strides", wire.strides_count = 3);
	WRONG("has size", wire.shape[0] = UINT64_MAX);
	WRONG("overflows at dimension 1", wire.shape[0] = wire.shape[1] = 1ull << 32);
	WRONG("overflow", wire.shape[0] = INT64_MAX; wire.shape[1] = 1);
	WRONG("of a buffer of 4096", wire.shape[0] = 33);
	WRONG("strides overflow", wire.strides_count = 2; wire.strides[0] = INT64_MAX);
	WRONG("strides overflow", wire.strides_count = 2; wire.strides[0] = INT64_MIN);
	WRONG("from byte -", wire.strides_count = 2; wire.strides[0] = -32; wire.strides[1] = 1);
	WRONG("to 4352", wire.strides_count = 2; wire.strides[0] = 33; wire.strides[1] = 1;
	      wire.shape[0] = 33);
	WRONG("its name has 64 bytes",
	      wire.name = (struct plugs_bytes){(const uint8_t *)long_name, sizeof(long_name)});
	WRONG("control character", wire.name = (struct plugs_bytes){(const uint8_t *)"a\nb", 3});
	WRONG("control character", wire.name = (struct plugs_bytes){(const uint8_t *)"a\0b", 3});
	/* After all of that it still takes what is right. */
	wire = described(1);
	assert_int_equal(plugs_exchange_receive(channel.exchange, &wire, 1, true, &tensor),
			 PLUG_OK);
	plug_tensor_unref(&tensor);
	channel_close(&channel);
	foreign_close(&foreign);
}

static void
test_the_tensor_that_is_wrong_is_named(void **state)
{
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire[3] = {described(1), described(1), described(1)};
	struct plug_tensor tensors[3];

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	show(&channel, 1, &foreign);
	drain(&channel);
	wire[1].shape[0] = 100;
	assert_int_equal(plugs_exchange_receive(channel.exchange, wire, 3, true, tensors),
			 PLUG_EINVAL);
	assert_text("tensor 1 \"image\": its elements reach from byte 0 to 12800 of a buffer of "
		    "4096 bytes",
		    NULL);
	channel_close(&channel);
	foreign_close(&foreign);
}

/* Any descriptor by chance: refused, or every element of it can be read. */
static void
test_descriptors_by_chance(void **state)
{
	static const uint64_t edges[] = {0,
					 1,
					 7,
					 8,
					 31,
					 32,
					 64,
					 4095,
					 4096,
					 4097,
					 FOREIGN_BYTES,
					 1u << 31,
					 UINT32_MAX,
					 INT64_MAX,
					 UINT64_MAX};
	struct foreign foreign;
	struct channel channel;
	uint64_t seed = 17;
	unsigned taken = 0;

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	show(&channel, 1, &foreign);
	drain(&channel);
	for (unsigned i = 0; i < 200000; i++) {
		struct plugs_tensor wire = described(1);
		uint64_t *const fields[] = {&wire.offset,
					    &wire.bytes,
					    &wire.byte_offset,
					    &wire.shape[0],
					    &wire.shape[1],
					    (uint64_t *)&wire.strides[0],
					    (uint64_t *)&wire.strides[1]};
		struct plug_tensor tensor;

		wire.strides_count = 2;
		wire.strides[0] = (int64_t)chance_below(&seed, 65) - 32;
		wire.strides[1] = (int64_t)chance_below(&seed, 5) - 2;
		wire.byte_offset = 4 * chance_below(&seed, 1024);
		wire.shape[0] = chance_below(&seed, 40);
		for (uint64_t n = chance_below(&seed, 3); n-- > 0;) {
			uint64_t edge = edges[chance_below(&seed, 15)];

			*fields[chance_below(&seed, 7)] = chance_below(&seed, 4) ? edge : -edge;
		}
		if (plugs_exchange_receive(channel.exchange, &wire, 1, true, &tensor) != PLUG_OK)
			continue;
		taken++;
		if (plug_tensor_elements(&tensor) < 100000) {
			struct plug_tensor copy;
			struct plug_arena *arena = NULL;

			if (taken % 50 == 0) {
				arena = arena_of(400000);
				assert_int_equal(plug_tensor_copy(&tensor, arena, &copy), PLUG_OK);
				plug_tensor_unref(&copy);
				plug_arena_close(arena);
			}
		}
		assert_int_equal(plug_tensor_check(&tensor), PLUG_OK);
		plug_tensor_unref(&tensor);
	}
	assert_true(taken > 5000);
	channel_close(&channel);
	foreign_close(&foreign);
}

static void
test_arenas_that_are_wrong(void **state)
{
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire;
	struct plug_tensor tensor;
	int plain = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	assert_int_equal(ftruncate(plain, 8192), 0);
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	show_fd(&channel, 1, plain, 8192);
	show_fd(&channel, 2, foreign.fd, FOREIGN_BYTES - 4096);
	show_fd(&channel, 0, foreign.fd, FOREIGN_BYTES);
	show_fd(&channel, UINT32_MAX, foreign.fd, FOREIGN_BYTES);
	show_fd(&channel, UINT32_MAX, -1, 0);
	drain(&channel);
	WRONG("arena 1 cannot be used: its seals are incomplete", wire.arena = 1);
	WRONG("arena 2 cannot be used: its size is not the one", wire.arena = 2);
	foreign.head->magic = 0;
	show(&channel, 3, &foreign);
	drain(&channel);
	WRONG("arena 3 cannot be used: it does not begin like an arena", wire.arena = 3);
	foreign.head->magic = PLUG_ARENA_MAGIC;
	/* A better one under the same number, and one that replaces it. */
	for (uint32_t number = 1; number < 200; number += PLUG_ARENAS_MAX) {
		show(&channel, number, &foreign);
		drain(&channel);
		wire = described(number);
		assert_int_equal(plugs_exchange_receive(channel.exchange, &wire, 1, true, &tensor),
				 PLUG_OK);
		plug_tensor_unref(&tensor);
	}
	WRONG("arena 1 cannot be used: it was never shown", wire.arena = 1);
	channel_close(&channel);
	close(plain);
	foreign_close(&foreign);
}

static void
test_an_arena_for_which_there_is_no_descriptor(void **state)
{
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire;
	struct rlimit before, none;

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	show(&channel, 1, &foreign);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	drain(&channel);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	WRONG("no descriptor left", wire.arena = 1);
	channel_close(&channel);
	foreign_close(&foreign);
}

/* Others may show as much as they like: what the process lives by is left. */
static void
test_descriptors_are_left_for_the_rest(void **state)
{
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire;
	struct rlimit before, few;
	int spare;

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	show(&channel, 1, &foreign);
	spare = dup(0);
	assert_true(spare > 3);
	close(spare); /* the arena's will be this one */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)spare + 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	drain(&channel);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	WRONG("too few descriptors", wire.arena = 1);
	channel_close(&channel);
	foreign_close(&foreign);
}

static void
test_one_arena_on_two_channels_is_mapped_once(void **state)
{
	struct foreign foreign;
	struct channel channels[2];
	struct plug_tensor tensors[2];

	(void)state;
	foreign_open(&foreign);
	for (int i = 0; i < 2; i++) {
		struct plugs_tensor wire = described(1 + (uint32_t)i);

		channel_open(&channels[i], PLUG_SIDE_PLUGIN);
		show(&channels[i], 1 + (uint32_t)i, &foreign);
		drain(&channels[i]);
		assert_int_equal(
			plugs_exchange_receive(channels[i].exchange, &wire, 1, true, &tensors[i]),
			PLUG_OK);
	}
	assert_ptr_equal(tensors[0].data, tensors[1].data);
	assert_int_equal(stats().seen_arenas, 1);
	channel_close(&channels[0]);
	plug_tensor_unref(&tensors[0]);
	plug_tensor_unref(&tensors[1]);
	assert_int_equal(stats().seen_arenas, 1);
	show_fd(&channels[1], 2, -1, 0); /* taken back */
	drain(&channels[1]);
	assert_int_equal(stats().seen_arenas, 0);
	channel_close(&channels[1]);
	foreign_close(&foreign);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_request_is_received_in_place, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_every_field_that_can_be_wrong, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_the_tensor_that_is_wrong_is_named,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_descriptors_by_chance, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_arenas_that_are_wrong, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_an_arena_for_which_there_is_no_descriptor,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_descriptors_are_left_for_the_rest,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_one_arena_on_two_channels_is_mapped_once,
						note_leftovers, check_leftovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
