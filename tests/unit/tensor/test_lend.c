/* What one side shows and lends, and how it comes back. */
#include "foreign.h"

#include <sys/socket.h>
#include <unistd.h>

#include "region.h"

static void
test_a_request_lends_until_its_reply(void **state)
{
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensor = own_tensor(arena, 100), twice[2] = {tensor, tensor};
	struct plug_wake_arena message;
	struct channel channel;
	struct plugs_tensor wire[2];
	struct plugs_pins *pins;
	int fd;

	(void)state;
	channel_open(&channel, PLUG_SIDE_CALLER);
	plug_tensor_set_name(&twice[1], "second");
	assert_int_equal(plugs_exchange_send(channel.exchange, twice, 2, wire, &pins), PLUG_OK);
	assert_true(taken_by_peer(&channel, &message, &fd));
	assert_int_equal(message.kind, PLUG_WAKE_ARENA);
	assert_int_equal(message.arena, wire[0].arena);
	assert_int_equal(message.bytes, arena->bytes);
	assert_null(plugs_sealed(fd, message.bytes));
	close(fd);
	assert_int_equal(wire[1].name.size, 6);
	assert_int_equal(wire[0].bytes, 100);
	assert_false(wire[0].yours);
	plug_tensor_unref(&tensor); /* the caller is done with it; the plugin is not */
	assert_int_equal(in_use(arena), 1);
	plugs_pins_end(pins);
	assert_int_equal(in_use(arena), 0);
	/* The second time nothing is shown. */
	tensor = own_tensor(arena, 100);
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, wire, &pins), PLUG_OK);
	assert_false(taken_by_peer(&channel, &message, &fd));
	plugs_pins_end(pins);
	plug_tensor_unref(&tensor);
	plug_arena_close(arena);
	/* A closed arena is taken back. */
	assert_true(taken_by_peer(&channel, &message, &fd));
	assert_int_equal(message.kind, PLUG_WAKE_FORGET);
	assert_int_equal(message.arena, wire[0].arena);
	assert_int_equal(fd, -1);
	assert_int_equal(stats().own_arenas, 0);
	channel_close(&channel);
}

static void
test_a_closed_arena_is_taken_back_when_nothing_is_lent(void **state)
{
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensor = own_tensor(arena, 100);
	struct plug_wake_arena message;
	struct channel channel;
	struct plugs_tensor wire;
	struct plugs_pins *pins;
	int fd;

	(void)state;
	channel_open(&channel, PLUG_SIDE_CALLER);
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, &wire, &pins), PLUG_OK);
	assert_true(taken_by_peer(&channel, &message, &fd));
	close(fd);
	plug_tensor_unref(&tensor);
	plug_arena_close(arena);
	assert_false(taken_by_peer(&channel, &message, &fd));
	assert_int_equal(stats().own_arenas, 1);
	plugs_pins_end(pins);
	assert_true(taken_by_peer(&channel, &message, &fd));
	assert_int_equal(message.kind, PLUG_WAKE_FORGET);
	assert_int_equal(stats().own_arenas, 0);
	channel_close(&channel);
}

static void
test_a_reply_lends_until_its_release(void **state)
{
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensor = own_tensor(arena, 100);
	struct channel channel;
	struct plugs_tensor wire;
	struct plugs_pins *pins;
	struct plugs_buffer buffer;

	(void)state;
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, &wire, &pins),
				 PLUG_OK);
		plugs_pins_leave(pins);
	}
	plug_tensor_unref(&tensor);
	buffer = (struct plugs_buffer){wire.arena, wire.offset, wire.generation};
	assert_int_equal(plugs_exchange_released(channel.exchange, &buffer, 1), 0);
	assert_int_equal(in_use(arena), 1); /* it was lent twice */
	assert_int_equal(plugs_exchange_released(channel.exchange, &buffer, 1), 0);
	assert_int_equal(in_use(arena), 0);
	channel_close(&channel);
	plug_arena_close(arena);
}

