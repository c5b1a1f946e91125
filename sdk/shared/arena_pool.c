#include "arena_pool.h"

#include "tensor.h"

#define PAGE 4096u

void
plugs_pool_init(struct plugs_pool *pool, uint64_t quota)
{
	*pool = (struct plugs_pool){.quota = quota};
	pthread_mutex_init(&pool->lock, NULL);
}

void
plugs_pool_fini(struct plugs_pool *pool)
{
	for (unsigned i = 0; i < pool->count; i++)
		plug_arena_close(pool->arenas[i]);
	pthread_mutex_destroy(&pool->lock);
	*pool = (struct plugs_pool){.count = 0};
}

static uint64_t
used(const struct plugs_pool *pool)
{
	struct plug_arena_stats stats;
	uint64_t sum = 0;

	for (unsigned i = 0; i < pool->count; i++) {
		plug_arena_stats(pool->arenas[i], &stats);
		sum += stats.used;
	}
	return sum;
}

static void
drop_empty(struct plugs_pool *pool)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < pool->count; i++) {
		struct plug_arena_stats stats;

		plug_arena_stats(pool->arenas[i], &stats);
		if (stats.buffers) {
			pool->arenas[kept++] = pool->arenas[i];
			continue;
		}
		pool->made -= stats.bytes;
		plug_arena_close(pool->arenas[i]);
	}
	pool->count = kept;
}

/* One more arena, with room for `bytes`. */
static plug_err
grow(struct plugs_pool *pool, uint64_t bytes)
{
	uint64_t left = pool->quota - pool->made;
	uint64_t size = PLUGS_POOL_FIRST << pool->count;
	struct plug_arena *arena;
	plug_err err;

	if (left < bytes || pool->count == PLUGS_POOL_ARENAS) {
		drop_empty(pool);
		left = pool->quota - pool->made;
	}
	if (size < 2 * bytes)
		size = 2 * bytes;
	if (size > left || pool->count == PLUGS_POOL_ARENAS - 1)
		size = left;
	size -= size % PAGE;
	if (size < bytes || pool->count == PLUGS_POOL_ARENAS)
		return plugs_tensor_fail(
			PLUG_EOVERLOADED,
			"no room for a tensor of %llu bytes: of the channel's %llu bytes for reply "
			"tensors %llu are in use; release some first, or raise %s",
			(unsigned long long)bytes, (unsigned long long)pool->quota,
			(unsigned long long)used(pool), PLUG_ENV_TENSOR_BYTES);
	err = plugs_arena_make("plug-replies", size, &arena);
	if (err != PLUG_OK)
		return err;
	pool->made += size;
	pool->arenas[pool->count++] = arena;
	return PLUG_OK;
}

/* The newest is the largest, and the one with most room. */
static plug_err
alloc(struct plugs_pool *pool, struct plug_dtype dtype, int ndim, const int64_t *shape,
      uint64_t bytes, struct plug_tensor *ret)
{
	plug_err err = PLUG_EOVERLOADED;

	for (unsigned i = pool->count; i-- > 0 && err != PLUG_OK && err != PLUG_ENOMEM;)
		err = plug_tensor_alloc(pool->arenas[i], dtype, ndim, shape, ret);
	if (err == PLUG_OK || err == PLUG_ENOMEM)
		return err;
	err = grow(pool, bytes);
	if (err == PLUG_OK)
		err = plug_tensor_alloc(pool->arenas[pool->count - 1], dtype, ndim, shape, ret);
	return err;
}

plug_err
plugs_pool_alloc(struct plugs_pool *pool, struct plug_dtype dtype, int ndim, const int64_t *shape,
		 struct plug_tensor *ret)
{
	uint64_t elements, bytes;
	plug_err err = plugs_layout_size(dtype, ndim, shape, &elements, &bytes);

	if (err != PLUG_OK)
		return err;
	if (bytes == 0)
		return plug_tensor_alloc(NULL, dtype, ndim, shape, ret);
	bytes = bytes <= pool->quota ? (bytes + PAGE - 1) / PAGE * PAGE : bytes;
	if (bytes > pool->quota)
		return plugs_tensor_fail(PLUG_ETOOLARGE,
					 "a tensor of %llu bytes is larger than the channel's %llu "
					 "for reply tensors; raise %s",
					 (unsigned long long)bytes, (unsigned long long)pool->quota,
					 PLUG_ENV_TENSOR_BYTES);
	pthread_mutex_lock(&pool->lock);
	err = alloc(pool, dtype, ndim, shape, bytes, ret);
	pthread_mutex_unlock(&pool->lock);
	return err;
}
