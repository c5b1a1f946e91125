/* The wake socket: bytes, arenas, and what else a peer may send; no descriptor stays behind. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"

struct taken {
	unsigned calls;
	struct plug_wake_arena arena;
	int fd;
};

struct ends {
	int ours, theirs;
	int open_before;
	struct taken taken;
};

static int
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int
setup(void **state)
{
	struct ends *ends = calloc(1, sizeof(*ends));
	int fds[2];

	assert_non_null(ends);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	ends->ours = fds[0];
	ends->theirs = fds[1];
	ends->open_before = open_descriptors();
	ends->taken.fd = -1;
	*state = ends;
	return 0;
}

/* Every test ends with as many descriptors as it began with. */
static int
teardown(void **state)
{
	struct ends *ends = *state;

	if (ends->taken.fd >= 0)
		close(ends->taken.fd);
	assert_int_equal(open_descriptors(), ends->open_before);
	close(ends->ours);
	if (ends->theirs >= 0)
		close(ends->theirs);
	free(ends);
	return 0;
}

static void
on_arena(const struct plug_wake_arena *msg, int fd, void *user)
{
	struct taken *taken = user;

	if (taken->fd >= 0)
		close(taken->fd);
	taken->calls++;
	taken->arena = *msg;
	taken->fd = fd;
}

/* `count` descriptors of different files go with the message. */
static void
send_with(struct ends *ends, const void *data, size_t size, int count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)data, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[16];

	for (int i = 0; i < count; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	if (count > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, (size_t)count * sizeof(int));
	}
	assert_int_equal(sendmsg(ends->theirs, &msg, MSG_NOSIGNAL), size);
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

static void
send_bytes(struct ends *ends, const void *data, size_t size)
{
	send_with(ends, data, size, 0);
}

static plug_err
drain(struct ends *ends, unsigned *ret_count)
{
	return plugs_drain(ends->ours, 100, on_arena, &ends->taken, ret_count);
}

static const struct plug_wake_arena arena = {PLUG_WAKE_ARENA, 7, 1 << 20};

static void
test_wakes_are_counted(void **state)
{
	struct ends *ends = *state;
	unsigned count = 99;

	assert_int_equal(drain(ends, &count), PLUG_OK);
	assert_int_equal(count, 0);
	for (int i = 0; i < 3; i++)
		assert_true(plugs_wake(ends->theirs));
	assert_int_equal(drain(ends, &count), PLUG_OK);
	assert_int_equal(count, 3);
	assert_int_equal(drain(ends, NULL), PLUG_OK);
}

static void
test_limit(void **state)
{
	struct ends *ends = *state;
	unsigned count = 0;

	for (int i = 0; i < 5; i++)
		assert_true(plugs_wake(ends->theirs));
	assert_int_equal(plugs_drain(ends->ours, 2, NULL, NULL, &count), PLUG_OK);
	assert_int_equal(count, 2);
	assert_int_equal(plugs_drain(ends->ours, 0, NULL, NULL, &count), PLUG_OK);
	assert_int_equal(count, 0);
	assert_int_equal(drain(ends, &count), PLUG_OK);
	assert_int_equal(count, 3);
}

static void
test_waking_never_blocks(void **state)
{
	struct ends *ends = *state;
	unsigned sent = 0, count;

	for (; sent < 100000; sent++) /* more than any socket holds */
		assert_true(plugs_wake(ends->theirs));
	for (count = 1; count;)
		assert_int_equal(drain(ends, &count), PLUG_OK);
}

static void
test_the_end(void **state)
{
	struct ends *ends = *state;
	unsigned count = 0;

	assert_true(plugs_wake(ends->theirs));
	close(ends->theirs);
	ends->theirs = -1;
	ends->open_before--;
	assert_int_equal(drain(ends, &count), PLUG_EGONE);
	assert_int_equal(count, 1); /* what was sent before is not lost */
	assert_int_equal(drain(ends, &count), PLUG_EGONE);
	assert_false(plugs_wake(ends->ours));
}

