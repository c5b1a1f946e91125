/* How channels are opened, refused and left. */
#include <dirent.h>
#include <fcntl.h>
#include <plug/plugin.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caller.h"
#include "cases.h"

static int
start_probe(void **state)
{
	return start_plugin(state, PROBE_PLUGIN, NULL);
}

static void
expect_call(struct caller *caller, const char *method, const char *text, uint32_t outcome,
	    const char *answer)
{
	caller_expect(caller, caller_call_text(caller, method, text), outcome, answer);
}

static void
expect_closed(struct peer *peer, uint64_t number, bool violated, const char *reason)
{
	Plug__Envelope *env = caller_closed(peer, PEER_WAIT_MS);

	assert_non_null(env);
	assert_int_equal(env->channel_closed->channel, number);
	assert_int_equal(env->channel_closed->violated, violated);
	assert_string_equal(env->channel_closed->reason, reason);
	plug_envelope_free(env);
}

/* ---- opening ---- */

static void
test_hello_says_how_many_channels_there_may_be(void **state)
{
	struct peer *peer = *state;

	assert_int_equal(peer->hello->hello->channels, 64);
}

static void
test_without_a_broker_there_are_none(void **state)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char *argv[] = {(char *)PROBE_PLUGIN, NULL};

	peer->no_broker = true;
	peer_start(peer, argv, NULL);
	peer_handshake(peer);
	*state = peer;
	assert_int_equal(peer->hello->hello->channels, 0);
	call_text(peer, 1, "mirror", "x");
	assert_answer(peer, 1, PLUG_OK, "x");
}

static void
test_regions_have_the_size_that_is_offered(void **state)
{
	static const uint64_t sizes[] = {PLUG_REGION_BYTES_MIN, PLUG_REGION_BYTES, 1024 * 1024};
	struct caller caller;

	for (size_t i = 0; i < 3; i++) {
		caller_open(*state, &caller, sizes[i]);
		expect_call(&caller, "mirror", "x", PLUG_OK, "x");
		caller_close(&caller);
	}
}

static int
memfd(uint64_t bytes, bool sealed)
{
	int fd = plugs_memfd("test", bytes);

	assert_true(fd >= 0);
	if (sealed)
		assert_int_equal(plugs_seal(fd), 0);
	return fd;
}

static int
region(enum plug_region_side side, uint64_t bytes)
{
	struct plugs_region made;
	int fd;

	assert_int_equal(plugs_region_make(side, 0, bytes, &made, &fd), PLUG_OK);
	plugs_region_fini(&made);
	return fd;
}

static int
wake_end(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	close(ends[0]);
	return ends[1];
}

static void
assert_refused(struct peer *peer, int region_fd, uint64_t bytes, size_t fds_sent, uint32_t outcome,
	       const char *text)
{
	int fds[] = {region_fd, fds_sent == 2 ? wake_end() : -1}, got;
	Plug__Envelope *env = caller_offer(peer, ++peer->channels, bytes, fds, fds_sent, &got);

	assert_int_equal(got, -1);
	assert_int_equal(env->channel_answer->outcome, outcome);
	if (!strstr(env->channel_answer->message, text))
		fail_msg("\"%s\" lacks \"%s\"", env->channel_answer->message, text);
	plug_envelope_free(env);
}

static void
test_a_region_that_is_none_is_refused(void **state)
{
	const uint64_t size = PLUG_REGION_BYTES;
	struct caller caller;

	assert_refused(*state, memfd(size, false), size, 2, PLUG_EPROTO, "seals");
	assert_refused(*state, memfd(size, true), size, 2, PLUG_EPROTO, "begin like a region");
	assert_refused(*state, region(PLUG_SIDE_PLUGIN, size), size, 2, PLUG_EPROTO, "wrong side");
	assert_refused(*state, region(PLUG_SIDE_CALLER, size), 2 * size, 2, PLUG_EPROTO, "size");
	assert_refused(*state, region(PLUG_SIDE_CALLER, size), size + 1, 2, PLUG_EPROTO, "size");
	assert_refused(*state, open("/dev/null", O_RDWR), size, 2, PLUG_EPROTO, "memfd");
	assert_refused(*state, region(PLUG_SIDE_CALLER, size), size, 1, PLUG_EPROTO,
		       "two descriptors");
	assert_refused(*state, -1, size, 0, PLUG_EPROTO, "two descriptors");
	caller_open(*state, &caller, 0);
	expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	caller_close(&caller);
}

