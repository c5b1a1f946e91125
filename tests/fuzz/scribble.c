#include "scribble.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sample.h"

/* ---- the head ---- */

static uint64_t
some_number(uint64_t near, uint64_t *random)
{
	uint64_t word = sample_random(random);

	switch (word % 6) {
	case 0:
		return near + 8 * ((word >> 8) % 64);
	case 1:
		return near - 8 * ((word >> 8) % 64);
	case 2:
		return near ^ 1ull << (word >> 8) % 64;
	case 3:
		return UINT64_MAX - (word >> 8) % 16;
	case 4:
		return (word >> 8) % 16;
	default:
		return sample_random(random);
	}
}

static void
change_head(struct plug_region_head *head, uint64_t *random)
{
	uint64_t word = sample_random(random);

	switch (word % 8) {
	case 0:
	case 1:
	case 2:
		__atomic_store_n(&head->taken, some_number(head->taken, random), __ATOMIC_SEQ_CST);
		break;
	case 3:
	case 4:
		__atomic_store_n(&head->sleeping, (uint32_t)(word >> 8) % 5, __ATOMIC_SEQ_CST);
		break;
	case 5:
		__atomic_store_n(&head->closed_at, some_number(head->closed_at, random),
				 __ATOMIC_SEQ_CST);
		break;
	case 6:
		head->version = (uint32_t)sample_random(random);
		head->region_bytes = some_number(head->region_bytes, random);
		break;
	default:
		((uint8_t *)head)[(word >> 8) % PLUG_REGION_HEAD] = (uint8_t)(word >> 24);
	}
}

/* ---- the ring ---- */

/* The header that the reader wants to see at `position`. */
static void
forge_header(uint8_t *at, uint64_t position, uint64_t size)
{
	uint64_t header = (uint64_t)(uint32_t)(position / 8 + 1) << 32 | (uint32_t)size;

	__atomic_store_n((uint64_t *)at, header, __ATOMIC_SEQ_CST);
}

static void
scatter(uint8_t *at, size_t bytes, uint64_t *random)
{
	for (uint64_t left = 1 + sample_random(random) % 32; left; left--)
		at[sample_random(random) % bytes] = (uint8_t)sample_random(random);
}

static void
tear(uint8_t *at, uint64_t position, uint64_t *random)
{
	forge_header(at, position, 1 + sample_random(random) % 512);
	for (uint64_t left = sample_random(random) % 64; left; left--)
		scatter(at + PLUG_RECORD_HEADER, 512, random);
}

static void
change_ring(const struct plugs_region *own, uint64_t position, uint64_t *random)
{
	uint8_t *at = own->ring + position / 8 * 8 % own->ring_bytes;
	uint64_t word = sample_random(random);

	switch (word % 6) {
	case 0: /* any size, most of them too large */
		forge_header(at, position, (word >> 8) % (2 * PLUG_RECORD_BYTES_MAX));
		break;
	case 1: /* the largest of all: what lies there is a record */
		forge_header(at, position, own->ring_bytes / 3 / 8 * 8);
		break;
	case 2:
		tear(at, position, random);
		break;
	case 3:
		scatter(at, 256, random);
		break;
	case 4: /* a bit of the header that is there */
		__atomic_fetch_xor((uint64_t *)at, 1ull << (word >> 8) % 64, __ATOMIC_SEQ_CST);
		break;
	default:
		scatter(own->ring, own->ring_bytes, random);
	}
}

void
scribble(const struct plugs_region *own, const struct plug_region_head *peer, uint64_t *random)
{
	uint64_t position = __atomic_load_n(&peer->taken, __ATOMIC_SEQ_CST);

	if (sample_random(random) % 3 == 0)
		change_head(own->head, random);
	else
		change_ring(own, position, random);
}

/* ---- the wake socket ---- */

/* A message with so many descriptors of something that is no arena. */
static void
send_with(int wake_fd, const void *data, size_t size, unsigned count, uint64_t *random)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)data, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd = sample_random(random) % 2 ? open("/dev/null", O_RDWR | O_CLOEXEC)
					   : memfd_create("scribble", MFD_CLOEXEC);
	int fds[8];

	for (unsigned i = 0; i < count; i++)
		fds[i] = fd;
	if (count > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	sendmsg(wake_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

void
scribble_wake(int wake_fd, uint64_t *random)
{
	struct plug_wake_arena arena = {PLUG_WAKE_ARENA, (uint32_t)(sample_random(random) % 80),
					some_number(1 << 20, random)};
	uint64_t word = sample_random(random);
	uint8_t junk[64];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)sample_random(random);
	switch (word % 4) {
	case 0:
		for (uint64_t left = (word >> 8) % 300; left; left--)
			send(wake_fd, &(uint8_t){PLUG_WAKE_BYTE}, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 1:
		send_with(wake_fd, junk, 1 + (word >> 8) % sizeof(junk), 0, random);
		break;
	case 2:
		send_with(wake_fd, junk, 1 + (word >> 8) % sizeof(junk), 1 + (word >> 16) % 8,
			  random);
		break;
	default:
		send_with(wake_fd, &arena, sizeof(arena), (word >> 8) % 9, random);
	}
}
