#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <nng/protocol/pair1/pair.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "channel.h"
#include "codec.h"

static const uint8_t the_token[PLUG_TOKEN_BYTES] = "0123456789abcde";
static const uint8_t the_nonce[PLUG_NONCE_BYTES] = "nonce-of-a-test";

/*
 * nng 1.5 hangs for good when a connection ends by a failing send while it is receiving.  libnng.so
 * binds to this sendmsg(): it reports a message to a lost connection as sent, so that only the
 * receive side ever notices the end.
 */
__attribute__((visibility("default"))) ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t sent = syscall(SYS_sendmsg, fd, message, flags);

	if (sent >= 0 || (errno != EPIPE && errno != ECONNRESET))
		return sent;
	sent = 0;
	for (size_t i = 0; i < message->msg_iovlen; i++)
		sent += (ssize_t)message->msg_iov[i].iov_len;
	return sent;
}

uint64_t
peer_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
ok(int rv, const char *what)
{
	if (rv != 0)
		fail_msg("%s: %s", what, nng_strerror(rv));
}

static void
listen_at(struct peer *peer)
{
	snprintf(peer->dir, sizeof(peer->dir), "/tmp/plug-test-XXXXXX");
	assert_non_null(mkdtemp(peer->dir));
	snprintf(peer->url, sizeof(peer->url), "ipc://%s/s", peer->dir);
	ok(nng_pair1_open(&peer->socket), "open");
	ok(nng_socket_set_size(peer->socket, NNG_OPT_RECVMAXSZ, PLUG_RECV_BYTES), "size");
	ok(nng_socket_set_int(peer->socket, NNG_OPT_RECVBUF, 1024), "buffer"); /* as libplug's */
	ok(nng_socket_set_ms(peer->socket, NNG_OPT_SENDTIMEO, PEER_WAIT_MS), "send timeout");
	ok(nng_listen(peer->socket, peer->url, &peer->listener, 0), "listen");
}

/* The thread sanitizer sleeps a second before it lets a process end, which tests would measure. */
static void
end_at_once(void)
{
	const char *given = getenv("TSAN_OPTIONS");
	char options[512];

	snprintf(options, sizeof(options), "%s:atexit_sleep_ms=0", given ? given : "");
	setenv("TSAN_OPTIONS", options, 1);
}

