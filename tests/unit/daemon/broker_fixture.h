/* What the tests of the broker share: every file has its own copy. */
#ifndef BROKER_FIXTURE_H
#define BROKER_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/broker.h"
#include "trace.h"
#include "wire.h"
#include "wire_support.h"

#define GENERATION 7

static struct {
	struct broker broker;
	int theirs, before;
	unsigned messages, violations;
	size_t trace_bytes;
	int last_fd;
	char reason[128];
} t;

static void
on_message(void *user, const Plug__Envelope *env, int fd)
{
	(void)user;
	(void)env;
	t.messages++;
	t.last_fd = fd;
}

static void
on_violation(void *user, plug_err err, const char *reason)
{
	(void)user;
	assert_int_equal(err, PLUG_EPROTO);
	t.violations++;
	strncpy(t.reason, reason, sizeof(t.reason) - 1);
}

static void
on_dying(void *user, int signal)
{
	(void)user;
	fail_msg("signal %d: no process says that here", signal);
}

static void
on_trace(void *user, const void *bytes, size_t size)
{
	const uint64_t magic = PLUG_TRACE_MAGIC;

	(void)user;
	assert_memory_equal(bytes, &magic, sizeof(magic));
	t.trace_bytes += size;
}

static const struct broker_ops ops = {.on_message = on_message,
				      .on_dying = on_dying,
				      .on_trace = on_trace,
				      .on_violation = on_violation};

static int
setup(void **state)
{
	if (wire_setup(state))
		return -1;
	memset(&t, 0, sizeof(t));
	t.before = wire_count_fds();
	broker_init(&t.broker, GENERATION, &ops, NULL);
	if (broker_open(&t.broker, wire_loop))
		return -1;
	t.theirs = fcntl(t.broker.child_fd, F_DUPFD_CLOEXEC, 0);
	broker_close_child(&t.broker);
	return 0;
}

static int
teardown(void **state)
{
	broker_fini(&t.broker);
	broker_fini(&t.broker); /* what is closed may be closed again */
	if (t.theirs >= 0)
		close(t.theirs);
	assert_int_equal(wire_count_fds(), t.before);
	return wire_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
