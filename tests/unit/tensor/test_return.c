/* What was borrowed: returned, passed on, and sent home. */
#include "foreign.h"

#include <unistd.h>

#include "region.h"

static void
test_a_replys_tensors_are_returned_once(void **state)
{
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire[2] = {described(1), described(1)};
	struct plug_tensor tensors[2];
	struct plugs_buffer returns[4];

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_CALLER);
	show(&channel, 1, &foreign);
	assert_int_equal(plugs_exchange_receive(channel.exchange, wire, 2, false, tensors),
			 PLUG_EAGAIN);
	assert_false(plugs_exchange_has_returns(channel.exchange)); /* it comes again */
	drain(&channel);
	assert_int_equal(plugs_exchange_receive(channel.exchange, wire, 2, true, tensors), PLUG_OK);
	plug_tensor_ref(&tensors[0]);
	plug_tensor_unref(&tensors[0]);
	plug_tensor_unref(&tensors[1]);
	assert_true(plugs_exchange_has_returns(channel.exchange));
	assert_int_equal(plugs_exchange_take_returns(channel.exchange, returns, 4), 1);
	plug_tensor_unref(&tensors[0]);
	assert_int_equal(plugs_exchange_take_returns(channel.exchange, returns, 4), 1);
	assert_int_equal(returns[0].arena, 1);
	assert_int_equal(returns[0].offset, FOREIGN_DATA);
	assert_int_equal(returns[0].generation, FOREIGN_GENERATION);
	assert_int_equal(plugs_exchange_take_returns(channel.exchange, returns, 4), 0);
	assert_false(plugs_exchange_has_returns(channel.exchange));
	channel_close(&channel);
	foreign_close(&foreign);
}

/* Also of a reply that is wrong, and of one that nobody waits for, the plugin gets back its own. */
static void
test_what_was_not_usable_is_returned(void **state)
{
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire[4] = {described(1), described(1), described(1), described(9)};
	struct plug_tensor tensors[4];
	struct plugs_buffer returns[8];

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_CALLER);
	show(&channel, 1, &foreign);
	drain(&channel);
	wire[1].shape[0] = 1000;
	wire[2].yours = true;
	assert_int_equal(plugs_exchange_receive(channel.exchange, wire, 4, true, tensors),
			 PLUG_EINVAL);
	assert_int_equal(plugs_exchange_take_returns(channel.exchange, returns, 8), 3);
	plugs_exchange_discard(channel.exchange, wire, 4);
	assert_int_equal(plugs_exchange_take_returns(channel.exchange, returns, 2), 2);
	assert_int_equal(plugs_exchange_take_returns(channel.exchange, returns, 8), 1);
	assert_int_equal(returns[0].arena, 9);
	channel_close(&channel);
	foreign_close(&foreign);
}

static void
test_many_returns_do_not_wait(void **state)
{
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire = described(1);
	struct plug_tensor tensor;
	struct plugs_buffer returns[PLUGS_BUFFERS_MAX];

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_CALLER);
	show(&channel, 1, &foreign);
	drain(&channel);
	for (unsigned i = 0; i < PLUGS_RETURNS_DUE; i++) {
		assert_false(plugs_exchange_returns_due(channel.exchange));
		assert_int_equal(plugs_exchange_receive(channel.exchange, &wire, 1, true, &tensor),
				 PLUG_OK);
		plug_tensor_unref(&tensor);
	}
	assert_true(plugs_exchange_returns_due(channel.exchange));
	assert_int_equal(plugs_exchange_take_returns(channel.exchange, returns, PLUGS_BUFFERS_MAX),
			 PLUGS_RETURNS_DUE);
	assert_false(plugs_exchange_returns_due(channel.exchange));
	channel_close(&channel);
	foreign_close(&foreign);
}

/* ---- passing on, and back to the owner ---- */

static void
test_what_came_goes_back_as_the_peers_own(void **state)
{
	struct foreign foreign;
	struct channel channel;
	struct plugs_tensor wire = described(4), back;
	struct plug_tensor tensor;
	struct plug_wake_arena message;
	struct plugs_pins *pins;
	int fd;

	(void)state;
	foreign_open(&foreign);
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	show(&channel, 4, &foreign);
	drain(&channel);
	assert_int_equal(plugs_exchange_receive(channel.exchange, &wire, 1, true, &tensor),
			 PLUG_OK);
	assert_int_equal(plug_tensor_slice(&tensor, 1, 31, -1, -1, &tensor), PLUG_OK);
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, &back, &pins), PLUG_OK);
	assert_true(back.yours);
	assert_int_equal(back.arena, 4);
	assert_int_equal(back.generation, FOREIGN_GENERATION);
	assert_int_equal(back.byte_offset, 31 * 4);
	assert_int_equal(back.strides[1], -1);
	plugs_pins_leave(pins);
	assert_false(taken_by_peer(&channel, &message, &fd)); /* nothing was shown */
	plug_tensor_unref(&tensor);
	channel_close(&channel);
	foreign_close(&foreign);
}