static void
test_releases_of_what_was_not_lent(void **state)
{
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensor = own_tensor(arena, 100);
	struct channel channel;
	struct plugs_tensor wire;
	struct plugs_pins *pins;
	struct plugs_buffer right, wrong[6];
	uint64_t strays = stats().strays;

	(void)state;
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, &wire, &pins), PLUG_OK);
	plugs_pins_leave(pins);
	right = (struct plugs_buffer){wire.arena, wire.offset, wire.generation};
	for (int i = 0; i < 6; i++)
		wrong[i] = right;
	wrong[0].arena++;
	wrong[1].offset += 64;
	wrong[2].generation++;
	wrong[3].arena = 0;
	wrong[4].arena = UINT32_MAX;
	wrong[5].generation = 0;
	assert_int_equal(plugs_exchange_released(channel.exchange, wrong, 6), 6);
	assert_int_equal(in_use(arena), 1);
	assert_int_equal(plugs_exchange_released(channel.exchange, &right, 1), 0);
	assert_int_equal(plugs_exchange_released(channel.exchange, &right, 1), 1); /* twice */
	assert_int_equal(in_use(arena), 1); /* our own reference */
	assert_int_equal(stats().strays - strays, 7);
	/* Released before it was posted, by somebody who guesses; then the post fails. */
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, &wire, &pins), PLUG_OK);
	assert_int_equal(plugs_exchange_released(channel.exchange, &right, 1), 0);
	plugs_pins_end(pins);
	assert_int_equal(in_use(arena), 1);
	plug_tensor_unref(&tensor);
	channel_close(&channel);
	plug_arena_close(arena);
}

static void
test_the_end_of_a_channel_ends_what_was_lent(void **state)
{
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensors[3];
	struct channel channel;
	struct plugs_tensor wire[3];
	struct plugs_pins *pins, *unsent;

	(void)state;
	for (int i = 0; i < 3; i++)
		tensors[i] = own_tensor(arena, 10);
	channel_open(&channel, PLUG_SIDE_PLUGIN);
	assert_int_equal(plugs_exchange_send(channel.exchange, tensors, 3, wire, &pins), PLUG_OK);
	plugs_pins_leave(pins);
	assert_int_equal(plugs_exchange_send(channel.exchange, tensors, 3, wire, &unsent), PLUG_OK);
	for (int i = 0; i < 3; i++)
		plug_tensor_unref(&tensors[i]);
	assert_int_equal(in_use(arena), 3);
	channel_close(&channel);
	assert_int_equal(in_use(arena), 0);
	plugs_pins_end(unsent); /* of a handler that was about to post */
	plug_arena_close(arena);
}

static void
test_a_channel_that_has_ended_takes_nothing(void **state)
{
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensor = own_tensor(arena, 10);
	struct channel channel;
	struct plugs_exchange *exchange;
	struct plugs_tensor wire;
	struct plugs_pins *pins;

	(void)state;
	channel_open(&channel, PLUG_SIDE_CALLER);
	exchange = channel.exchange;
	plugs_exchange_ref(exchange);
	close(channel.theirs);
	channel.theirs = -1;
	assert_int_equal(plugs_exchange_send(exchange, &tensor, 1, &wire, &pins), PLUG_EGONE);
	channel_close(&channel);
	assert_int_equal(plugs_exchange_send(exchange, &tensor, 1, &wire, &pins), PLUG_EGONE);
	plugs_exchange_unref(exchange);
	assert_int_equal(in_use(arena), 1);
	plug_tensor_unref(&tensor);
	plug_arena_close(arena);
}

static void
test_what_cannot_be_sent(void **state)
{
	static uint8_t memory[100];
	static const int64_t hundred = 100, none = 0;
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensors[PLUGS_TENSORS_MAX + 1], own = own_tensor(arena, 100);
	struct channel channel;
	struct plugs_tensor wire[PLUGS_TENSORS_MAX + 1];
	struct plugs_pins *pins;

	(void)state;
	channel_open(&channel, PLUG_SIDE_CALLER);
	tensors[0] = own;
	assert_int_equal(plug_tensor_wrap(memory, 100, PLUG_UINT8, 1, &hundred, NULL, &tensors[1]),
			 PLUG_OK);
	assert_int_equal(plugs_exchange_send(channel.exchange, tensors, 2, wire, &pins),
			 PLUG_EINVAL);
	assert_text("tensor 1", "in no arena", "plug_tensor_copy()", NULL);
	tensors[1] = own;
	tensors[1].shape[0] = 101;
	assert_int_equal(plugs_exchange_send(channel.exchange, tensors, 2, wire, &pins),
			 PLUG_EINVAL);
	for (int i = 0; i <= PLUGS_TENSORS_MAX; i++)
		tensors[i] = own;
	assert_int_equal(
		plugs_exchange_send(channel.exchange, tensors, PLUGS_TENSORS_MAX + 1, wire, &pins),
		PLUG_EINVAL);
	assert_int_equal(
		plugs_exchange_send(channel.exchange, tensors, PLUGS_TENSORS_MAX, wire, &pins),
		PLUG_OK);
	plugs_pins_end(pins);
	/* Nothing needs no arena. */
	assert_int_equal(plug_tensor_wrap(NULL, 0, PLUG_FLOAT64, 1, &none, NULL, &tensors[0]),
			 PLUG_OK);
	assert_int_equal(plugs_exchange_send(channel.exchange, tensors, 1, wire, &pins), PLUG_OK);
	assert_int_equal(wire[0].arena, 0);
	plugs_pins_end(pins);
	plug_tensor_unref(&own);
	channel_close(&channel);
	plug_arena_close(arena);
}

