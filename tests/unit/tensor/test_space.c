/* The allocator against a model that knows every grain. */
#include "support.h"

#include "arena_space.h"

#define GRAINS 4096u
#define LIVE   512u

struct model {
	uint8_t taken[GRAINS];
	struct plugs_block *live[LIVE];
	unsigned count;
};

static void
occupy(struct model *model, const struct plugs_block *block)
{
	assert_true(block->at + block->size <= GRAINS);
	for (uint64_t i = block->at; i < block->at + block->size; i++) {
		assert_int_equal(model->taken[i], 0); /* nobody else's */
		model->taken[i] = 1;
	}
	model->live[model->count++] = (struct plugs_block *)block;
}

static void
vacate(struct plugs_space *space, struct model *model, unsigned index)
{
	struct plugs_block *block = model->live[index];

	memset(model->taken + block->at, 0, block->size);
	model->live[index] = model->live[--model->count];
	plugs_space_give(space, block);
}

/* The longest run of free grains that begins at a multiple of `align`. */
static uint64_t
longest(const struct model *model, uint64_t align)
{
	uint64_t best = 0;

	for (uint64_t at = 0; at < GRAINS; at += align) {
		uint64_t end = at;

		while (end < GRAINS && !model->taken[end])
			end++;
		if (end - at > best)
			best = end - at;
	}
	return best;
}

/* Blocks cover everything, in order, without two free neighbours; every free one is in a list. */
static void
check_structure(const struct plugs_space *space)
{
	const struct plugs_block *block = NULL;
	uint64_t at = 0, used = 0;
	unsigned frees = 0, listed = 0;

	for (uint32_t i = 0; i < space->blocks_touched && !block; i++) {
		if (space->blocks[i].at == 0 && space->blocks[i].size && !space->blocks[i].before)
			block = &space->blocks[i];
	}
	for (; block; block = block->behind) {
		assert_int_equal(block->at, at);
		assert_true(block->size > 0);
		at += block->size;
		used += block->free ? 0 : block->size;
		frees += block->free;
		assert_false(block->free && block->behind && block->behind->free);
		assert_true(!block->behind || block->behind->before == block);
	}
	assert_int_equal(at, space->size);
	assert_int_equal(used, space->used);
	for (unsigned i = 0; i < PLUGS_SPACE_CLASSES; i++) {
		assert_int_equal(space->classes >> i & 1, space->subs[i] != 0);
		for (unsigned j = 0; j < PLUGS_SPACE_SUBS; j++) {
			const struct plugs_block *one = space->heads[i][j];

			assert_int_equal(space->subs[i] >> j & 1, one != NULL);
			for (; one; one = one->next) {
				assert_true(one->free);
				listed++;
			}
		}
	}
	assert_int_equal(listed, frees);
}

static uint64_t
some_size(uint64_t *seed)
{
	unsigned log2 = (unsigned)chance_below(seed, 11);

	return 1 + chance_below(seed, 1ull << log2);
}

static void
random_walk(uint64_t seed, unsigned live_max, unsigned steps)
{
	struct model *model = calloc(1, sizeof(*model));
	struct plugs_space space;

	assert_non_null(model);
	assert_int_equal(plugs_space_init(&space, GRAINS, live_max), PLUG_OK);
	for (unsigned step = 0; step < steps; step++) {
		bool grow = chance_below(&seed, 100) < 60;

		if (grow) {
			uint64_t size = some_size(&seed);
			uint64_t align = chance_below(&seed, 4) ? 1 : 64;
			struct plugs_block *block = plugs_space_take(&space, size, align);

			/* It may miss a block only within the promise of its header. */
			if (!block && model->count < live_max)
				assert_true(longest(model, 1) < size + size / 32 + align);
			if (block) {
				assert_int_equal(block->size, size);
				assert_int_equal(block->at % align, 0);
				occupy(model, block);
			}
		} else if (model->count) {
			vacate(&space, model, (unsigned)chance_below(&seed, model->count));
		}
		assert_true(space.looks <= PLUGS_SPACE_LOOKS);
		assert_int_equal(space.taken, model->count);
		if (step % 64 == 0)
			check_structure(&space);
	}
	while (model->count)
		vacate(&space, model, 0);
	check_structure(&space);
	assert_int_equal(space.used, 0);
	assert_int_equal(plugs_space_largest(&space), GRAINS); /* all of it is one piece again */
	plugs_space_fini(&space);
	free(model);
}

static void
test_against_a_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++)
		random_walk(seed * 0x9e3779b97f4a7c15ull, LIVE, 2000);
}

static void
test_against_a_model_with_few_blocks(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++)
		random_walk(seed * 0xd1342543de82ef95ull, 1 + (unsigned)seed % 7, 500);
}

/* Whatever was taken before, one operation looks at no more blocks than in an empty space. */
static void
test_the_work_of_an_operation_has_a_bound(void **state)
{
	enum { COUNT = 40000 };
	struct plugs_block **blocks = calloc(COUNT, sizeof(struct plugs_block *));
	struct plugs_space space;
	uint64_t seed = 7;
	uint32_t most = 0;

	(void)state;
	assert_non_null(blocks);
	assert_int_equal(plugs_space_init(&space, 1ull << 24, COUNT), PLUG_OK);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < COUNT; i++) {
			if (blocks[i])
				continue;
			blocks[i] = plugs_space_take(&space, 1 + chance_below(&seed, 300),
						     i % 3 ? 1 : 64);
			most = space.looks > most ? space.looks : most;
			assert_non_null(blocks[i]);
		}
		for (unsigned i = 0; i < COUNT; i++) {
			if (chance_below(&seed, 2))
				continue;
			plugs_space_give(&space, blocks[i]);
			most = space.looks > most ? space.looks : most;
			blocks[i] = NULL;
		}
	}
	assert_true(most <= PLUGS_SPACE_LOOKS);
	plugs_space_fini(&space);
	free(blocks);
}

static void
test_all_of_it_in_one_piece(void **state)
{
	(void)state;
	for (uint64_t size = 1; size < 2000; size += 1 + size / 7) {
		struct plugs_space space;
		struct plugs_block *block;

		assert_int_equal(plugs_space_init(&space, size, 4), PLUG_OK);
		assert_null(plugs_space_take(&space, size + 1, 1));
		block = plugs_space_take(&space, size, 64);
		assert_non_null(block);
		assert_int_equal(block->at, 0);
		assert_null(plugs_space_take(&space, 1, 1));
		assert_int_equal(plugs_space_largest(&space), 0);
		plugs_space_give(&space, block);
		assert_int_equal(plugs_space_largest(&space), size);
		plugs_space_fini(&space);
	}
}

static void
test_no_more_blocks_than_agreed(void **state)
{
	struct plugs_block *blocks[3];
	struct plugs_space space;

	(void)state;
	assert_int_equal(plugs_space_init(&space, 100, 3), PLUG_OK);
	for (unsigned i = 0; i < 3; i++)
		assert_non_null(blocks[i] = plugs_space_take(&space, 1, 1));
	assert_null(plugs_space_take(&space, 1, 1));
	plugs_space_give(&space, blocks[1]);
	assert_non_null(plugs_space_take(&space, 1, 1));
	plugs_space_fini(&space);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_against_a_model_with_few_blocks),
		cmocka_unit_test(test_the_work_of_an_operation_has_a_bound),
		cmocka_unit_test(test_all_of_it_in_one_piece),
		cmocka_unit_test(test_no_more_blocks_than_agreed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
