/*
 * In the memfd: eight bytes that name it, version, needs, the number of bytes that follow, those.
 * Numbers are little-endian, as on every machine that plugd runs on; both sides are one process.
 */
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "state/state_private.h"

#define ARENA_BYTES ((size_t)1024 * 1024 * 1024)
#define SEALS       (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define FIRST_FDS   64u

void
state_out_init(struct state_out *out)
{
	*out = (struct state_out){.fds = NULL};
	arena_init(&out->arena, ARENA_BYTES);
}

void
state_out_fini(struct state_out *out)
{
	arena_fini(&out->arena);
	free(out->fds);
	out->fds = NULL;
	out->fd_count = 0;
}

void *
state_out_message(struct state_out *out, const ProtobufCMessageDescriptor *descriptor)
{
	void *message = arena_alloc(&out->arena, descriptor->sizeof_message);

	if (!message) {
		out->failed = true;
		message = out->scratch;
	}
	descriptor->message_init(message);
	return message;
}

void *
state_out_array(struct state_out *out, size_t count, size_t bytes)
{
	void *array = arena_array(&out->arena, count ? count : 1, bytes);

	out->failed |= !array;
	return array;
}

/* Grown where its length is a power of two: then it is full. */
void
state_out_append(struct state_out *out, size_t *count, void *items, void *item)
{
	void ***array = items;
	bool is_full = !(*count & (*count - 1));

	if (is_full) {
		void **grown = arena_array(&out->arena, *count ? 2 * *count : 1, sizeof(*grown));

		if (!grown) {
			out->failed = true;
			return;
		}
		if (*count)
			memcpy(grown, *array, *count * sizeof(*grown));
		*array = grown;
	}
	(*array)[(*count)++] = item;
}

uint32_t
state_out_fd(struct state_out *out, int fd)
{
	if (fd < 0)
		return 0;
	if (!(out->fd_count % FIRST_FDS)) {
		int *grown = realloc(out->fds, (out->fd_count + FIRST_FDS) * sizeof(*grown));

		if (!grown) {
			out->failed = true;
			return 0;
		}
		out->fds = grown;
	}
	out->fds[out->fd_count++] = fd;
	return (uint32_t)fd + 1;
}

static void
list_fds(struct state_out *out, Plugd__Saved *saved)
{
	saved->fds = state_out_array(out, out->fd_count, sizeof(*saved->fds));
	for (size_t i = 0; saved->fds && i < out->fd_count; i++)
		saved->fds[i] = (uint32_t)out->fds[i] + 1;
	saved->n_fds = saved->fds ? out->fd_count : 0;
}

static plug_err
fill(int fd, const Plugd__Saved *saved, const struct state_versions *versions)
{
	size_t size = plugd__saved__get_packed_size(saved);
	struct state_head head = {STATE_MAGIC, versions->version, versions->needs, size};
	uint8_t *at;

	/* Its memory is taken here: later, where there is none, it would be a SIGBUS. */
	do
		errno = posix_fallocate(fd, 0, (off_t)(sizeof(head) + size));
	while (errno == EINTR);
	if (errno)
		return PLUG_ESYS;
	at = mmap(NULL, sizeof(head) + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		  0);
	if (at == MAP_FAILED)
		return PLUG_ESYS;
	memcpy(at, &head, sizeof(head));
	plugd__saved__pack(saved, at + sizeof(head));
	munmap(at, sizeof(head) + size);
	return fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? PLUG_ESYS : PLUG_OK;
}

plug_err
state_seal(struct state_out *out, Plugd__Saved *saved, const struct state_versions *versions,
	   int *ret_fd)
{
	AUTO_CLOSE int fd = -1;
	plug_err err;

	list_fds(out, saved);
	if (out->failed)
		return PLUG_ENOMEM;
	fd = memfd_create("plugd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	err = fd < 0 ? PLUG_ESYS : fill(fd, saved, versions);
	if (!err)
		*ret_fd = steal_fd(&fd);
	return err;
}
