/* Arenas made as they are needed, within a quota. */
#include "foreign.h"

#include "arena_pool.h"

#define MIB (1ll << 20)

static plug_err
take(struct plugs_pool *pool, int64_t bytes, struct plug_tensor *ret)
{
	return plugs_pool_alloc(pool, PLUG_UINT8, 1, &bytes, ret);
}

static void
test_little_costs_little(void **state)
{
	struct plugs_pool pool;
	struct plug_tensor tensors[40];

	(void)state;
	plugs_pool_init(&pool, 64 * MIB);
	assert_int_equal(stats().own_arenas, 0);
	assert_int_equal(take(&pool, 0, &tensors[0]), PLUG_OK);
	assert_int_equal(stats().own_arenas, 0); /* nothing takes nothing */
	assert_int_equal(take(&pool, 1, &tensors[0]), PLUG_OK);
	assert_int_equal(pool.made, MIB);
	for (int i = 1; i < 40; i++)
		assert_int_equal(take(&pool, MIB / 2, &tensors[i]), PLUG_OK);
	assert_true(pool.count <= 6 && pool.made <= 64 * MIB);
	for (int i = 0; i < 40; i++)
		plug_tensor_unref(&tensors[i]);
	plugs_pool_fini(&pool);
}

static void
test_the_quota_and_its_text(void **state)
{
	struct plugs_pool pool;
	struct plug_tensor tensors[2], third;

	(void)state;
	plugs_pool_init(&pool, 4 * MIB);
	assert_int_equal(take(&pool, 4 * MIB + 1, &third), PLUG_ETOOLARGE);
	assert_text("4194305 bytes", "4194304", PLUG_ENV_TENSOR_BYTES, NULL);
	assert_int_equal(take(&pool, INT64_MAX, &third), PLUG_ETOOLARGE);
	assert_int_equal(take(&pool, MIB, &tensors[0]), PLUG_OK);
	assert_int_equal(take(&pool, 2 * MIB, &tensors[1]), PLUG_OK);
	assert_int_equal(take(&pool, 2 * MIB, &third), PLUG_EOVERLOADED);
	assert_text("2097152 bytes", "of the channel's 4194304", "3145728 are in use",
		    PLUG_ENV_TENSOR_BYTES, NULL);
	plug_tensor_unref(&tensors[1]);
	assert_int_equal(take(&pool, 2 * MIB, &third), PLUG_OK);
	plug_tensor_unref(&third);
	plug_tensor_unref(&tensors[0]);
	plugs_pool_fini(&pool);
}

/* Many small arenas, none of them large enough: those that are empty make way. */
static void
test_what_is_empty_makes_way(void **state)
{
	struct plugs_pool pool;
	struct plug_tensor small[8], large;

	(void)state;
	plugs_pool_init(&pool, 8 * MIB);
	for (int i = 0; i < 7; i++)
		assert_int_equal(take(&pool, MIB, &small[i]), PLUG_OK);
	assert_int_equal(take(&pool, 8 * MIB, &large), PLUG_EOVERLOADED);
	for (int i = 0; i < 7; i++)
		plug_tensor_unref(&small[i]);
	assert_int_equal(take(&pool, 8 * MIB, &large), PLUG_OK);
	assert_int_equal(pool.made, 8 * MIB);
	assert_int_equal(stats().own_bytes, pool.arenas[0]->bytes);
	plug_tensor_unref(&large);
	plugs_pool_fini(&pool);
}

static void
test_chance_stays_within_the_quota(void **state)
{
	enum { HELD = 24 };
	struct plug_tensor held[HELD] = {{0}};
	struct plugs_pool pool;
	uint64_t seed = 3;
	unsigned refused = 0;

	(void)state;
	plugs_pool_init(&pool, 6 * MIB);
	for (unsigned i = 0; i < 3000; i++) {
		struct plug_tensor *one = &held[chance_below(&seed, HELD)];
		int64_t bytes = 1 + (int64_t)chance_below(&seed, 1ull << chance_below(&seed, 23));
		plug_err err;

		if (one->buffer) {
			plug_tensor_unref(one);
			one->buffer = NULL;
			continue;
		}
		err = take(&pool, bytes, one);
		assert_true(err == PLUG_OK || err == PLUG_EOVERLOADED || err == PLUG_ETOOLARGE);
		refused += err != PLUG_OK;
		assert_true(pool.made <= 6 * MIB && pool.count <= PLUGS_POOL_ARENAS);
	}
	assert_true(refused > 10 && refused < 1500);
	for (unsigned i = 0; i < HELD; i++)
		plug_tensor_unref(&held[i]);
	plugs_pool_fini(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_little_costs_little, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_the_quota_and_its_text, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_what_is_empty_makes_way, note_leftovers,
						check_leftovers),
		cmocka_unit_test_setup_teardown(test_chance_stays_within_the_quota, note_leftovers,
						check_leftovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