static void
test_a_message_that_is_no_offer_ends_the_plugin(void **state)
{
	struct peer *peer = *state;

	assert_int_equal(send(peer->broker_fd, "garbage", 7, 0), 7);
	assert_int_equal(peer_wait(peer, 5000), 1 << 8);
	assert_non_null(strstr(peer_stderr(peer), "on the broker socket that is no offer"));
}

static void
test_channels_are_limited(void **state)
{
	struct peer *peer = *state;
	struct caller callers[64];

	for (int i = 0; i < 64; i++)
		caller_open(peer, &callers[i], PLUG_REGION_BYTES_MIN);
	assert_refused(peer, region(PLUG_SIDE_CALLER, PLUG_REGION_BYTES_MIN), PLUG_REGION_BYTES_MIN,
		       2, PLUG_EOVERLOADED, "as many channels as it can");
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 64; i++)
			caller_call_text(&callers[i], "mirror", "x");
		for (int i = 0; i < 64; i++)
			caller_expect(&callers[i], (uint64_t)round + 1, PLUG_OK, "x");
	}
	caller_close(&callers[7]);
	expect_closed(peer, 8, false, "the caller left");
	caller_open(peer, &callers[7], PLUG_REGION_BYTES_MIN);
	expect_call(&callers[7], "mirror", "x", PLUG_OK, "x");
	for (int i = 0; i < 64; i++)
		caller_close(&callers[i]);
}

/* A limit that leaves the process so many descriptors. */
static rlim_t
limit_that_leaves(pid_t pid, unsigned spare)
{
	char path[64];
	rlim_t limit = 0;

	for (unsigned left = 0; left < spare || limit < 3; limit++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%u", pid, (unsigned)limit);
		left += faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
	}
	return limit;
}

static void
test_a_process_without_descriptors_says_so(void **state)
{
	struct peer *peer = *state;
	struct rlimit before, few;
	struct caller caller;

	usleep(50000);
	assert_int_equal(prlimit(peer->pid, RLIMIT_NOFILE, NULL, &before), 0);
	for (unsigned spare = 0; spare < 3; spare++) {
		few = before;
		few.rlim_cur = limit_that_leaves(peer->pid, spare);
		assert_int_equal(prlimit(peer->pid, RLIMIT_NOFILE, &few, NULL), 0);
		assert_refused(peer, region(PLUG_SIDE_CALLER, PLUG_REGION_BYTES), PLUG_REGION_BYTES,
			       2, PLUG_ESYS, "descriptor left");
	}
	assert_int_equal(prlimit(peer->pid, RLIMIT_NOFILE, &before, NULL), 0);
	caller_open(peer, &caller, 0);
	expect_call(&caller, "mirror", "x", PLUG_OK, "x");
	caller_close(&caller);
}

/* ---- leaving ---- */

static unsigned
count_fds(pid_t pid)
{
	char path[64];
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static unsigned
count_regions(pid_t pid)
{
	char path[64], line[512];
	unsigned count = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, "plug-ring") != NULL;
	fclose(maps);
	return count;
}

