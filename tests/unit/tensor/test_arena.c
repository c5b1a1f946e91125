/* Arenas: what they promise to their owner and to those who can only read. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "region.h"
#include "tensor.h"

static int
clean(void **state)
{
	struct plug_tensor_stats now = stats();

	(void)state;
	assert_int_equal(now.own_arenas, 0);
	assert_int_equal(now.own_bytes, 0);
	assert_int_equal(now.seen_arenas, 0);
	assert_int_equal(now.buffers, 0);
	assert_int_equal(memfd_mappings(), 0);
	return 0;
}

static void
test_memory_is_aligned_and_apart(void **state)
{
	static const int64_t sizes[] = {1, 63, 64, 65, 1000, 65535, 65536, 100000, 1 << 20};
	struct plug_tensor tensors[9];
	struct plug_arena *arena = arena_of(4 << 20);

	(void)state;
	for (int i = 0; i < 9; i++) {
		assert_int_equal(plug_tensor_alloc(arena, PLUG_UINT8, 1, &sizes[i], &tensors[i]),
				 PLUG_OK);
		assert_int_equal((uintptr_t)tensors[i].data % 64, 0);
		if (sizes[i] >= 65536)
			assert_int_equal((uintptr_t)tensors[i].data % 4096, 0);
		memset(tensors[i].data, i + 1, (size_t)sizes[i]);
	}
	for (int i = 0; i < 9; i++) {
		for (int64_t at = 0; at < sizes[i]; at++)
			assert_int_equal(((uint8_t *)tensors[i].data)[at], i + 1);
		plug_tensor_unref(&tensors[i]);
	}
	plug_arena_close(arena);
}

static void
test_it_is_sealed_and_its_memory_taken(void **state)
{
	struct plug_arena *arena = arena_of(1 << 20);
	char byte = 1;
	void *mapping;

	(void)state;
	assert_null(plugs_sealed(arena->fd, arena->bytes));
	assert_int_equal(ftruncate(arena->fd, 4096), -1);
	assert_int_equal(pwrite(arena->fd, &byte, 1, 0), -1);
	mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
	assert_ptr_equal(mapping, MAP_FAILED);
	assert_int_equal(fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
			 -1);
	assert_true(fcntl(arena->fd, F_GETFD) & FD_CLOEXEC);
	plug_arena_close(arena);
}

static void
test_all_of_it_can_be_one_tensor(void **state)
{
	struct plug_arena *arena = arena_of(3 * 4096 + 1);
	struct plug_arena_stats now;
	struct plug_tensor tensor;
	int64_t size = 4 * 4096;

	(void)state;
	assert_int_equal(plug_tensor_alloc(arena, PLUG_INT8, 1, &size, &tensor), PLUG_OK);
	plug_arena_stats(arena, &now);
	assert_int_equal(now.bytes, 4 * 4096);
	assert_int_equal(now.used, 4 * 4096);
	assert_int_equal(now.largest, 0);
	assert_int_equal(now.buffers, 1);
	plug_tensor_unref(&tensor);
	plug_arena_stats(arena, &now);
	assert_int_equal(now.used, 0);
	assert_int_equal(now.largest, 4 * 4096);
	plug_arena_close(arena);
}

static void
test_what_does_not_fit_is_said(void **state)
{
	struct plug_arena *arena = arena_of(64 * 1024);
	struct plug_tensor tensor, untouched, other;
	int64_t half = 40 * 1024, large = 64 * 1024 + 1;

	(void)state;
	memset(&untouched, 0x5a, sizeof(untouched));
	other = untouched;
	assert_int_equal(plug_tensor_alloc(arena, PLUG_INT8, 1, &large, &other), PLUG_ETOOLARGE);
	assert_text("65537", "65536", "larger arena", NULL);
	assert_memory_equal(&other, &untouched, sizeof(other));
	assert_int_equal(plug_tensor_alloc(arena, PLUG_INT8, 1, &half, &tensor), PLUG_OK);
	assert_int_equal(plug_tensor_alloc(arena, PLUG_INT8, 1, &half, &other), PLUG_EOVERLOADED);
	assert_text("40960", "of the arena's 65536 bytes 40960 are in use by 1", "24576 are free",
		    NULL);
	plug_tensor_unref(&tensor);
	assert_int_equal(plug_tensor_alloc(arena, PLUG_INT8, 1, &half, &other), PLUG_OK);
	plug_tensor_unref(&other);
	plug_arena_close(arena);
}

static void
test_as_many_tensors_as_there_are_places(void **state)
{
	struct plug_arena *arena = arena_of(4096);
	struct plug_tensor tensors[65];
	unsigned count = 0;

	(void)state;
	while (plug_tensor_alloc(arena, PLUG_INT8, 0, NULL, &tensors[count]) == PLUG_OK)
		count++;
	assert_int_equal(count, 64);
	assert_text("64 tensors", NULL);
	while (count)
		plug_tensor_unref(&tensors[--count]);
	plug_arena_close(arena);
}

/* What is given out anew has another generation; the old one is then found nowhere. */
static void
test_a_generation_never_comes_again(void **state)
{
	struct plug_arena *arena = arena_of(4096);
	struct plug_tensor tensor;
	uint64_t last = 0, old;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(plug_tensor_alloc(arena, PLUG_INT64, 0, NULL, &tensor), PLUG_OK);
		old = tensor.buffer->generation;
		assert_true(old >> PLUG_ARENA_SLOT_BITS > last);
		last = old >> PLUG_ARENA_SLOT_BITS;
		assert_true(plugs_arena_current(arena, old));
		assert_true(plug_tensor_current(&tensor));
		plug_tensor_unref(&tensor);
		assert_false(plugs_arena_current(arena, old));
	}
	assert_false(plugs_arena_current(arena, 0));
	assert_false(plugs_arena_current(arena, UINT64_MAX));
	plug_arena_close(arena);
}

