/*
 * Invariants
 *
 * - An arena is in the registry as long as it has a reference.  The last one is dropped with the
 *   registry locked, so what is found there is alive.
 * - Of an own arena `generations`, `space` and the slots change under its lock.  A place in
 *   `generations` is cleared before the memory of its buffer can be given out again.
 * - A foreign arena's head is read once, when it is mapped; afterwards only its generations are.
 *
 * Order of locks: a channel's, then the registry, then an arena's.
 */
#include "arena.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "region.h"
#include "tensor.h"

#define PAGE            4096u
#define BYTES_MAX       (1ull << 46)
#define BYTES_PER_SLOT  512 /* so many small buffers are expected */
#define SLOTS_MIN       64u
#define LARGE           (64u * 1024)        /* from here on buffers begin at a page */
#define ASK_FROM        (16u * 1024 * 1024) /* is there memory?  Less is not worth the question */

#define ROUND_UP(x, to) (((x) + (to)-1) & ~((uint64_t)(to)-1))

_Static_assert(sizeof(struct plug_arena_head) == PLUG_ARENA_GRAIN, "the generations follow a line");

/* ---- life ---- */

void
plugs_arena_ref(struct plug_arena *arena)
{
	atomic_fetch_add_explicit(&arena->refs, 1, memory_order_relaxed);
}

static void
destroy(struct plug_arena *arena)
{
	uint8_t *base = atomic_load(&arena->base);

	if (base) {
		munmap(base, (size_t)arena->bytes);
		plugs_uncount(arena->own ? &plugs_counts.own_arenas : &plugs_counts.seen_arenas, 1);
		plugs_uncount(arena->own ? &plugs_counts.own_bytes : &plugs_counts.seen_bytes,
			      arena->bytes);
	}
	if (arena->fd >= 0)
		close(arena->fd);
	plugs_space_fini(&arena->space);
	free(arena->slots_free);
	pthread_mutex_destroy(&arena->lock);
	free(arena);
}

void
plugs_arena_unref(struct plug_arena *arena)
{
	uint32_t refs;
	bool last;

	if (!arena)
		return;
	refs = atomic_load_explicit(&arena->refs, memory_order_relaxed);
	while (refs > 1) {
		if (atomic_compare_exchange_weak_explicit(&arena->refs, &refs, refs - 1,
							  memory_order_release,
							  memory_order_relaxed))
			return;
	}
	pthread_mutex_lock(&plug_tensor_process.arenas_lock);
	last = atomic_fetch_sub_explicit(&arena->refs, 1, memory_order_acq_rel) == 1;
	if (last)
		LIST_REMOVE(arena, bucket);
	pthread_mutex_unlock(&plug_tensor_process.arenas_lock);
	if (last)
		destroy(arena);
}

bool
plugs_arena_source_gone(struct plug_arena *arena)
{
	return !arena->own && atomic_fetch_sub(&arena->sources, 1) == 1;
}

static struct plug_arena *
arena_new(int fd, const struct stat *st, bool own)
{
	struct plug_arena *arena = calloc(1, sizeof(*arena));

	if (!arena)
		return NULL;
	arena->refs = 1;
	arena->sources = 1;
	arena->own = own;
	arena->fd = fd;
	arena->bytes = (uint64_t)st->st_size;
	arena->device = st->st_dev;
	arena->inode = st->st_ino;
	pthread_mutex_init(&arena->lock, NULL);
	return arena;
}

static unsigned
bucket_of(ino_t inode)
{
	return (unsigned)inode % PLUGS_ARENA_BUCKETS;
}

/* ---- own arenas ---- */

/* Bytes that this machine can still give, or UINT64_MAX when that is not known. */
static uint64_t
available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long total = 0, kib;
	char line[128];
	bool found = false;

	if (!file)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			found = true;
		else if (sscanf(line, "SwapFree: %llu", &kib) != 1)
			continue;
		total += kib * 1024;
	}
	fclose(file);
	return found ? total : UINT64_MAX;
}