static void
test_our_own_comes_back(void **state)
{
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensor = own_tensor(arena, 100), back;
	struct plug_wake_arena message;
	struct channel channel;
	struct plugs_tensor wire, wrong;
	struct plugs_pins *pins;
	int fd;

	(void)state;
	channel_open(&channel, PLUG_SIDE_CALLER);
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, &wire, &pins), PLUG_OK);
	assert_true(taken_by_peer(&channel, &message, &fd));
	close(fd);
	plug_tensor_unref(&tensor);
	wire.yours = true;
	wire.shape[0] = 50;
	wire.byte_offset = 50;
	wrong = wire, wrong.bytes = 101;
	assert_int_equal(plugs_exchange_receive(channel.exchange, &wrong, 1, true, &back),
			 PLUG_EINVAL);
	wrong = wire, wrong.offset += 64;
	assert_int_equal(plugs_exchange_receive(channel.exchange, &wrong, 1, true, &back),
			 PLUG_EINVAL);
	wrong = wire, wrong.shape[0] = 51;
	assert_int_equal(plugs_exchange_receive(channel.exchange, &wrong, 1, true, &back),
			 PLUG_EINVAL);
	assert_int_equal(plugs_exchange_receive(channel.exchange, &wire, 1, true, &back), PLUG_OK);
	assert_int_equal(back.flags, 0); /* ours: it may be written */
	((uint8_t *)plug_tensor_data(&back))[49] = 1;
	plugs_pins_end(pins); /* the final reply */
	assert_int_equal(in_use(arena), 1);
	plug_tensor_unref(&back);
	assert_int_equal(in_use(arena), 0);
	assert_false(plugs_exchange_has_returns(channel.exchange));
	/* Lent no more: it cannot come back any more. */
	assert_int_equal(plugs_exchange_receive(channel.exchange, &wire, 1, true, &back),
			 PLUG_EINVAL);
	channel_close(&channel);
	plug_arena_close(arena);
}

/* From one channel to another: the arena is shown there, and the loan lasts as long. */
static void
test_passing_on(void **state)
{
	struct foreign foreign;
	struct channel from, to;
	struct plugs_tensor wire = described(1), onward;
	struct plug_tensor tensor;
	struct plug_wake_arena message;
	struct plugs_pins *pins;
	struct plugs_buffer returns[2];
	uint64_t copies = stats().copies;
	int fd;

	(void)state;
	foreign_open(&foreign);
	channel_open(&from, PLUG_SIDE_CALLER);
	channel_open(&to, PLUG_SIDE_CALLER);
	show(&from, 1, &foreign);
	drain(&from);
	assert_int_equal(plugs_exchange_receive(from.exchange, &wire, 1, true, &tensor), PLUG_OK);
	assert_int_equal(plugs_exchange_send(to.exchange, &tensor, 1, &onward, &pins), PLUG_OK);
	assert_false(onward.yours);
	assert_int_equal(onward.offset, FOREIGN_DATA);
	assert_int_equal(onward.generation, FOREIGN_GENERATION);
	assert_true(taken_by_peer(&to, &message, &fd));
	assert_null(plugs_sealed(fd, message.bytes));
	close(fd);
	plug_tensor_unref(&tensor);
	assert_false(plugs_exchange_has_returns(from.exchange)); /* in use over there */
	plugs_pins_end(pins);
	assert_int_equal(plugs_exchange_take_returns(from.exchange, returns, 2), 1);
	assert_int_equal(stats().copies, copies);
	/* When its owner's channel ends, the arena is taken back where it was passed on to. */
	assert_false(taken_by_peer(&to, &message, &fd));
	channel_close(&from);
	assert_true(taken_by_peer(&to, &message, &fd));
	assert_int_equal(message.kind, PLUG_WAKE_FORGET);
	assert_int_equal(stats().seen_arenas, 0);
	channel_close(&to);
	foreign_close(&foreign);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_replys_tensors_are_returned_once,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_what_was_not_usable_is_returned,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_many_returns_do_not_wait, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_what_came_goes_back_as_the_peers_own,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_our_own_comes_back, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_passing_on, note_leftovers, check_leftovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
