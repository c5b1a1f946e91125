/*
 * Arenas that are made as they are needed, up to a quota: the first is small, each other twice as
 * large as the one before, so a channel that carries little costs little.  When the quota leaves no
 * room for a larger one, those in which nothing is in use make way.  Safe in any thread.
 */
#ifndef PLUGS_ARENA_POOL_H
#define PLUGS_ARENA_POOL_H

#include "arena.h"

#define PLUGS_POOL_FIRST  (1024u * 1024)
#define PLUGS_POOL_ARENAS 16

struct plugs_pool {
	pthread_mutex_t lock;
	uint64_t quota, made; /* bytes for buffers */
	unsigned count;
	struct plug_arena *arenas[PLUGS_POOL_ARENAS];
};

void plugs_pool_init(struct plugs_pool *pool, uint64_t quota);
void plugs_pool_fini(struct plugs_pool *pool);

/*
 * As plug_tensor_alloc(), and
 *
 * PLUG_ETOOLARGE    larger than the quota
 * PLUG_EOVERLOADED  what is in use leaves no room; the text says the quota and the use
 */
plug_err plugs_pool_alloc(struct plugs_pool *pool, struct plug_dtype dtype, int ndim,
			  const int64_t *shape, struct plug_tensor *ret);

#endif
