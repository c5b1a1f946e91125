#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"

const uint8_t peer_greeting[PEER_GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x11, 0, 0};

void
peer_init(struct peer *peer)
{
	peer->fd = -1;
	peer->greeted = false;
	peer->heard_size = 0;
}

void
peer_hang_up(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer_init(peer);
}

void
peer_dial(struct peer *peer, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	peer_hang_up(peer);
	CHECK(strlen(path) < sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(peer->fd >= 0);
	if (connect(peer->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		peer_hang_up(peer); /* many that nobody has accepted */
}

void
peer_put(struct peer *peer, const void *bytes, size_t size)
{
	if (peer->fd < 0 || !size)
		return;
	if (send(peer->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		CHECK(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
}

void
peer_put_frame(struct peer *peer, const void *body, size_t size)
{
	static uint8_t frame[PEER_HEAD_BYTES + PLUG_MESSAGE_BYTES];
	uint64_t length = size + 4;

	CHECK(size <= PLUG_MESSAGE_BYTES);
	memset(frame, 0, PEER_HEAD_BYTES);
	frame[0] = 1;
	for (int i = 0; i < 8; i++)
		frame[1 + i] = (uint8_t)(length >> (56 - 8 * i));
	frame[PEER_HEAD_BYTES - 1] = 1;
	memcpy(frame + PEER_HEAD_BYTES, body, size);
	peer_put(peer, frame, PEER_HEAD_BYTES + size);
}

void
peer_put_envelope(struct peer *peer, const Plug__Envelope *env)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	size_t size;

	if (plug_envelope_pack(env, bytes, sizeof(bytes), &size) == PLUG_OK)
		peer_put_frame(peer, bytes, size);
}

static void
take_frames(struct peer *peer, void (*on_message)(void *user, const Plug__Envelope *env),
	    void *user)
{
	size_t at = 0;

	if (!peer->greeted && peer->heard_size >= PEER_GREETING_BYTES) {
		CHECK(!memcmp(peer->heard, peer_greeting, PEER_GREETING_BYTES));
		peer->greeted = true;
		at = PEER_GREETING_BYTES;
	}
	while (peer->greeted && peer->heard_size - at >= PEER_HEAD_BYTES) {
		const uint8_t *head = peer->heard + at;
		size_t length = (size_t)head[6] << 16 | (size_t)head[7] << 8 | head[8];
		Plug__Envelope *env = NULL;

		CHECK(head[0] == 1 && length >= 4 && length <= PLUG_MESSAGE_BYTES + 4);
		if (peer->heard_size - at < PEER_HEAD_BYTES - 4 + length)
			break;
		CHECK(plug_envelope_unpack(head + PEER_HEAD_BYTES, length - 4, &env) == PLUG_OK);
		on_message(user, env);
		plug_envelope_free(env);
		at += PEER_HEAD_BYTES - 4 + length;
	}
	memmove(peer->heard, peer->heard + at, peer->heard_size - at);
	peer->heard_size -= at;
}

void
peer_listen(struct peer *peer, void (*on_message)(void *user, const Plug__Envelope *env),
	    void *user)
{
	ssize_t size;

	while (peer->fd >= 0 &&
	       (size = recv(peer->fd, peer->heard + peer->heard_size,
			    sizeof(peer->heard) - peer->heard_size, MSG_DONTWAIT)) > 0) {
		peer->heard_size += (size_t)size;
		take_frames(peer, on_message, user);
	}
}

int
peer_free_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	close(fd);
	return fd;
}