static void
test_memory_outlives_the_handle(void **state)
{
	struct plug_arena *arena = arena_of(1 << 20);
	struct plug_tensor tensor;
	int64_t size = 1000;

	(void)state;
	assert_int_equal(plug_tensor_alloc(arena, PLUG_UINT8, 1, &size, &tensor), PLUG_OK);
	plug_tensor_ref(&tensor);
	plug_arena_close(arena);
	memset(tensor.data, 1, 1000);
	plug_tensor_unref(&tensor);
	memset(tensor.data, 2, 1000);
	assert_int_equal(stats().own_arenas, 1);
	plug_tensor_unref(&tensor);
}

static void
test_nothing_takes_nothing(void **state)
{
	static const int64_t none[] = {3, 0, 4};
	struct plug_tensor tensor;
	struct plug_arena *arena = arena_of(4096);

	(void)state;
	assert_int_equal(plug_tensor_alloc(arena, PLUG_FLOAT64, 3, none, &tensor), PLUG_OK);
	assert_non_null(tensor.data);
	assert_null(tensor.buffer);
	assert_int_equal(plug_tensor_check(&tensor), PLUG_OK);
	plug_tensor_unref(&tensor);
	assert_int_equal(plug_tensor_alloc(NULL, PLUG_FLOAT64, 3, none, &tensor), PLUG_OK);
	assert_int_equal(plug_tensor_alloc(NULL, PLUG_FLOAT64, 0, NULL, &tensor), PLUG_EINVAL);
	plug_tensor_unref(NULL);
	plug_tensor_ref(NULL);
	plug_arena_close(NULL);
	plug_arena_close(arena);
}

static void
test_a_config_that_is_wrong(void **state)
{
	struct plug_arena_config config = {.size = sizeof(config)};
	struct plug_arena *arena;

	(void)state;
	assert_int_equal(plug_arena_open(NULL, &arena), PLUG_EINVAL);
	assert_int_equal(plug_arena_open(&config, &arena), PLUG_EINVAL);
	config.bytes = UINT64_MAX;
	assert_int_equal(plug_arena_open(&config, &arena), PLUG_EINVAL);
	config.size = 1;
	assert_int_equal(plug_arena_open(&config, &arena), PLUG_EINVAL);
}