/*
 * Taking memory that is not there does not fail: the kernel kills processes to find it, and not
 * always the one that asks.  What is far too much is therefore never tried.
 */
static bool
affordable(uint64_t bytes)
{
	uint64_t left;

	if (bytes < ASK_FROM)
		return true;
	left = available_bytes();
	return left == UINT64_MAX || bytes <= left - left / 8;
}

/* Map it and write the head; nobody else has seen it yet. */
static plug_err
furnish(struct plug_arena *arena, uint32_t slots, uint64_t data)
{
	struct plug_arena_head *head = mmap(NULL, (size_t)arena->bytes, PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_POPULATE, arena->fd, 0);

	if (head == MAP_FAILED)
		return PLUG_ENOMEM;
	head->magic = PLUG_ARENA_MAGIC;
	head->version = PLUG_ARENA_VERSION;
	head->slots = slots;
	head->bytes = arena->bytes;
	head->data = data;
	arena->generations = head->generations;
	arena->slots = slots;
	arena->data = data;
	atomic_store(&arena->base, (uint8_t *)head);
	plugs_count(&plugs_counts.own_arenas, 1);
	plugs_count(&plugs_counts.own_bytes, arena->bytes);
	arena->slots_free = malloc(slots * sizeof(*arena->slots_free));
	if (!arena->slots_free ||
	    plugs_space_init(&arena->space, (arena->bytes - data) / PLUG_ARENA_GRAIN, slots) !=
		    PLUG_OK)
		return PLUG_ENOMEM;
	return plugs_seal(arena->fd) == 0 ? PLUG_OK : PLUG_ESYS;
}

static uint32_t
slots_for(uint64_t bytes)
{
	uint64_t slots = bytes / BYTES_PER_SLOT;

	if (slots < SLOTS_MIN)
		return SLOTS_MIN;
	return slots < PLUG_ARENA_SLOTS_MAX ? (uint32_t)slots : PLUG_ARENA_SLOTS_MAX;
}

/* Takes fd. */
static plug_err
adopt(int fd, uint32_t slots, uint64_t data, struct plug_arena **ret)
{
	struct plug_arena *arena = NULL;
	struct stat st;
	plug_err err;

	if (fstat(fd, &st) == 0)
		arena = arena_new(fd, &st, true);
	if (!arena) {
		close(fd);
		return PLUG_ENOMEM;
	}
	err = furnish(arena, slots, data);
	if (err != PLUG_OK) {
		destroy(arena);
		return err;
	}
	pthread_mutex_lock(&plug_tensor_process.arenas_lock);
	LIST_INSERT_HEAD(&plug_tensor_process.arenas[bucket_of(arena->inode)], arena, bucket);
	pthread_mutex_unlock(&plug_tensor_process.arenas_lock);
	*ret = arena;
	return PLUG_OK;
}

plug_err
plugs_arena_make(const char *name, uint64_t bytes, struct plug_arena **ret)
{
	uint64_t room = ROUND_UP(bytes, PAGE), data;
	uint32_t slots;
	plug_err err;
	int fd;

	if (bytes == 0 || bytes > BYTES_MAX)
		return plugs_tensor_fail(PLUG_EINVAL,
					 "an arena of %llu bytes was asked for, expected 1 to %llu",
					 (unsigned long long)bytes, BYTES_MAX);
	slots = slots_for(room);
	data = ROUND_UP(sizeof(struct plug_arena_head) + 8 * (uint64_t)slots, PAGE);
	errno = ENOMEM;
	fd = affordable(data + room) ? plugs_memfd(name, data + room) : -1;
	if (fd < 0)
		return plugs_tensor_fail(errno == EMFILE || errno == ENFILE ? PLUG_ESYS
									    : PLUG_ENOMEM,
					 "no memory for an arena of %llu bytes: %s; ask for less, "
					 "or raise the limit "
					 "on memory",
					 (unsigned long long)bytes, strerror(errno));
	err = adopt(fd, slots, data, ret);
	if (err != PLUG_OK)
		plugs_tensor_fail(err, "an arena of %llu bytes cannot be mapped or sealed",
				  (unsigned long long)bytes);
	return err;
}