static void
exec_child(struct peer *peer, char *const argv[], const char *extra, int broker_fd)
{
	char token[2 * PLUG_TOKEN_BYTES + 1], number[16], fd[16], broker[16];

	plug_hex_encode(peer->token, PLUG_TOKEN_BYTES, token);
	snprintf(number, sizeof(number), "%u", peer->generation);
	snprintf(fd, sizeof(fd), "%d", peer->vitals_fd);
	setenv(PLUG_ENV_ADDRESS, peer->url, 1);
	setenv(PLUG_ENV_TOKEN, token, 1);
	setenv(PLUG_ENV_NAME, "test", 1);
	setenv(PLUG_ENV_INSTANCE, "test", 1);
	setenv(PLUG_ENV_GENERATION, number, 1);
	setenv(PLUG_ENV_VITALS_FD, fd, 1);
	snprintf(broker, sizeof(broker), "%d", broker_fd);
	if (!peer->no_broker)
		setenv(PLUG_ENV_BROKER_FD, broker, 1);
	end_at_once();
	if (extra)
		putenv((char *)extra);
	fcntl(broker_fd, F_SETFD, 0);
	fcntl(peer->vitals_fd, F_SETFD, 0);
	dup2(peer->stderr_fd, STDERR_FILENO);
	execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

void
peer_start(struct peer *peer, char *const argv[], const char *extra)
{
	int ends[2];

	peer->sent_tail = &peer->sent;
	peer->in_tail = &peer->inbox;
	peer->generation = 7;
	memcpy(peer->token, the_token, sizeof(the_token));
	memcpy(peer->nonce, the_nonce, sizeof(the_nonce));
	listen_at(peer);
	peer->vitals_fd = memfd_create("vitals", MFD_CLOEXEC);
	peer->stderr_fd = memfd_create("stderr", MFD_CLOEXEC);
	assert_true(peer->vitals_fd >= 0 && peer->stderr_fd >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	peer->broker_fd = ends[0];
	assert_int_equal(ftruncate(peer->vitals_fd, PLUG_VITALS_BYTES), 0);
	peer->pid = fork();
	assert_true(peer->pid >= 0);
	if (peer->pid == 0)
		exec_child(peer, argv, extra, ends[1]);
	close(ends[1]);
}

const char *
peer_stderr(struct peer *peer)
{
	static char text[1 << 20];
	ssize_t n = pread(peer->stderr_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static bool
is_clean(struct peer *peer)
{
	const char *text = peer_stderr(peer);

	if (!strstr(text, "Sanitizer") && !strstr(text, "runtime error"))
		return true;
	fputs(text, stderr);
	return false;
}

/* False when it ended before without a test having waited for that. */
static bool
end_child(struct peer *peer)
{
	int status;

	if (peer->pid <= 0)
		return true;
	if (waitpid(peer->pid, &status, WNOHANG) == peer->pid) {
		fprintf(stderr, "the plugin ended by itself, wait status %#x; it said:\n%s\n",
			(unsigned)status, peer_stderr(peer));
		return false;
	}
	kill(peer->pid, SIGKILL);
	waitpid(peer->pid, NULL, 0);
	return true;
}

void
peer_end(struct peer *peer)
{
	struct peer_message *message;
	struct peer_sent *sent;
	bool clean;

	clean = end_child(peer) && is_clean(peer);
	nng_close(peer->socket);
	close(peer->vitals_fd);
	close(peer->stderr_fd);
	close(peer->broker_fd);
	for (int i = 0; i < 16; i++)
		plug_envelope_free(peer->broker_kept[i]);
	rmdir(peer->dir);
	while ((message = peer->inbox) != NULL) {
		peer->inbox = message->next;
		plug_envelope_free(message->env);
		free(message);
	}
	while ((sent = peer->sent) != NULL) {
		peer->sent = sent->next;
		free(sent);
	}
	plug_envelope_free(peer->hello);
	memset(peer, 0, sizeof(*peer));
	assert_true(clean);
}

/* ---- sending ---- */

static void
transmit(struct peer *peer, const void *bytes, size_t size)
{
	nng_msg *msg;

	ok(nng_msg_alloc(&msg, size), "message");
	memcpy(nng_msg_body(msg), bytes, size);
	ok(nng_sendmsg(peer->socket, msg, 0), "send");
}

static void
finish(struct peer *peer, Plug__Envelope *env, uint64_t seq)
{
	env->generation = peer->generation;
	env->seq = seq;
	env->ack = peer->no_ack ? 0 : peer->received;
}

void
peer_send(struct peer *peer, Plug__Envelope *env)
{
	struct peer_sent *sent;

	finish(peer, env, ++peer->seq);
	sent = malloc(sizeof(*sent) + plug_envelope_size(env));
	assert_non_null(sent);
	sent->next = NULL;
	sent->seq = env->seq;
	assert_int_equal(plug_envelope_pack(env, sent->bytes, PLUG_MESSAGE_BYTES, &sent->size), 0);
	*peer->sent_tail = sent;
	peer->sent_tail = &sent->next;
	if (peer->welcomed)
		transmit(peer, sent->bytes, sent->size);
}

void
peer_send_now(struct peer *peer, Plug__Envelope *env)
{
	uint8_t bytes[PLUG_MESSAGE_BYTES];
	size_t size;

	finish(peer, env, 0);
	assert_int_equal(plug_envelope_pack(env, bytes, sizeof(bytes), &size), 0);
	transmit(peer, bytes, size);
}

static void
acknowledged(struct peer *peer, uint64_t ack)
{
	struct peer_sent *sent;

	assert_true(ack <= peer->seq);
	while ((sent = peer->sent) != NULL && sent->seq <= ack) {
		peer->sent = sent->next;
		free(sent);
	}
	if (!peer->sent)
		peer->sent_tail = &peer->sent;
}

void
peer_send_raw(struct peer *peer, const void *bytes, size_t size)
{
	transmit(peer, bytes, size);
}

void
peer_say_welcome(struct peer *peer, Plug__Welcome *msg)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.body_case = PLUG__ENVELOPE__BODY_WELCOME;
	env.welcome = msg;
	peer_send_now(peer, &env);
	peer->welcomed = true;
}

static void
welcome(struct peer *peer)
{
	Plug__Welcome msg = PLUG__WELCOME__INIT;

	msg.protocol = PLUG_PROTOCOL_MAX;
	msg.instance = (char *)"test";
	msg.generation = peer->generation;
	msg.nonce = (ProtobufCBinaryData){sizeof(peer->nonce), peer->nonce};
	msg.received = peer->received;
	msg.plugd = (char *)"test";
	msg.config = peer->config;
	msg.n_config = peer->n_config;
	if (peer->limits.base.descriptor)
		msg.limits = &peer->limits;
	peer_say_welcome(peer, &msg);
}

/* ---- receiving ---- */

static void
greet(struct peer *peer, const Plug__Hello *hello)
{
	assert_int_equal(hello->token.len, PLUG_TOKEN_BYTES);
	assert_memory_equal(hello->token.data, peer->token, PLUG_TOKEN_BYTES);
	if (!hello->resume) {
		assert_int_equal(peer->resumes, 0);
		assert_int_equal(peer->received, 0);
		return;
	}
	peer->resumes++;
	assert_int_equal(hello->resume->generation, peer->generation);
	assert_int_equal(hello->resume->nonce.len, PLUG_NONCE_BYTES);
	assert_memory_equal(hello->resume->nonce.data, peer->nonce, PLUG_NONCE_BYTES);
	acknowledged(peer, hello->resume->received);
	welcome(peer);
	for (struct peer_sent *sent = peer->sent; sent; sent = sent->next)
		transmit(peer, sent->bytes, sent->size);
}

/* True when the message is to be kept for peer_poll(). */
static bool
take(struct peer *peer, nng_pipe pipe, Plug__Envelope *env)
{
	bool hello = env->body_case == PLUG__ENVELOPE__BODY_HELLO;

	if (hello) {
		peer->pipe = pipe;
		greet(peer, env->hello);
		return env->hello->resume == NULL;
	}
	if (nng_pipe_id(pipe) == peer->cut_id)
		return false; /* was on its way when the connection was cut */
	assert_int_equal(nng_pipe_id(pipe), nng_pipe_id(peer->pipe)); /* HELLO comes first … */
	assert_true(peer->welcomed);                                  /* … and then WELCOME */
	assert_int_equal(env->generation, peer->generation);
	acknowledged(peer, env->ack);
	if (env->seq == 0) {
		peer->acks += env->body_case == PLUG__ENVELOPE__BODY_ONLY_ACK;
		return env->body_case == PLUG__ENVELOPE__BODY_PONG;
	}
	if (env->seq <= peer->received) {
		peer->duplicates++;
		return false;
	}
	assert_int_equal(env->seq, peer->received + 1);
	peer->received = env->seq;
	return true;
}

static bool
receive(struct peer *peer, int timeout_ms)
{
	struct peer_message *message;
	Plug__Envelope *env;
	nng_msg *msg;
	size_t size;
	int rv;

	nng_socket_set_ms(peer->socket, NNG_OPT_RECVTIMEO, timeout_ms);
	rv = nng_recvmsg(peer->socket, &msg, 0);
	if (rv == NNG_ETIMEDOUT)
		return false;
	ok(rv, "receive");
	size = nng_msg_len(msg);
	assert_int_equal(plug_envelope_unpack(nng_msg_body(msg), size, &env), PLUG_OK);
	if (take(peer, nng_msg_get_pipe(msg), env)) {
		message = calloc(1, sizeof(*message));
		assert_non_null(message);
		message->env = env;
		message->size = size;
		*peer->in_tail = message;
		peer->in_tail = &message->next;
	} else {
		plug_envelope_free(env);
	}
	nng_msg_free(msg);
	return true;
}

static Plug__Envelope *
pick(struct peer *peer, int body, uint64_t id)
{
	struct peer_message **at = &peer->inbox, *message;
	Plug__Envelope *env;

	while ((message = *at) != NULL &&
	       ((body && (int)message->env->body_case != body) || (id && message->env->id != id)))
		at = &message->next;
	if (!message)
		return NULL;
	*at = message->next;
	if (!*at)
		peer->in_tail = at;
	env = message->env;
	free(message);
	return env;
}

Plug__Envelope *
peer_poll(struct peer *peer, int body, uint64_t id, int timeout_ms)
{
	uint64_t until = peer_now_ms() + (uint64_t)timeout_ms, now;
	Plug__Envelope *env;

	while ((env = pick(peer, body, id)) == NULL) {
		now = peer_now_ms();
		if (!receive(peer, now < until ? (int)(until - now) : 0) && now >= until)
			return NULL;
	}
	return env;
}

Plug__Envelope *
peer_expect(struct peer *peer, int body, uint64_t id)
{
	Plug__Envelope *env = peer_poll(peer, body, id, PEER_WAIT_MS);

	if (!env)
		fail_msg("no message with body %d and id %llu within %d ms", body,
			 (unsigned long long)id, PEER_WAIT_MS);
	return env;
}

void
peer_handshake(struct peer *peer)
{
	peer->hello = peer_expect(peer, PLUG__ENVELOPE__BODY_HELLO, 0);
	welcome(peer);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_READY, 0));
}

/* The descriptor of the connection that was accepted at our path; -1: none. */
static int
find_connection(const struct peer *peer)
{
	const char *path = peer->url + strlen("ipc://");

	for (int fd = 3; fd < 1024; fd++) {
		struct sockaddr_un name = {.sun_family = AF_UNSPEC};
		socklen_t size = sizeof(name), flag_size = sizeof(int);
		int listens = 1;

		if (getsockname(fd, (struct sockaddr *)&name, &size) == 0 &&
		    name.sun_family == AF_UNIX && strcmp(name.sun_path, path) == 0 &&
		    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_size) == 0 &&
		    !listens && getpeername(fd, (struct sockaddr *)&name, &size) == 0)
			return fd;
	}
	return -1;
}

/* Not nng_pipe_close(): in nng 1.5 that can hang on a connection that is receiving. */
void
peer_cut(struct peer *peer)
{
	int fd;

	if (!peer->welcomed)
		return; /* is cut already */
	peer->welcomed = false;
	peer->cut_id = nng_pipe_id(peer->pipe);
	fd = find_connection(peer);
	assert_true(fd >= 0);
	assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
}

int
peer_wait(struct peer *peer, int timeout_ms)
{
	int pidfd = (int)syscall(SYS_pidfd_open, peer->pid, 0), status = 0;
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};

	assert_true(pidfd >= 0);
	if (poll(&pfd, 1, timeout_ms) != 1)
		fail_msg("the plugin did not end within %d ms", timeout_ms);
	close(pidfd);
	assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
	peer->pid = 0;
	return status;
}

struct plug_vitals
peer_vitals(const struct peer *peer)
{
	struct plug_vitals vitals;

	assert_int_equal(pread(peer->vitals_fd, &vitals, sizeof(vitals), 0), sizeof(vitals));
	return vitals;
}
