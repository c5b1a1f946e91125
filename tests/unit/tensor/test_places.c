/* Arenas come and go on a channel, and a record is read before the wake socket that says so. */
#include "foreign.h"

/* Two sides: what one sends, the other receives. */
struct both {
	struct channel channel; /* the sender's */
	struct channel other;
};

static void
both_open(struct both *both)
{
	channel_open(&both->channel, PLUG_SIDE_CALLER);
	both->other = (struct channel){
		.exchange = plugs_exchange_new(PLUG_SIDE_PLUGIN, both->channel.theirs),
		.ours = both->channel.theirs,
		.theirs = -1,
	};
	assert_non_null(both->other.exchange);
	both->channel.theirs = -1;
}

static void
both_close(struct both *both)
{
	channel_close(&both->other);
	channel_close(&both->channel);
}

static struct plug_tensor
filled(struct plug_arena *arena, uint8_t value)
{
	struct plug_tensor tensor = own_tensor(arena, 100);

	memset(tensor.data, value, 100);
	return tensor;
}

/* Describe it, as a call that has been posted does. */
static struct plugs_pins *
send_one(struct both *both, const struct plug_tensor *tensor, struct plugs_tensor *wire)
{
	struct plugs_pins *pins = NULL;

	assert_int_equal(plugs_exchange_send(both->channel.exchange, tensor, 1, wire, &pins),
			 PLUG_OK);
	return pins;
}

/* Whoever gets it finds these contents, before or after the socket was read. */
static void
receive_value(struct both *both, const struct plugs_tensor *wire, bool unseen, uint8_t value)
{
	struct plug_tensor got;
	plug_err err = plugs_exchange_receive(both->other.exchange, wire, 1, false, &got);

	assert_int_equal(err, unseen ? PLUG_EAGAIN : PLUG_OK);
	if (unseen) {
		drain(&both->other);
		assert_int_equal(plugs_exchange_receive(both->other.exchange, wire, 1, true, &got),
				 PLUG_OK);
	}
	assert_int_equal(((const uint8_t *)plug_tensor_data(&got))[99], value);
	plug_tensor_unref(&got);
}

static void
call(struct both *both, const struct plug_tensor *tensor, bool unseen, uint8_t value)
{
	struct plugs_tensor wire;
	struct plugs_pins *pins = send_one(both, tensor, &wire);

	receive_value(both, &wire, unseen, value);
	plugs_pins_end(pins);
}

/* A caller that passes on what its own callers sent shows an arena for each of them, one after the
 * other, and the first buffer of each has the same generation. */
static void
test_an_arena_that_follows_one_that_was_closed(void **state)
{
	struct both both;

	(void)state;
	both_open(&both);
	for (uint8_t i = 1; i <= 5; i++) {
		struct plug_arena *arena = arena_of(4096);
		struct plug_tensor tensor = filled(arena, i);

		call(&both, &tensor, true, i);
		call(&both, &tensor, false, i);
		plug_tensor_unref(&tensor);
		plug_arena_close(arena); /* taken back: that stays in the socket */
	}
	both_close(&both);
}

/* The one that made way is still there, and what its buffer holds looks right. */
static void
test_an_arena_that_takes_the_place_of_one_in_use(void **state)
{
	struct plug_arena *arenas[PLUG_ARENAS_MAX + 1];
	struct plug_tensor tensors[PLUG_ARENAS_MAX + 1];
	struct both both;

	(void)state;
	both_open(&both);
	for (int i = 0; i <= PLUG_ARENAS_MAX; i++) {
		arenas[i] = arena_of(4096);
		tensors[i] = filled(arenas[i], (uint8_t)(i + 1));
		call(&both, &tensors[i], true, (uint8_t)(i + 1));
	}
	call(&both, &tensors[0], true, 1); /* it made way for the last one */
	for (int i = 0; i <= PLUG_ARENAS_MAX; i++) {
		plug_tensor_unref(&tensors[i]);
		plug_arena_close(arenas[i]);
	}
	both_close(&both);
}

static void
test_a_number_is_not_given_again(void **state)
{
	struct plug_arena *arena;
	struct plug_tensor tensor;
	struct plugs_tensor wire;
	struct both both;

	(void)state;
	both_open(&both);
	for (uint32_t i = 0; i < 3; i++) {
		arena = arena_of(4096);
		tensor = filled(arena, 1);
		plugs_pins_end(send_one(&both, &tensor, &wire));
		assert_int_equal(wire.arena, 1 + i * PLUG_ARENAS_MAX);
		plug_tensor_unref(&tensor);
		plug_arena_close(arena);
	}
	/* What was taken back is named by nobody who plays by the rules. */
	drain(&both.other);
	assert_int_equal(plugs_exchange_receive(both.other.exchange, &wire, 1, true, &tensor),
			 PLUG_EINVAL);
	assert_text("taken back", NULL);
	wire.arena -= PLUG_ARENAS_MAX;
	assert_int_equal(plugs_exchange_receive(both.other.exchange, &wire, 1, true, &tensor),
			 PLUG_EINVAL);
	assert_text("never shown", NULL);
	both_close(&both);
}

/* After four thousand million arenas. */
static void
test_numbers_begin_anew(void **state)
{
	static const struct {
		uint32_t place, last, next;
	} cases[] = {
		{0, UINT32_MAX - PLUG_ARENAS_MAX + 2, 1},
		{62, UINT32_MAX, PLUG_ARENAS_MAX - 1},
		{63, UINT32_MAX - PLUG_ARENAS_MAX + 1, PLUG_ARENAS_MAX}, /* 0 names nothing */
	};
	struct plug_arena *arenas[PLUG_ARENAS_MAX];
	struct plug_tensor tensor;
	struct both both;

	(void)state;
	both_open(&both);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		both.channel.exchange->shown[cases[i].place].number = cases[i].last;
	for (uint32_t place = 0; place < PLUG_ARENAS_MAX; place++) {
		struct plugs_tensor wire;

		arenas[place] = arena_of(4096);
		tensor = filled(arenas[place], (uint8_t)place);
		plugs_pins_end(send_one(&both, &tensor, &wire));
		receive_value(&both, &wire, true, (uint8_t)place);
		plug_tensor_unref(&tensor);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			if (cases[i].place == place)
				assert_int_equal(wire.arena, cases[i].next);
		}
	}
	for (uint32_t place = 0; place < PLUG_ARENAS_MAX; place++)
		plug_arena_close(arenas[place]);
	both_close(&both);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_arena_that_follows_one_that_was_closed,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_an_arena_that_takes_the_place_of_one_in_use,
						note_leftovers, check_leftovers),
		cmocka_unit_test_setup_teardown(test_a_number_is_not_given_again, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_numbers_begin_anew, note_leftovers,
						check_leftovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
