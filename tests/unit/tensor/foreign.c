#include "foreign.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "region.h"
#include "ring.h"

static struct plug_tensor_stats stats_before;
static unsigned descriptors_before, mappings_before;

int
note_leftovers(void **state)
{
	(void)state;
	stats_before = stats();
	descriptors_before = open_descriptors();
	mappings_before = memfd_mappings();
	return 0;
}

int
check_leftovers(void **state)
{
	struct plug_tensor_stats now = stats();

	(void)state;
	assert_int_equal(now.own_arenas, stats_before.own_arenas);
	assert_int_equal(now.own_bytes, stats_before.own_bytes);
	assert_int_equal(now.seen_arenas, stats_before.seen_arenas);
	assert_int_equal(now.seen_bytes, stats_before.seen_bytes);
	assert_int_equal(now.buffers, stats_before.buffers);
	assert_int_equal(memfd_mappings(), mappings_before);
	assert_int_equal(open_descriptors(), descriptors_before);
	return 0;
}

struct plug_tensor
own_tensor(struct plug_arena *arena, int64_t count)
{
	struct plug_tensor tensor;

	assert_int_equal(plug_tensor_alloc(arena, PLUG_UINT8, 1, &count, &tensor), PLUG_OK);
	return tensor;
}

uint64_t
in_use(const struct plug_arena *arena)
{
	struct plug_arena_stats now;

	plug_arena_stats(arena, &now);
	return now.buffers;
}

void
foreign_open(struct foreign *foreign)
{
	void *mapping;

	foreign->fd = plugs_memfd("foreign", FOREIGN_BYTES);
	assert_true(foreign->fd >= 0);
	mapping = mmap(NULL, FOREIGN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, foreign->fd, 0);
	assert_ptr_not_equal(mapping, MAP_FAILED);
	foreign->head = mapping;
	foreign->data = (uint8_t *)mapping + FOREIGN_DATA;
	foreign->head->magic = PLUG_ARENA_MAGIC;
	foreign->head->version = PLUG_ARENA_VERSION;
	foreign->head->slots = FOREIGN_SLOTS;
	foreign->head->bytes = FOREIGN_BYTES;
	foreign->head->data = FOREIGN_DATA;
	foreign->head->generations[PLUG_ARENA_SLOT(FOREIGN_GENERATION)] = FOREIGN_GENERATION;
	assert_int_equal(plugs_seal(foreign->fd), 0);
}

void
foreign_close(struct foreign *foreign)
{
	munmap(foreign->head, FOREIGN_BYTES);
	close(foreign->fd);
}

void
channel_open(struct channel *channel, enum plug_region_side side)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	channel->ours = fds[0];
	channel->theirs = fds[1];
	channel->exchange = plugs_exchange_new(side, fds[0]);
	assert_non_null(channel->exchange);
}

void
channel_close(struct channel *channel)
{
	plugs_exchange_close(channel->exchange);
	channel->exchange = NULL;
	if (channel->ours >= 0)
		close(channel->ours);
	if (channel->theirs >= 0)
		close(channel->theirs);
	channel->ours = channel->theirs = -1;
}

void
show_fd(const struct channel *channel, uint32_t number, int fd, uint64_t bytes)
{
	struct plug_wake_arena message = {fd < 0 ? PLUG_WAKE_FORGET : PLUG_WAKE_ARENA, number,
					  bytes};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} ancillary = {.bytes = {0}};
	struct iovec iov = {&message, sizeof(message)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		msg.msg_control = &ancillary;
		msg.msg_controllen = sizeof(ancillary);
		ancillary.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
						    .cmsg_level = SOL_SOCKET,
						    .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(channel->theirs, &msg, 0), sizeof(message));
}

void
show(const struct channel *channel, uint32_t number, const struct foreign *foreign)
{
	show_fd(channel, number, foreign->fd, FOREIGN_BYTES);
}

void
drain(const struct channel *channel)
{
	assert_int_equal(plugs_drain(channel->ours, UINT32_MAX, plugs_exchange_on_arena,
				     channel->exchange, NULL),
			 PLUG_OK);
}

struct taken {
	struct plug_wake_arena message;
	int fd;
};

static void
on_arena(const struct plug_wake_arena *message, int fd, void *user)
{
	*(struct taken *)user = (struct taken){*message, fd};
}

bool
taken_by_peer(const struct channel *channel, struct plug_wake_arena *ret, int *ret_fd)
{
	struct taken taken = {.fd = -1};
	unsigned count;

	assert_int_equal(plugs_drain(channel->theirs, 1, on_arena, &taken, &count), PLUG_OK);
	*ret = taken.message;
	*ret_fd = taken.fd;
	return count == 1;
}

struct plugs_tensor
described(uint32_t number)
{
	return (struct plugs_tensor){
		.name = {(const uint8_t *)"image", 5},
		.arena = number,
		.offset = FOREIGN_DATA,
		.generation = FOREIGN_GENERATION,
		.bytes = 4096,
		.code = PLUG_CODE_FLOAT,
		.bits = 32,
		.lanes = 1,
		.dims = 2,
		.shape = {32, 32},
	};
}