/* The kernel would kill processes rather than fail: it must not be asked. */
static void
test_more_memory_than_there_is_is_never_asked_for(void **state)
{
	struct plug_arena_config config = {.size = sizeof(config), .bytes = 1ull << 46};
	struct plug_arena *arena;
	struct rlimit before, guard;

	(void)state;
	/* Should it be asked after all, this ends it after 256 MiB. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	guard = (struct rlimit){256 << 20, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &guard), 0);
	assert_int_equal(plug_arena_open(&config, &arena), PLUG_ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_text("no memory for an arena", "Cannot allocate memory", NULL);
}

/* ---- what came from somebody ---- */

static const char *
why_not(int fd, uint64_t bytes)
{
	struct plug_arena *arena;
	const char *why = NULL;

	assert_int_equal(plugs_arena_seen(fd, bytes, &arena, &why), PLUG_EINVAL);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was closed */
	assert_int_equal(errno, EBADF);
	return why;
}

static int
plain_memfd(unsigned flags, off_t bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC | flags);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	return fd;
}

static void
test_what_is_not_sealed_is_not_taken(void **state)
{
	int fd = plain_memfd(MFD_ALLOW_SEALING, 8192), pipes[2];

	(void)state;
	assert_non_null(strstr(why_not(fd, 8192), "seals are incomplete"));
	fd = plugs_memfd("test", 8192);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_non_null(strstr(why_not(fd, 8192), "seals are incomplete"));
	fd = plugs_memfd("test", 8192);
	assert_int_equal(plugs_seal(fd), 0);
	assert_non_null(strstr(why_not(fd, 4096), "size"));
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_non_null(strstr(why_not(pipes[0], 4096), "no memfd"));
	close(pipes[1]);
	fd = plain_memfd(MFD_ALLOW_SEALING, 8192);
	assert_int_equal(plugs_seal(fd), 0);
	assert_non_null(strstr(why_not(fd, 8192), "holes"));
}

/* A memfd like an arena's with this head. */
static const char *
map_head(const struct plug_arena_head *head, uint64_t bytes)
{
	int fd = plugs_memfd("test", bytes);
	struct plug_arena *arena;
	const char *why = NULL;
	plug_err err;

	assert_int_equal(pwrite(fd, head, sizeof(*head), 0), sizeof(*head));
	assert_int_equal(plugs_seal(fd), 0);
	assert_int_equal(plugs_arena_seen(fd, bytes, &arena, &why), PLUG_OK);
	err = plugs_arena_map(arena, &why);
	assert_int_equal(err, why ? PLUG_EINVAL : PLUG_OK);
	if (!why) {
		assert_int_equal(plugs_arena_map(arena, &why), PLUG_OK); /* again: nothing */
		assert_int_equal(memfd_mappings(), 1);
		assert_false(plugs_arena_current(arena, 1ull << PLUG_ARENA_SLOT_BITS | 3));
	}
	plugs_arena_unref(arena);
	return why;
}

static void
test_a_head_is_checked(void **state)
{
	const struct plug_arena_head right = {.magic = PLUG_ARENA_MAGIC,
					      .version = PLUG_ARENA_VERSION,
					      .slots = 64,
					      .bytes = 8192,
					      .data = 4096};
	struct plug_arena_head head = right;

	(void)state;
	assert_null(map_head(&head, 8192));
	head.magic++;
	assert_non_null(map_head(&head, 8192));
	head = right, head.version++;
	assert_non_null(map_head(&head, 8192));
	head = right, head.slots = 0;
	assert_non_null(map_head(&head, 8192));
	head = right, head.slots = (4096 - 64) / 8;
	assert_null(map_head(&head, 8192));
	head.slots++; /* the table would reach into the buffers */
	assert_non_null(map_head(&head, 8192));
	head = right, head.slots = UINT32_MAX;
	assert_non_null(map_head(&head, 8192));
	head = right, head.bytes = 4096;
	assert_non_null(map_head(&head, 8192));
	head = right, head.data = 12288;
	assert_non_null(map_head(&head, 8192));
	head = right, head.data = 100;
	assert_non_null(map_head(&head, 8192));
	head = right, head.data = UINT64_MAX - 4095;
	assert_non_null(map_head(&head, 8192));
}

