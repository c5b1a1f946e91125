/* An arena as another process would make it: every word of it can be anything. */
#ifndef TENSOR_FOREIGN_H
#define TENSOR_FOREIGN_H

#include "support.h"

#include "arena_layout.h"
#include "exchange.h"

#define FOREIGN_DATA  4096u
#define FOREIGN_BYTES (FOREIGN_DATA + 64 * 1024)
#define FOREIGN_SLOTS 64u

/* Of the buffer that lies first, 4096 bytes long: slot 5, the 9th that was given out. */
#define FOREIGN_GENERATION ((9ull << PLUG_ARENA_SLOT_BITS) | 5)

struct foreign {
	int fd;
	struct plug_arena_head *head; /* writable */
	uint8_t *data;
};

void foreign_open(struct foreign *foreign);
void foreign_close(struct foreign *foreign);

/* Both ends of a wake socket, and the exchange on one of them. */
struct channel {
	struct plugs_exchange *exchange;
	int ours, theirs;
};

void channel_open(struct channel *channel, enum plug_region_side side);
void channel_close(struct channel *channel); /* also of one that was closed */

/* As the other side: show a memfd under a number; fd -1: take the number back. */
void show_fd(const struct channel *channel, uint32_t number, int fd, uint64_t bytes);
void show(const struct channel *channel, uint32_t number, const struct foreign *foreign);

/* As this side: take what lies in the wake socket. */
void drain(const struct channel *channel);

/* What lies in the other side's end of the socket; false: nothing.  The descriptor is the caller's,
 * -1: none. */
bool taken_by_peer(const struct channel *channel, struct plug_wake_arena *ret, int *ret_fd);

/* The first buffer of a foreign arena, as float32[32, 32]. */
struct plugs_tensor described(uint32_t number);

/* Whatever a test does: nothing is left of it.  For cmocka's setup and teardown. */
int note_leftovers(void **state);
int check_leftovers(void **state);

struct plug_tensor own_tensor(struct plug_arena *arena, int64_t count); /* uint8[count] */
uint64_t in_use(const struct plug_arena *arena);                        /* buffers */

#endif
