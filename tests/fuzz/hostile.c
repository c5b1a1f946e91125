/*
 * The regions are found in /proc/self/maps and mapped once more: their seal forbids new writable
 * mappings, but not the copy of one, so that the thread's ones outlive the library's.
 */
#include "hostile.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "sample.h"
#include "scribble.h"

#define CHANNELS_MAX  64
#define FD_MAX        256
#define ROUNDS_A_LOOK 16 /* damages between two looks for channels */
#define BURST_MOST    6
#define QUIET_MOST_US 4000

/* A mapping of a region as the library made it. */
struct found {
	uint64_t inode, from, bytes;
	bool writable;
};

struct view {
	uint64_t inode;
	struct plugs_region region;
};

struct views {
	struct view list[CHANNELS_MAX];
	unsigned count;
};

struct hostile {
	uint64_t random;
	struct views own, peers;
	int wake_fds[FD_MAX];
	unsigned wake_count;
};

static _Atomic uint64_t damages;

/* What this thread does to its own process is a race, on purpose; the other processes are watched.
 */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *
__tsan_default_options(void)
{
	return "report_bugs=0";
}

uint64_t
hostile_count(void)
{
	return damages;
}

/* ---- regions ---- */

/* A line of /proc/self/maps: the whole of a region, head first? */
static bool
is_region(const char *line, struct found *ret)
{
	uint64_t end, offset;
	char flags[8] = "";

	if (!strstr(line, "/memfd:plug-ring") ||
	    sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %" SCNu64, &ret->from, &end,
		   flags, &offset, &ret->inode) != 5)
		return false;
	ret->bytes = end - ret->from;
	ret->writable = flags[1] == 'w';
	return offset == 0 && flags[3] == 's' && ret->bytes >= PLUG_REGION_BYTES_MIN;
}

/* Is that place mapped for reading, or for writing as well?  Asked of the kernel, so that the
 * answer is no fault. */
static bool
is_mapped(uint8_t *at, bool writable)
{
	uint8_t byte;
	struct iovec here = {&byte, 1}, there = {at, 1};

	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1 &&
	       (!writable || process_vm_writev(getpid(), &here, 1, &there, 1, 0) == 1);
}

/* The region that was there a moment ago; false: it is gone, maybe with something else in its
 * place. */
static bool
view_open(const struct found *found, struct view *ret)
{
	uint64_t ring_bytes = found->bytes - PLUG_REGION_HEAD;
	uint8_t *library = (uint8_t *)(uintptr_t)found->from;
	uint8_t *base = mmap(NULL, found->bytes + ring_bytes, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return false;
	if (mremap(library, 0, found->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, base) == MAP_FAILED ||
	    mremap(base + PLUG_REGION_HEAD, 0, ring_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		   base + found->bytes) == MAP_FAILED ||
	    !is_mapped(base + PLUG_REGION_HEAD - 1, found->writable)) {
		munmap(base, found->bytes + ring_bytes);
		return false;
	}
	*ret = (struct view){found->inode,
			     {.head = (struct plug_region_head *)base,
			      .ring = base + PLUG_REGION_HEAD,
			      .ring_bytes = ring_bytes,
			      .region_bytes = found->bytes}};
	return true;
}

static void
add_view(struct views *views, const struct found *found)
{
	for (unsigned i = 0; i < views->count; i++) {
		if (views->list[i].inode == found->inode)
			return;
	}
	if (views->count == CHANNELS_MAX) { /* the oldest is likely to be over */
		plugs_region_fini(&views->list[0].region);
		memmove(&views->list[0], &views->list[1],
			(CHANNELS_MAX - 1) * sizeof(views->list[0]));
		views->count--;
	}
	if (view_open(found, &views->list[views->count]))
		views->count++;
}

static void
find_regions(struct hostile *hostile)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	struct found found;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (is_region(line, &found))
			add_view(found.writable ? &hostile->own : &hostile->peers, &found);
	}
	if (maps)
		fclose(maps);
}

/* ---- wake sockets ---- */

/* The socket on which plugd offers channels, or a duplicate of it: the library has one more, for
 * the dying byte. */
static bool
is_broker_socket(int fd)
{
	const char *text = getenv(PLUG_ENV_BROKER_FD);
	struct stat broker, other;

	return text && fstat(atoi(text), &broker) == 0 && fstat(fd, &other) == 0 &&
	       broker.st_ino == other.st_ino && broker.st_dev == other.st_dev;
}

/* A socketpair's end that belongs to a channel. */
static bool
is_wake_socket(int fd)
{
	struct sockaddr_un name;
	socklen_t size = sizeof(int);
	int type = 0;

	if (is_broker_socket(fd) || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) ||
	    type != SOCK_SEQPACKET)
		return false;
	size = sizeof(name);
	return getpeername(fd, (struct sockaddr *)&name, &size) == 0 && size == sizeof(sa_family_t);
}

static void
find_wake_sockets(struct hostile *hostile)
{
	hostile->wake_count = 0;
	for (int fd = 0; fd < FD_MAX; fd++) {
		if (is_wake_socket(fd))
			hostile->wake_fds[hostile->wake_count++] = fd;
	}
}

/* ---- the thread ---- */

static void
damage(struct hostile *hostile)
{
	uint64_t word = sample_random(&hostile->random);

	if (word % 64 == 0 && hostile->wake_count > 0) {
		scribble_wake(hostile->wake_fds[(word >> 8) % hostile->wake_count],
			      &hostile->random);
	} else if (hostile->own.count > 0 && hostile->peers.count > 0) {
		/* Most often the newest, which is likely to be in use, and its peer. */
		unsigned back = word % 4 == 1 ? (unsigned)(word >> 8) : 0;
		struct view *own =
			&hostile->own.list[hostile->own.count - 1 - back % hostile->own.count];
		struct view *peer =
			&hostile->peers
				 .list[hostile->peers.count - 1 - back % hostile->peers.count];

		scribble(&own->region, peer->region.head, &hostile->random);
	} else {
		return;
	}
	damages++;
}

static void *
run(void *arg)
{
	struct hostile *hostile = arg;

	for (;;) {
		find_regions(hostile);
		find_wake_sockets(hostile);
		for (int i = 0; i < ROUNDS_A_LOOK; i++) {
			uint64_t word = sample_random(&hostile->random);

			for (uint64_t left = 1 + word % BURST_MOST; left; left--)
				damage(hostile);
			usleep((word >> 16) % (word >> 8 & 1 ? QUIET_MOST_US : 50));
		}
	}
	return NULL;
}

void
hostile_start(uint64_t seed)
{
	struct hostile *hostile = calloc(1, sizeof(*hostile));
	pthread_t thread;

	if (!hostile)
		abort();
	hostile->random = seed * 2 + 1;
	if (pthread_create(&thread, NULL, run, hostile) != 0)
		abort();
	pthread_detach(thread);
}
