#include "wire_support.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

const uint8_t wire_greeting[WIRE_GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x11, 0, 0};
char wire_path[108];
struct ev_loop *wire_loop;

static char directory[64];

int
wire_setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/plugd-wire-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(wire_path, sizeof(wire_path), "%s/s", directory);
	wire_loop = ev_loop_new(EVFLAG_AUTO);
	return wire_loop ? 0 : -1;
}

/* The socket must be gone: otherwise the directory is not empty, and this fails. */
int
wire_teardown(void **state)
{
	(void)state;
	ev_loop_destroy(wire_loop);
	return rmdir(directory);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	*(bool *)w->data = true;
	ev_break(loop, EVBREAK_ONE);
}

void
wire_run_until(bool (*done)(void *context), void *context)
{
	ev_timer deadline;
	bool late = false;

	ev_timer_init(&deadline, on_deadline, 20., 0.);
	deadline.data = &late;
	ev_timer_start(wire_loop, &deadline);
	while (!done(context) && !late)
		ev_run(wire_loop, EVRUN_ONCE);
	ev_timer_stop(wire_loop, &deadline);
	if (late)
		fail_msg("it did not happen within 20 s");
}

void
wire_run_pending(void)
{
	for (int i = 0; i < 20; i++)
		ev_run(wire_loop, EVRUN_NOWAIT);
}

int
wire_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

int
wire_dial(int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, wire_path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void
on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	*(bool *)w->data = true;
}

static bool
is_set(void *context)
{
	return *(bool *)context;
}

/* Run the loop until `fd` can be read or written. */
static void
wait_for(int fd, int events)
{
	bool ready = false;
	ev_io w;

	ev_io_init(&w, on_ready, fd, events);
	w.data = &ready;
	ev_io_start(wire_loop, &w);
	wire_run_until(is_set, &ready);
	ev_io_stop(wire_loop, &w);
}

void
wire_wait_readable(int fd)
{
	wait_for(fd, EV_READ);
}

void
wire_send(int fd, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size) {
		ssize_t sent = send(fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0) {
			assert_int_equal(errno, EAGAIN);
			wait_for(fd, EV_WRITE);
			continue;
		}
		at += sent;
		size -= (size_t)sent;
	}
}

size_t
wire_frame(const void *body, size_t size, uint8_t *out)
{
	uint64_t length = size + 4;

	memset(out, 0, WIRE_HEAD_BYTES);
	out[0] = 1;
	for (int i = 0; i < 8; i++)
		out[1 + i] = (uint8_t)(length >> (56 - 8 * i));
	out[12] = 1;
	if (size)
		memcpy(out + WIRE_HEAD_BYTES, body, size);
	return size + WIRE_HEAD_BYTES;
}

void
wire_expect(int fd, void *bytes, size_t size)
{
	uint8_t *at = bytes;

	while (size) {
		ssize_t got = recv(fd, at, size, MSG_DONTWAIT);

		if (got == 0)
			fail_msg("the connection ended; %zu more bytes were expected", size);
		if (got < 0) {
			assert_int_equal(errno, EAGAIN);
			wait_for(fd, EV_READ);
			continue;
		}
		at += got;
		size -= (size_t)got;
	}
}

void
wire_expect_greeting(int fd)
{
	uint8_t bytes[WIRE_GREETING_BYTES];

	wire_expect(fd, bytes, sizeof(bytes));
	assert_memory_equal(bytes, wire_greeting, sizeof(bytes));
}

void
wire_expect_end(int fd)
{
	uint8_t byte;
	ssize_t got;

	wait_for(fd, EV_READ);
	got = recv(fd, &byte, 1, MSG_DONTWAIT);
	assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
}

void
wire_expect_silence(int fd)
{
	uint8_t byte;

	wire_run_pending();
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}
