#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "state/state.h"
#include "state/state_private.h"

/* Unpacked, a message is larger than on the wire: an empty one of two bytes becomes a struct. */
#define GROWTH        200
#define ROOM_BYTES    ((size_t)1024 * 1024)
#define STAND_IN_SIZE 4096

/* ---- bytes to messages ---- */

static void *
take(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void
leave(void *arena, void *pointer)
{
	(void)arena;
	(void)pointer;
}

static const ProtobufCMessage *
message_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, size_t index)
{
	const char *at = (const char *)message + field->offset;

	if (field->label != PROTOBUF_C_LABEL_REPEATED)
		return *(ProtobufCMessage *const *)(const void *)at;
	return (*(ProtobufCMessage *const *const *)(const void *)at)[index];
}

static size_t
count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const char *at = (const char *)message;

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)(const void *)(at + field->quantifier_offset);
	return message_at(message, field, 0) != NULL;
}

/* Its messages contain each other to a fixed depth: no type contains itself. */
static const char *
unknown_in(const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;

	if (message->n_unknown_fields)
		return descriptor->short_name;
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		for (size_t n = 0; n < count_of(message, field); n++) {
			const char *found = unknown_in(message_at(message, field, n));

			if (found)
				return found;
		}
	}
	return NULL;
}

static plug_err
check_head(const struct state_head *head, size_t size, uint32_t known, char *why, size_t why_size)
{
	if (size < sizeof(*head) || head->magic != STATE_MAGIC ||
	    head->size != size - sizeof(*head)) {
		snprintf(why, why_size, "%zu bytes that are no state of a plugd", size);
		return PLUG_EPROTO;
	}
	if (head->needs > known || !head->version || head->needs > head->version) {
		snprintf(why, why_size,
			 "a state of version %u, which needs a plugd that knows version %u; this "
			 "one knows %u",
			 head->version, head->needs, known);
		return PLUG_EVERSION;
	}
	return PLUG_OK;
}

plug_err
state_decode(const void *bytes, size_t size, uint32_t known, struct arena *arena,
	     Plugd__Saved **ret, char *why, size_t why_size)
{
	ProtobufCAllocator allocator = {take, leave, arena};
	struct state_head head = {0};
	Plugd__Saved *saved;
	const char *unknown;
	plug_err err;

	memcpy(&head, bytes, size < sizeof(head) ? size : sizeof(head));
	err = check_head(&head, size, known, why, why_size);
	if (err)
		return err;
	arena_init(arena, ROOM_BYTES + (size_t)head.size * GROWTH);
	saved = plugd__saved__unpack(&allocator, (size_t)head.size,
				     (const uint8_t *)bytes + sizeof(head));
	if (!saved) {
		snprintf(why, why_size,
			 "a state of version %u that is damaged, or no memory for it",
			 head.version);
		return arena->failed ? PLUG_ENOMEM : PLUG_EPROTO;
	}
	unknown = head.version <= known ? unknown_in(&saved->base) : NULL;
	if (unknown) {
		snprintf(why, why_size,
			 "a state of version %u, which is known, with a field in %s that is not",
			 head.version, unknown);
		return PLUG_EPROTO;
	}
	*ret = saved;
	return PLUG_OK;
}

/* ---- reading it from a descriptor ---- */

static plug_err
decode_memfd(struct state_in *in, int memfd, uint32_t known)
{
	struct stat st;
	void *at;
	plug_err err;

	if (fstat(memfd, &st) < 0 || st.st_size <= 0) {
		snprintf(in->why, sizeof(in->why), "the state's descriptor %d cannot be read",
			 memfd);
		return PLUG_EPROTO;
	}
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, memfd, 0);
	if (at == MAP_FAILED) {
		snprintf(in->why, sizeof(in->why), "the state cannot be mapped: %s",
			 strerror(errno));
		return PLUG_ESYS;
	}
	err = state_decode(at, (size_t)st.st_size, known, &in->arena, &in->saved, in->why,
			   sizeof(in->why));
	munmap(at, (size_t)st.st_size);
	return err;
}

static int
stand_in(void)
{
	AUTO_CLOSE int fd = memfd_create("plugd-stand-in", MFD_CLOEXEC);

	return fd < 0 || ftruncate(fd, STAND_IN_SIZE) < 0 ? -1 : steal_fd(&fd);
}

plug_err
state_in_init(struct state_in *in, int memfd, uint32_t known, bool dry)
{
	plug_err err;

	*in = (struct state_in){.stand_in = -1};
	arena_init(&in->arena, ROOM_BYTES);
	if (dry && (in->stand_in = stand_in()) < 0) {
		state_in_fail(in, "no descriptor for a dry run: %s", strerror(errno));
		return PLUG_ESYS;
	}
	err = decode_memfd(in, memfd, known);
	in->failed = err;
	return err;
}

void
state_in_fini(struct state_in *in)
{
	arena_fini(&in->arena);
	free(in->fds);
	in->fds = NULL;
	close_fd(&in->stand_in);
}

/* Names of a state are whatever its bytes say; a reason is one line of text. */
static void
make_line(char *text)
{
	utf8_clean(text, strlen(text));
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == '\177')
			*text = '?';
}

void
state_in_fail(struct state_in *in, const char *format, ...)
{
	va_list ap;

	if (in->failed)
		return;
	in->failed = true;
	va_start(ap, format);
	vsnprintf(in->why, sizeof(in->why), format, ap);
	va_end(ap);
	make_line(in->why);
}

/* ---- its parts ---- */

static int
take_fd(struct state_in *in, uint32_t saved)
{
	int fd = (int)(saved - 1), flags;

	if (in->stand_in >= 0)
		return fcntl(in->stand_in, F_DUPFD_CLOEXEC, 3);
	flags = fcntl(fd, F_GETFD);
	if (flags < 0)
		state_in_fail(in, "descriptor %d was not handed over", fd);
	return flags < 0 ? -1 : fd;
}

int
state_in_fd(struct state_in *in, uint32_t saved)
{
	int fd = saved ? take_fd(in, saved) : -1, *grown;

	if (fd < 0)
		return -1;
	grown = realloc(in->fds, (in->fd_count + 1) * sizeof(*grown));
	if (!grown) {
		state_in_fail(in, "out of memory");
		return -1;
	}
	in->fds = grown;
	in->fds[in->fd_count++] = fd;
	return fd;
}

unsigned
state_in_name(struct state_in *in, const char *what, const char *name, unsigned count,
	      const char *(*name_of)(unsigned value))
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(name_of(i), name))
			return i;
	state_in_fail(in, "%s \"%.40s\" is not known to this plugd", what, name);
	return 0;
}

int
state_in_index(struct state_in *in, const char *what, uint32_t saved, size_t count)
{
	if (saved <= count)
		return (int)saved - 1;
	state_in_fail(in, "%s number %u of %zu", what, saved, count);
	return -1;
}

void
state_in_copy(struct state_in *in, const char *what, void *to, size_t size,
	      const ProtobufCBinaryData *from)
{
	if (from->len == size)
		memcpy(to, from->data, size);
	else
		state_in_fail(in, "%s of %zu bytes instead of %zu", what, from->len, size);
}

void
state_in_commit(struct state_in *in)
{
	for (size_t i = 0; i < in->fd_count; i++)
		fcntl(in->fds[i], F_SETFD, FD_CLOEXEC);
	for (size_t i = 0; i < in->saved->n_fds; i++) {
		int fd = (int)in->saved->fds[i] - 1;

		if (fcntl(fd, F_GETFD) == 0) /* nobody took it */
			close(fd);
	}
}