/* ---- arenas of others ---- */

static const char *
wrong_with(int fd, uint64_t bytes, struct stat *ret_st)
{
	const char *why = plugs_sealed(fd, bytes);

	if (why)
		return why;
	if (bytes < PAGE || bytes > 2 * BYTES_MAX)
		return "its size is out of range";
	return fstat(fd, ret_st) < 0 ? "it cannot be looked at" : NULL;
}

/* Descriptors are given out from the lowest on.  A quarter is left for what the process lives by:
 * those of arenas are as many as others like to show. */
static bool
descriptors_are_scarce(int fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd >= limit.rlim_cur / 4 * 3;
}

static struct plug_arena *
find(const struct stat *st)
{
	struct plug_arena *arena;

	LIST_FOREACH (arena, &plug_tensor_process.arenas[bucket_of(st->st_ino)], bucket) {
		if (arena->inode == st->st_ino && arena->device == st->st_dev)
			return arena;
	}
	return NULL;
}

plug_err
plugs_arena_seen(int fd, uint64_t bytes, struct plug_arena **ret, const char **ret_why)
{
	struct plug_arena *arena;
	struct stat st;
	bool known;

	*ret_why = wrong_with(fd, bytes, &st);
	if (*ret_why) {
		close(fd);
		return PLUG_EINVAL;
	}
	pthread_mutex_lock(&plug_tensor_process.arenas_lock);
	arena = find(&st);
	known = arena != NULL;
	if (!known && descriptors_are_scarce(fd)) {
		*ret_why = "this process has too few descriptors left for it";
	} else if (known) {
		plugs_arena_ref(arena);
		if (!arena->own)
			atomic_fetch_add(&arena->sources, 1);
	} else if ((arena = arena_new(fd, &st, false))) {
		LIST_INSERT_HEAD(&plug_tensor_process.arenas[bucket_of(st.st_ino)], arena, bucket);
	}
	pthread_mutex_unlock(&plug_tensor_process.arenas_lock);
	if (known || !arena)
		close(fd);
	if (!arena && !*ret_why)
		*ret_why = "there is no memory for it here";
	*ret = arena;
	return arena ? PLUG_OK : PLUG_ENOMEM;
}

static const char *
wrong_head(const struct plug_arena *arena, const struct plug_arena_head *head)
{
	if (head->magic != PLUG_ARENA_MAGIC)
		return "it does not begin like an arena";
	if (head->version != PLUG_ARENA_VERSION)
		return "its layout has another version";
	if (head->slots == 0 || head->slots > PLUG_ARENA_SLOTS_MAX || head->bytes != arena->bytes ||
	    head->data % PAGE != 0 || head->data > arena->bytes ||
	    head->data < sizeof(*head) + 8 * (uint64_t)head->slots)
		return "its head does not fit its size";
	return NULL;
}

/* Called with its lock held. */
static const char *
map(struct plug_arena *arena, plug_err *ret_err)
{
	struct plug_arena_head head;
	const char *why;
	uint8_t *base = mmap(NULL, (size_t)arena->bytes, PROT_READ, MAP_SHARED, arena->fd, 0);

	*ret_err = PLUG_ENOMEM;
	if (base == MAP_FAILED)
		return "there is no room to map it here";
	memcpy(&head, base, sizeof(head));
	why = wrong_head(arena, &head);
	if (why) {
		munmap(base, (size_t)arena->bytes);
		*ret_err = PLUG_EINVAL;
		return why;
	}
	arena->generations = (uint64_t *)(base + sizeof(head));
	arena->slots = head.slots;
	arena->data = head.data;
	plugs_count(&plugs_counts.seen_arenas, 1);
	plugs_count(&plugs_counts.seen_bytes, arena->bytes);
	atomic_store_explicit(&arena->base, base, memory_order_release);
	return NULL;
}