static void
test_an_arena_is_mapped_once(void **state)
{
	struct plug_arena *arena = arena_of(4096), *again, *third;
	unsigned descriptors = open_descriptors();
	const char *why;

	(void)state;
	assert_int_equal(plugs_arena_seen(dup(arena->fd), arena->bytes, &again, &why), PLUG_OK);
	assert_int_equal(plugs_arena_seen(dup(arena->fd), arena->bytes, &third, &why), PLUG_OK);
	assert_ptr_equal(again, arena);
	assert_ptr_equal(third, arena);
	assert_int_equal(open_descriptors(), descriptors);
	plugs_arena_unref(again);
	plug_arena_close(arena);
	assert_int_equal(memfd_mappings(), 1);
	plugs_arena_unref(third);
}

/* ---- threads ---- */

struct worker {
	pthread_t thread;
	struct plug_arena *arena;
	uint64_t seed;
	unsigned wrong;
};

static void *
churn(void *arg)
{
	enum { HELD = 16 };
	struct worker *worker = arg;
	struct plug_tensor held[HELD] = {{0}};

	for (unsigned i = 0; i < 20000; i++) {
		unsigned at = (unsigned)chance_below(&worker->seed, HELD);
		int64_t size = 1 + (int64_t)chance_below(&worker->seed, 3000);
		struct plug_tensor *one = &held[at];

		if (one->buffer) {
			for (int64_t n = 0; n < one->shape[0]; n++)
				worker->wrong +=
					((uint8_t *)one->data)[n] != (uint8_t)one->shape[0];
			plug_tensor_unref(one);
			one->buffer = NULL;
		} else if (plug_tensor_alloc(worker->arena, PLUG_UINT8, 1, &size, one) == PLUG_OK) {
			memset(one->data, (uint8_t)size, (size_t)size);
		}
	}
	for (unsigned i = 0; i < HELD; i++)
		plug_tensor_unref(&held[i]);
	return NULL;
}

static void
test_threads_share_an_arena(void **state)
{
	struct plug_arena *arena = arena_of(128 * 1024);
	struct worker workers[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		workers[i] = (struct worker){.arena = arena, .seed = i + 1};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, churn, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].wrong, 0);
	}
	plug_arena_close(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_memory_is_aligned_and_apart, clean),
		cmocka_unit_test_teardown(test_it_is_sealed_and_its_memory_taken, clean),
		cmocka_unit_test_teardown(test_all_of_it_can_be_one_tensor, clean),
		cmocka_unit_test_teardown(test_what_does_not_fit_is_said, clean),
		cmocka_unit_test_teardown(test_as_many_tensors_as_there_are_places, clean),
		cmocka_unit_test_teardown(test_a_generation_never_comes_again, clean),
		cmocka_unit_test_teardown(test_memory_outlives_the_handle, clean),
		cmocka_unit_test_teardown(test_nothing_takes_nothing, clean),
		cmocka_unit_test_teardown(test_a_config_that_is_wrong, clean),
		cmocka_unit_test_teardown(test_more_memory_than_there_is_is_never_asked_for, clean),
		cmocka_unit_test_teardown(test_what_is_not_sealed_is_not_taken, clean),
		cmocka_unit_test_teardown(test_a_head_is_checked, clean),
		cmocka_unit_test_teardown(test_an_arena_is_mapped_once, clean),
		cmocka_unit_test_teardown(test_threads_share_an_arena, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
