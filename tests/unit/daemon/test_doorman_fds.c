/* Descriptors with messages: which may come, and that none stays, whatever happens. */
#include "doorman_fixture.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "ipc/client_queue.h"
#include "ipc/packet.h"

#define MOST_FDS 253

/* ---- the client's end ---- */

static void
send_with(int sock, const void *bytes, size_t size, const int *fds, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST_FDS * sizeof(int))] = {0};
	struct iovec part = {(void *)(uintptr_t)bytes, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
	struct cmsghdr *head;

	message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	assert_int_equal(sendmsg(sock, &message, MSG_NOSIGNAL), size);
}

/* The Envelope of one kind, with so many copies of `fd`. */
static void
say_with(int sock, bool request, int fd, size_t count)
{
	Plug__ChannelRequest body = PLUG__CHANNEL_REQUEST__INIT;
	Plug__Cancel cancel = PLUG__CANCEL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	uint8_t bytes[256];
	int fds[MOST_FDS];
	size_t size = 0;

	env.id = 1;
	env.body_case =
		request ? PLUG__ENVELOPE__BODY_CHANNEL_REQUEST : PLUG__ENVELOPE__BODY_CANCEL;
	if (request)
		env.channel_request = &body;
	else
		env.cancel = &cancel;
	assert_int_equal(plug_envelope_pack(&env, bytes, sizeof(bytes), &size), PLUG_OK);
	for (size_t i = 0; i < count; i++)
		fds[i] = fd;
	send_with(sock, bytes, size, fds, count);
}

static int
new_memfd(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool
same_file(int a, int b)
{
	struct stat of_a, of_b;

	assert_int_equal(fstat(a, &of_a), 0);
	assert_int_equal(fstat(b, &of_b), 0);
	return of_a.st_ino == of_b.st_ino && of_a.st_dev == of_b.st_dev;
}

/* ---- coming in ---- */

static void
test_a_request_brings_one(void **state)
{
	int sock = come_in(), fd = new_memfd(), before = wire_count_fds();

	(void)state;
	say_with(sock, true, fd, 1);
	wire_run_until(has_message, NULL);
	assert_true(t.given_fd >= 0);
	assert_true(same_file(t.given_fd, fd));
	assert_int_equal(t.last->given_fd, -1); /* for the callback only */
	close(t.given_fd);
	assert_int_equal(wire_count_fds(), before);
	close(fd);
	close(sock);
}

static void
test_what_does_not_belong(void **state)
{
	static const struct {
		bool request;
		size_t count;
	} cases[] = {{true, 2}, {true, MOST_FDS}, {false, 1}, {false, 2}, {false, MOST_FDS}};
	int fd = new_memfd(), before = wire_count_fds();

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int sock = come_in();

		say_with(sock, cases[i].request, fd, cases[i].count);
		wire_expect_end(sock);
		close(sock);
		run_until_gone(i + 1);
		assert_int_equal(wire_count_fds(), before);
	}
	assert_int_equal(t.messages, 0);
	close(fd);
}

static void
test_before_the_greeting_and_with_garbage(void **state)
{
	int fd = new_memfd(), before = wire_count_fds(), fds[MOST_FDS];

	(void)state;
	for (unsigned i = 0; i < MOST_FDS; i++)
		fds[i] = fd;
	for (unsigned i = 0; i < 3; i++) {
		int sock = i == 2 ? come_in() : wire_dial(SOCK_SEQPACKET);

		if (i == 0)
			say_with(sock, true, fd, 1);
		else
			send_with(sock, "garbage", 7, fds, i == 1 ? 1 : MOST_FDS);
		wire_expect_end(sock);
		close(sock);
		run_until_gone(i + 1);
		assert_int_equal(wire_count_fds(), before);
	}
	close(fd);
}

/* What lies unread in the socket of a client that is sent away is closed with it. */
static void
test_what_was_not_read(void **state)
{
	int fd = new_memfd(), before = wire_count_fds();
	int sock = come_in();

	(void)state;
	say_with(sock, false, fd, 1);
	for (unsigned i = 0; i < 20; i++)
		say_with(sock, true, fd, 8);
	wire_expect_end(sock);
	close(sock);
	run_until_gone(1);
	assert_int_equal(wire_count_fds(), before);
	close(fd);
}

