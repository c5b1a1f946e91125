/* What the tests of the link share: every file has its own copy. */
#ifndef LINK_FIXTURE_H
#define LINK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/link.h"
#include "wire_support.h"

/* Not every file needs all of it. */
#define FIXTURE   static __attribute__((unused))

#define MAX_BYTES (256u * 1024)
#define HEARD_MAX 64

/* What the link said. */
FIXTURE struct {
	struct link *link;
	unsigned frames, lost, writable, garbage;
	unsigned frames_at_loss;
	uint64_t connection_at_frame, connection_at_loss;
	char what[128];
	uint8_t *bodies[HEARD_MAX];
	size_t sizes[HEARD_MAX];
	bool mute_at_frame;
	int fd; /* the far end */
} heard;

FIXTURE bool
on_frame(void *user, const uint8_t *body, size_t size)
{
	assert_ptr_equal(user, &heard);
	assert_true(heard.frames < HEARD_MAX);
	heard.bodies[heard.frames] = malloc(size ? size : 1);
	memcpy(heard.bodies[heard.frames], body, size);
	heard.sizes[heard.frames++] = size;
	heard.connection_at_frame = link_connection(heard.link);
	if (heard.mute_at_frame)
		link_mute(heard.link);
	return true;
}

FIXTURE void
on_lost(void *user)
{
	assert_ptr_equal(user, &heard);
	heard.lost++;
	heard.frames_at_loss = heard.frames;
	heard.connection_at_loss = link_connection(heard.link);
}

FIXTURE void
on_writable(void *user)
{
	assert_ptr_equal(user, &heard);
	heard.writable++;
}

FIXTURE void
on_garbage(void *user, const char *what)
{
	assert_ptr_equal(user, &heard);
	assert_int_equal(heard.lost, 0); /* on_lost follows */
	heard.garbage++;
	snprintf(heard.what, sizeof(heard.what), "%s", what);
}

FIXTURE const struct link_ops ops = {on_frame, on_lost, on_writable, on_garbage};

FIXTURE void
forget_heard(void)
{
	struct link *link = heard.link;

	for (unsigned i = 0; i < heard.frames; i++)
		free(heard.bodies[i]);
	memset(&heard, 0, sizeof(heard));
	heard.link = link;
	heard.fd = -1;
}

FIXTURE int
setup(void **state)
{
	struct link_config config = {.max_bytes = MAX_BYTES, .ops = &ops, .user = &heard};

	if (wire_setup(state))
		return -1;
	heard.link = NULL;
	forget_heard();
	config.loop = wire_loop;
	config.path = wire_path;
	return link_open(&config, &heard.link);
}

FIXTURE int
teardown(void **state)
{
	link_close(heard.link);
	heard.link = NULL;
	if (heard.fd >= 0)
		close(heard.fd);
	forget_heard();
	return wire_teardown(state);
}

FIXTURE bool
was_lost(void *context)
{
	(void)context;
	return heard.lost > 0;
}

FIXTURE bool
heard_frames(void *context)
{
	return heard.frames >= *(unsigned *)context;
}

FIXTURE void
run_until_frames(unsigned count)
{
	wire_run_until(heard_frames, &count);
}

FIXTURE int
dial_and_greet(void)
{
	int fd = wire_dial(SOCK_STREAM);

	wire_send(fd, wire_greeting, sizeof(wire_greeting));
	wire_expect_greeting(fd);
	wire_run_pending();
	return fd;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