plug_err
plugs_arena_map(struct plug_arena *arena, const char **ret_why)
{
	plug_err err = PLUG_OK;

	if (atomic_load_explicit(&arena->base, memory_order_acquire))
		return PLUG_OK;
	pthread_mutex_lock(&arena->lock);
	*ret_why = atomic_load(&arena->base) ? NULL : map(arena, &err);
	pthread_mutex_unlock(&arena->lock);
	return *ret_why ? err : PLUG_OK;
}

bool
plugs_arena_current(const struct plug_arena *arena, uint64_t generation)
{
	uint32_t slot = PLUG_ARENA_SLOT(generation);

	/* What was read of the buffer before is read before this. */
	atomic_thread_fence(memory_order_acquire);
	return generation != 0 && slot < arena->slots &&
	       __atomic_load_n(&arena->generations[slot], __ATOMIC_ACQUIRE) == generation;
}

/* ---- buffers ---- */

static uint32_t
take_slot(struct plug_arena *arena)
{
	if (arena->slots_free_count)
		return arena->slots_free[--arena->slots_free_count];
	return arena->slots_touched++;
}

static plug_err
take_failed(const struct plug_arena *arena, uint64_t bytes)
{
	const struct plugs_space *space = &arena->space;
	unsigned long long room = space->size * PLUG_ARENA_GRAIN;

	if (bytes > room)
		return plugs_tensor_fail(PLUG_ETOOLARGE,
					 "a tensor of %llu bytes does not fit into an arena of "
					 "%llu; use a larger arena",
					 (unsigned long long)bytes, room);
	if (space->taken == space->taken_max)
		return plugs_tensor_fail(PLUG_EOVERLOADED,
					 "the arena holds %u tensors, as many as one of its size "
					 "can; release some first",
					 space->taken);
	return plugs_tensor_fail(
		PLUG_EOVERLOADED,
		"no room for a tensor of %llu bytes: of the arena's %llu bytes %llu are in use by "
		"%u "
		"tensors, about %llu are free in one piece; release some first, or use a larger "
		"arena",
		(unsigned long long)bytes, room, (unsigned long long)space->used * PLUG_ARENA_GRAIN,
		space->taken, (unsigned long long)plugs_space_largest(space) * PLUG_ARENA_GRAIN);
}

plug_err
plugs_arena_take(struct plug_arena *arena, uint64_t bytes, struct plugs_block **ret_block,
		 uint64_t *ret_generation)
{
	uint64_t align = bytes >= LARGE ? PAGE : PLUG_ARENA_GRAIN;
	plug_err err = PLUG_OK;
	struct plugs_block *block = NULL;

	if (plugs_arena_closed(arena))
		return plugs_tensor_fail(PLUG_ESTATE, "the arena is closed");
	pthread_mutex_lock(&arena->lock);
	if (bytes <= arena->bytes)
		block = plugs_space_take(&arena->space, ROUND_UP(bytes, align) / PLUG_ARENA_GRAIN,
					 align / PLUG_ARENA_GRAIN);
	if (block) {
		uint32_t slot = take_slot(arena);

		*ret_generation = ++arena->given << PLUG_ARENA_SLOT_BITS | slot;
		__atomic_store_n(&arena->generations[slot], *ret_generation, __ATOMIC_RELEASE);
		*ret_block = block;
	} else {
		err = take_failed(arena, bytes);
	}
	pthread_mutex_unlock(&arena->lock);
	if (block)
		plugs_count(&plugs_counts.buffers, 1);
	return err;
}

void
plugs_arena_give(struct plug_arena *arena, struct plugs_block *block, uint64_t generation)
{
	uint32_t slot = PLUG_ARENA_SLOT(generation);

	pthread_mutex_lock(&arena->lock);
	__atomic_store_n(&arena->generations[slot], 0, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release); /* what is written there next comes after it */
	arena->slots_free[arena->slots_free_count++] = (uint16_t)slot;
	plugs_space_give(&arena->space, block);
	pthread_mutex_unlock(&arena->lock);
	plugs_uncount(&plugs_counts.buffers, 1);
}