static void
test_an_arena(void **state)
{
	struct ends *ends = *state;
	unsigned count = 0;

	assert_true(plugs_wake(ends->theirs));
	send_with(ends, &arena, sizeof(arena), 1);
	assert_true(plugs_wake(ends->theirs));
	assert_int_equal(drain(ends, &count), PLUG_OK);
	assert_int_equal(count, 3);
	assert_int_equal(ends->taken.calls, 1);
	assert_memory_equal(&ends->taken.arena, &arena, sizeof(arena));
	assert_true(fcntl(ends->taken.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(open_descriptors(), ends->open_before + 1);
}

static void
test_more_descriptors_than_one(void **state)
{
	struct ends *ends = *state;

	for (int count = 2; count <= 16; count++) {
		send_with(ends, &arena, sizeof(arena), count);
		assert_int_equal(drain(ends, NULL), PLUG_OK);
		assert_int_equal(open_descriptors(), ends->open_before + 1);
	}
	assert_int_equal(ends->taken.calls, 15);
}

/* When this process has no room for a descriptor nobody is accused. */
static void
test_no_place_for_the_descriptor(void **state)
{
	struct ends *ends = *state;
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	send_with(ends, &arena, sizeof(arena), 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(drain(ends, NULL), PLUG_OK);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(ends->taken.calls, 1);
	assert_int_equal(ends->taken.fd, -1);
	assert_int_equal(ends->taken.arena.arena, 7);
}

static void
test_messages_that_are_none_of_ours(void **state)
{
	static const struct {
		const char *label;
		struct plug_wake_arena msg;
		size_t size;
		int descriptors;
	} cases[] = {
		{"another byte", {2}, 1, 0},
		{"two bytes", {PLUG_WAKE_BYTE}, 2, 0},
		{"a wake byte with a descriptor", {PLUG_WAKE_BYTE}, 1, 1},
		{"an arena without a descriptor", {PLUG_WAKE_ARENA, 1, 4096}, sizeof(arena), 0},
		{"another kind", {3, 1, 4096}, sizeof(arena), 1},
		{"a short arena", {PLUG_WAKE_ARENA, 1, 4096}, sizeof(arena) - 1, 1},
		{"a short arena with many", {PLUG_WAKE_ARENA, 1, 4096}, 12, 16},
	};
	struct ends *ends = *state;
	uint8_t longer[sizeof(arena) + 1] = {PLUG_WAKE_ARENA}, large[4096] = {PLUG_WAKE_ARENA};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned count = 99;

		print_message("  %s\n", cases[i].label);
		send_with(ends, &cases[i].msg, cases[i].size, cases[i].descriptors);
		assert_true(plugs_wake(ends->theirs));
		assert_int_equal(drain(ends, &count), PLUG_EPROTO);
		assert_int_equal(count, 0);
		assert_int_equal(open_descriptors(), ends->open_before);
		assert_int_equal(drain(ends, &count), PLUG_OK); /* the wake byte */
	}
	send_with(ends, longer, sizeof(longer), 1);
	assert_int_equal(drain(ends, NULL), PLUG_EPROTO);
	send_bytes(ends, large, sizeof(large));
	assert_int_equal(drain(ends, NULL), PLUG_EPROTO);
	assert_int_equal(ends->taken.calls, 0);
}

static void
test_who_takes_no_arenas(void **state)
{
	struct ends *ends = *state;

	send_with(ends, &arena, sizeof(arena), 1);
	assert_int_equal(plugs_drain(ends->ours, 100, NULL, NULL, NULL), PLUG_EPROTO);
}

/* It cannot be told from the end; what came with it is closed. */
static void
test_an_empty_message(void **state)
{
	struct ends *ends = *state;

	send_with(ends, "", 0, 3);
	assert_int_equal(drain(ends, NULL), PLUG_EGONE);
}

#define DRAIN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DRAIN_TEST(test_wakes_are_counted),
		DRAIN_TEST(test_limit),
		DRAIN_TEST(test_waking_never_blocks),
		DRAIN_TEST(test_the_end),
		DRAIN_TEST(test_an_arena),
		DRAIN_TEST(test_more_descriptors_than_one),
		DRAIN_TEST(test_no_place_for_the_descriptor),
		DRAIN_TEST(test_messages_that_are_none_of_ours),
		DRAIN_TEST(test_who_takes_no_arenas),
		DRAIN_TEST(test_an_empty_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