/* With no descriptor free the request arrives all the same, without one. */
static void
test_no_room_for_one(void **state)
{
	int sock = come_in(), fd = new_memfd(), fillers[64], count = 0;
	struct rlimit old, low;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (count < 64 && (fillers[count] = dup(fd)) >= 0)
		count++;
	assert_true(count < 64);
	t.given_fd = 0;
	say_with(sock, true, fd, 1);
	wire_run_until(has_message, NULL);
	assert_int_equal(t.given_fd, -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	while (count)
		close(fillers[--count]);
	close(fd);
	close(sock);
}

/* ---- a close that would wait ---- */

static int
tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

/* A connection whose other end never reads, with more to send than fits, told to linger. */
static int
lingering_socket(int *ret_listener)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 60};
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	char bytes[65536] = {0};
	int fd = tcp();

	*ret_listener = tcp();
	assert_int_equal(bind(*ret_listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(*ret_listener, 1), 0);
	assert_int_equal(getsockname(*ret_listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	return fd;
}

static void
test_a_lingering_socket_does_not_hold_plugd(void **state)
{
	static const size_t counts[] = {1, 2};

	(void)state;
	for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		int sock = come_in(), listener, fd = lingering_socket(&listener);
		double since;

		t.messages = 0;
		say_with(sock, counts[i] == 1, fd, counts[i]);
		close(fd); /* plugd has the last one */
		ev_now_update(wire_loop);
		since = ev_now(wire_loop);
		t.keep_nothing = true;
		if (counts[i] == 1)
			wire_run_until(has_message, NULL);
		else
			wire_expect_end(sock);
		ev_now_update(wire_loop);
		assert_true(ev_now(wire_loop) - since < 10.);
		close(listener);
		close(sock);
	}
}

/* ---- going out ---- */

static plug_err
grant(const int *fds, size_t count)
{
	static uint8_t bytes[16384];
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	chunk.data.data = bytes;
	chunk.data.len = sizeof(bytes);
	env.id = 1;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	return client_send_fds(t.last, &env, fds, count);
}

/* All descriptors that came with the next message. */
static size_t
hear_fds(int sock, int *fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MOST_FDS * sizeof(int))];
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	struct iovec part = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *head;
	size_t count;

	wire_wait_readable(sock);
	assert_true(recvmsg(sock, &message, MSG_DONTWAIT) > 0);
	head = CMSG_FIRSTHDR(&message);
	if (!head)
		return 0;
	count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(head), count * sizeof(int));
	return count;
}

/* At once while the socket has room; then the queue keeps copies, so the sender may close his. */
static void
test_sent_and_queued(void **state)
{
	int sock = come_in_and_say(), before = wire_count_fds(), got[MOST_FDS];
	unsigned count = 0;

	(void)state;
	while (count < 1000 && t.last->queued_fds < 9) {
		int fds[] = {new_memfd(), new_memfd(), new_memfd()};

		assert_int_equal(grant(fds, 3), PLUG_OK);
		for (unsigned i = 0; i < 3; i++)
			close(fds[i]);
		count++;
	}
	assert_true(count < 1000);
	assert_int_equal(wire_count_fds(), before + 9);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(hear_fds(sock, got), 3);
		assert_false(same_file(got[0], got[1]));
		for (unsigned f = 0; f < 3; f++)
			close(got[f]);
	}
	wire_run_pending();
	assert_int_equal(t.last->queued_fds, 0);
	assert_int_equal(client_queued_bytes(t.last), 0);
	assert_int_equal(wire_count_fds(), before);
	close(sock);
}

static void
test_too_many_wait(void **state)
{
	int sock = come_in_and_say(), fd = new_memfd(), before = wire_count_fds();
	const int fds[] = {fd, fd, fd};
	plug_err err = PLUG_OK;
	size_t most = 0;

	(void)state;
	for (unsigned i = 0; !err && i < 1000; i++) {
		most = t.last->queued_fds;
		err = grant(fds, 3);
	}
	assert_int_equal(err, PLUG_EOVERLOADED);
	assert_int_equal(most, CLIENT_QUEUE_FDS);
	run_until_gone(1);
	assert_int_equal(wire_count_fds(), before - 1); /* the client's own, and no copy */
	close(sock);
	close(fd);
}

/* The client goes while descriptors wait for it. */
static void
test_gone_with_a_queue(void **state)
{
	int sock = come_in_and_say(), fd = new_memfd(), before = wire_count_fds();
	const int fds[] = {fd, fd, fd};

	(void)state;
	while (t.last->queued_fds < 12)
		assert_int_equal(grant(fds, 3), PLUG_OK);
	close(sock);
	run_until_gone(1);
	assert_int_equal(wire_count_fds(), before - 2);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_request_brings_one),
		TEST(test_what_does_not_belong),
		TEST(test_before_the_greeting_and_with_garbage),
		TEST(test_what_was_not_read),
		TEST(test_no_room_for_one),
		TEST(test_a_lingering_socket_does_not_hold_plugd),
		TEST(test_sent_and_queued),
		TEST(test_too_many_wait),
		TEST(test_gone_with_a_queue),
	};

	return cmocka_run_group_tests_name("doorman_fds", tests, NULL, NULL);
}