static void
test_nothing_is_left_of_channels_that_were_left(void **state)
{
	struct peer *peer = *state;
	struct caller caller;
	unsigned before = 0;

	for (int i = 0; i < 100; i++) {
		caller_open(peer, &caller, PLUG_REGION_BYTES_MIN);
		if (i % 3)
			expect_call(&caller, "mirror", "x", PLUG_OK, "x");
		caller_close(&caller);
		expect_closed(peer, caller.number, false, "the caller left");
		if (i == 0)
			before = count_fds(peer->pid);
	}
	/* A new thread may have a file of /proc open for a moment, under the sanitizers. */
	for (int i = 0; i < 100 && count_fds(peer->pid) != before; i++)
		usleep(10000);
	assert_int_equal(count_fds(peer->pid), before);
	assert_int_equal(count_regions(peer->pid), 0);
	assert_int_equal(peer_vitals(peer).channels, 0);
}

static void
test_calls_of_a_caller_that_left_are_cancelled(void **state)
{
	struct peer *peer = *state;
	struct caller caller;
	uint64_t began;

	caller_open(peer, &caller, 0);
	caller_call_text(&caller, "nap", "10000");
	caller_call_text(&caller, "wait", "");
	caller_call_text(&caller, "block", "300000"); /* is not told, and ends the channel */
	caller_await_taken(peer, 3);
	began = peer_now_ms();
	caller_close(&caller);
	expect_closed(peer, caller.number, false, "the caller left");
	assert_in_range(peer_now_ms() - began, 100, 2000);
	assert_int_equal(count_regions(peer->pid), 0);
	assert_int_equal(peer_vitals(peer).channel_calls, 3);
	assert_int_equal(peer_vitals(peer).channel_ok + peer_vitals(peer).channel_errors, 3);
}

/* The holder itself runs the handler when its caller goes. */
static void
test_a_caller_may_leave_while_a_quick_method_is_slow(void **state)
{
	struct peer *peer = *state;
	struct caller caller, other;

	caller_open(peer, &other, 0);
	for (int round = 0; round < 3; round++) {
		caller_open(peer, &caller, 0);
		for (int i = 0; i < 300; i++)
			expect_call(&caller, "block", "0", PLUG_OK, "");
		caller_call_text(&caller, "block", "300000");
		usleep(500);
		caller_close(&caller);
		expect_call(&other, "mirror", "x", PLUG_OK, "x");
		expect_closed(peer, caller.number, false, "the caller left");
	}
	caller_close(&other);
}

static void
test_calls_that_wait_for_a_worker_go_with_their_caller(void **state)
{
	struct peer *peer = *state;
	struct caller caller, other;

	caller_open(peer, &other, 0);
	for (int i = 0; i < 8; i++)
		caller_call_text(&other, "wait", "");
	caller_open(peer, &caller, 0);
	for (int i = 0; i < 50; i++)
		caller_call_text(&caller, "mirror", "x");
	caller_await_taken(peer, 58);
	caller_close(&caller);
	expect_closed(peer, caller.number, false, "the caller left");
	for (uint64_t id = 1; id <= 8; id++) {
		caller_cancel(&other, id);
		caller_expect(&other, id, PLUG_ECANCELLED, "cancelled");
	}
	expect_call(&other, "mirror", "x", PLUG_OK, "x");
	caller_close(&other);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define CASE(name, start) cmocka_unit_test_setup_teardown(name, start, end_plugin)
		CASE(test_hello_says_how_many_channels_there_may_be, start_probe),
		CASE(test_without_a_broker_there_are_none, NULL),
		CASE(test_regions_have_the_size_that_is_offered, start_probe),
		CASE(test_a_region_that_is_none_is_refused, start_probe),
		CASE(test_a_message_that_is_no_offer_ends_the_plugin, start_probe),
		CASE(test_channels_are_limited, start_probe),
		CASE(test_a_process_without_descriptors_says_so, start_probe),
		CASE(test_nothing_is_left_of_channels_that_were_left, start_probe),
		CASE(test_calls_of_a_caller_that_left_are_cancelled, start_probe),
		CASE(test_a_caller_may_leave_while_a_quick_method_is_slow, start_probe),
		CASE(test_calls_that_wait_for_a_worker_go_with_their_caller, start_probe),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("sdk_plugin_channel", tests, NULL, NULL);
}