static void
test_more_arenas_than_a_channel_can_name(void **state)
{
	enum { COUNT = PLUG_ARENAS_MAX };
	struct plug_arena *arenas[COUNT + 1];
	struct plug_tensor tensors[COUNT + 1];
	struct plugs_pins *pins[COUNT], *one;
	struct plug_wake_arena message;
	struct channel channel;
	struct plugs_tensor wire;
	uint32_t recycled;
	int fd;

	(void)state;
	channel_open(&channel, PLUG_SIDE_CALLER);
	for (int i = 0; i <= COUNT; i++) {
		arenas[i] = arena_of(4096);
		tensors[i] = own_tensor(arenas[i], 10);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(
			plugs_exchange_send(channel.exchange, &tensors[i], 1, &wire, &pins[i]),
			PLUG_OK);
		assert_int_equal(wire.arena, i + 1);
		assert_true(taken_by_peer(&channel, &message, &fd));
		close(fd);
	}
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensors[COUNT], 1, &wire, &one),
			 PLUG_EOVERLOADED);
	assert_text("64 other arenas", NULL);
	for (int i = 0; i < COUNT; i++)
		plugs_pins_end(pins[i]);
	/* The place that was not used for longest is used again, under another number. */
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensors[0], 1, &wire, &one),
			 PLUG_OK);
	plugs_pins_end(one);
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensors[COUNT], 1, &wire, &one),
			 PLUG_OK);
	recycled = wire.arena;
	assert_int_equal(recycled, 2 + PLUG_ARENAS_MAX);
	assert_true(taken_by_peer(&channel, &message, &fd));
	assert_int_equal(message.arena, recycled);
	close(fd);
	plugs_pins_end(one);
	for (int i = 0; i <= COUNT; i++) {
		plug_tensor_unref(&tensors[i]);
		plug_arena_close(arenas[i]);
	}
	channel_close(&channel);
}

static void
test_a_wake_socket_that_is_full(void **state)
{
	struct plug_arena *arena = arena_of(4096);
	struct plug_tensor tensor = own_tensor(arena, 10);
	struct channel channel;
	struct plugs_tensor wire;
	struct plugs_pins *pins;
	struct plug_wake_arena message;
	int fd = -1;

	(void)state;
	channel_open(&channel, PLUG_SIDE_CALLER);
	while (send(channel.ours, "\1", 1, MSG_DONTWAIT) == 1)
		;
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, &wire, &pins),
			 PLUG_EAGAIN);
	assert_int_equal(plugs_exchange_send_until(channel.exchange, &tensor, 1, 1, &wire, &pins),
			 PLUG_ETIMEOUT);
	assert_int_equal(tensor.buffer->refs, 1); /* nothing was lent */
	/* What cannot be taken back now is taken back by whatever gets the number. */
	while (taken_by_peer(&channel, &message, &fd))
		;
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, &wire, &pins), PLUG_OK);
	while (send(channel.ours, "\1", 1, MSG_DONTWAIT) == 1)
		;
	plugs_pins_end(pins);
	plug_tensor_unref(&tensor);
	plug_arena_close(arena);
	assert_int_equal(stats().own_arenas, 1);
	while (taken_by_peer(&channel, &message, &fd)) {
		if (fd >= 0)
			close(fd);
	}
	arena = arena_of(4096);
	tensor = own_tensor(arena, 10);
	assert_int_equal(plugs_exchange_send(channel.exchange, &tensor, 1, &wire, &pins), PLUG_OK);
	plugs_pins_end(pins);
	plug_tensor_unref(&tensor);
	plug_arena_close(arena);
	channel_close(&channel);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_request_lends_until_its_reply,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(
			test_a_closed_arena_is_taken_back_when_nothing_is_lent, note_leftovers,
			check_leftovers),
		cmocka_unit_test_setup_teardown(test_a_reply_lends_until_its_release,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_releases_of_what_was_not_lent, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_the_end_of_a_channel_ends_what_was_lent,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_a_channel_that_has_ended_takes_nothing,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_sent, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_more_arenas_than_a_channel_can_name,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_a_wake_socket_that_is_full, note_leftovers,
						check_leftovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
