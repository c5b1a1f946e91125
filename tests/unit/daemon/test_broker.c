/* plugd's end of the broker socket, and the status page: over a real socket. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "broker_fixture.h"
#include "ipc/packet.h"

/* ---- the process's end ---- */

static void
say(Plug__Envelope *env, const int *fds, size_t count)
{
	uint8_t bytes[256];
	size_t size = 0;

	assert_int_equal(plug_envelope_pack(env, bytes, sizeof(bytes), &size), PLUG_OK);
	assert_int_equal(packet_send(t.theirs, bytes, size, fds, count), size);
	wire_run_pending();
}

static void
say_answer(uint32_t generation, plug_err outcome, const int *fds, size_t count)
{
	Plug__ChannelAnswer answer = PLUG__CHANNEL_ANSWER__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	answer.channel = 1;
	answer.outcome = outcome;
	env.generation = generation;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_ANSWER;
	env.channel_answer = &answer;
	say(&env, fds, count);
}

static void
say_closed(const int *fds, size_t count)
{
	Plug__ChannelClosed closed = PLUG__CHANNEL_CLOSED__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	closed.channel = 1;
	env.generation = GENERATION;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_CLOSED;
	env.channel_closed = &closed;
	say(&env, fds, count);
}

static void
say_ready(void)
{
	Plug__Ready ready = PLUG__READY__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.generation = GENERATION;
	env.body_case = PLUG__ENVELOPE__BODY_READY;
	env.ready = &ready;
	say(&env, NULL, 0);
}

/* ---- what comes ---- */

static void
test_what_a_plugin_says(void **state)
{
	int fds[] = {memfd_create("test", MFD_CLOEXEC)};
	int before = wire_count_fds();

	(void)state;
	say_answer(GENERATION, PLUG_OK, fds, 1);
	assert_int_equal(t.messages, 1);
	assert_true(t.last_fd >= 0);
	assert_int_equal(wire_count_fds(), before); /* the callback's time was its own */
	say_answer(GENERATION, PLUG_ENOMEM, NULL, 0);
	say_closed(NULL, 0);
	assert_int_equal(t.messages, 3);
	assert_int_equal(t.last_fd, -1);
	assert_int_equal(t.violations, 0);
	close(fds[0]);
}

/* Whatever claims to be one is handed on, and is no violation here; with the last of a process,
 * too, that is read without the loop. */
static void
test_backtraces(void **state)
{
	struct plug_trace trace = {.magic = PLUG_TRACE_MAGIC};

	(void)state;
	assert_int_equal(send(t.theirs, &trace, sizeof(trace), MSG_NOSIGNAL), sizeof(trace));
	wire_run_pending();
	assert_int_equal(t.trace_bytes, sizeof(trace));
	for (int i = 0; i < 20; i++)
		assert_int_equal(send(t.theirs, &trace, 9, MSG_NOSIGNAL), 9);
	broker_take_last(&t.broker);
	assert_int_equal(t.trace_bytes, sizeof(trace) + 180);
	assert_int_equal(t.violations, 0);
	assert_true(broker_connected(&t.broker));
	close_fd(&t.theirs);
	broker_take_last(&t.broker);
	assert_false(broker_connected(&t.broker));
	broker_take_last(&t.broker);
}

static void
garbage(void)
{
	assert_int_equal(send(t.theirs, "\377\377", 2, MSG_NOSIGNAL), 2);
	wire_run_pending();
}

static void
too_long(void)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES + 1];

	assert_int_equal(send(t.theirs, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
	wire_run_pending();
}

static void
other_generation(void)
{
	say_answer(GENERATION + 1, PLUG_ENOMEM, NULL, 0);
}

static void
answer_with(plug_err outcome, size_t count)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	const int fds[] = {fd, fd, fd};

	say_answer(GENERATION, outcome, fds, count);
	close(fd);
}

static void
two_regions(void)
{
	answer_with(PLUG_OK, 2);
}

static void
a_region_with_a_refusal(void)
{
	answer_with(PLUG_ENOMEM, 1);
}

static void
closed_with_a_region(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	say_closed(&fd, 1);
	close(fd);
}

static const struct {
	void (*deed)(void);
	const char *reason;
} deeds[] = {
	{garbage, "is not an Envelope"},
	{too_long, "above the limit"},
	{say_ready, "that a plugin does not send"},
	{other_generation, "another generation"},
	{two_regions, "do not belong"},
	{a_region_with_a_refusal, "do not belong"},
	{closed_with_a_region, "do not belong"},
};

/* The first is the last thing that is taken from it, and nothing stays open. */
static void
test_violations(void **state)
{
	for (size_t i = 0; i < sizeof(deeds) / sizeof(*deeds); i++) {
		int before = wire_count_fds();

		deeds[i].deed();
		assert_int_equal(t.messages, 0);
		assert_int_equal(t.violations, 1);
		assert_non_null(strstr(t.reason, deeds[i].reason));
		assert_false(broker_connected(&t.broker));
		assert_int_equal(wire_count_fds(), before - 1);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* ---- what goes ---- */

static void
test_offers(void **state)
{
	Plug__ChannelOffer offer = PLUG__CHANNEL_OFFER__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT, *got;
	uint8_t bytes[1024];
	int fd = memfd_create("test", MFD_CLOEXEC), given, before = wire_count_fds();
	size_t count;
	ssize_t size;
	plug_err err = PLUG_OK;

	(void)state;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_OFFER;
	env.channel_offer = &offer;
	offer.channel = 5;
	assert_int_equal(broker_send(&t.broker, &env, &fd, 1), PLUG_OK);
	size = packet_receive(t.theirs, bytes, sizeof(bytes), &given, &count);
	assert_true(size > 0);
	assert_int_equal(count, 1);
	close(given);
	assert_int_equal(plug_envelope_unpack(bytes, (size_t)size, &got), PLUG_OK);
	assert_int_equal(got->generation, GENERATION);
	assert_int_equal(got->channel_offer->channel, 5);
	plug_envelope_free(got);
	/* One that does not read is no reason to wait. */
	for (unsigned i = 0; !err && i < 10000; i++)
		err = broker_send(&t.broker, &env, &fd, 1);
	assert_int_equal(err, PLUG_EOVERLOADED);
	assert_int_equal(wire_count_fds(), before);
	assert_true(broker_connected(&t.broker));
	close(fd);
}

/* ---- the status page ---- */

static const struct plug_status_page *
map_page(int fd)
{
	void *page = mmap(NULL, PLUG_STATUS_BYTES, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(page != MAP_FAILED);
	return page;
}

static void
test_the_page_only_grows(void **state)
{
	static const struct {
		enum plug_status set, seen;
	} steps[] = {
		{PLUG_STATUS_LIVE, PLUG_STATUS_LIVE},   {PLUG_STATUS_MOVED, PLUG_STATUS_MOVED},
		{PLUG_STATUS_LIVE, PLUG_STATUS_MOVED},  {PLUG_STATUS_ENDED, PLUG_STATUS_ENDED},
		{PLUG_STATUS_MOVED, PLUG_STATUS_ENDED}, {PLUG_STATUS_DEAD, PLUG_STATUS_DEAD},
		{PLUG_STATUS_ENDED, PLUG_STATUS_DEAD},
	};
	const struct plug_status_page *page;
	int fd = -1, again = -1, before = wire_count_fds();

	(void)state;
	broker_set_status(&t.broker, PLUG_STATUS_LIVE); /* nobody has a channel: there is no page */
	assert_int_equal(wire_count_fds(), before);
	assert_int_equal(broker_status_page(&t.broker, &fd), PLUG_OK);
	assert_int_equal(broker_status_page(&t.broker, &again), PLUG_OK);
	assert_int_equal(fd, again);
	page = map_page(fd);
	assert_true(page->magic == PLUG_STATUS_MAGIC);
	assert_int_equal(page->generation, GENERATION);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		broker_set_status(&t.broker, steps[i].set);
		assert_int_equal(page->status, steps[i].seen);
	}
	broker_fini(&t.broker);
	assert_int_equal(page->status, PLUG_STATUS_DEAD); /* callers keep it */
	munmap((void *)(uintptr_t)page, PLUG_STATUS_BYTES);
}

struct waiter {
	const struct plug_status_page *page;
	_Atomic pid_t tid;
	int error; /* 0: it was woken */
};

/* As a caller does whose plugin hung up. */
static void *
wait_at_page(void *arg)
{
	const struct timespec limit = {.tv_sec = 60};
	struct waiter *waiter = arg;

	waiter->tid = (pid_t)syscall(SYS_gettid);
	if (syscall(SYS_futex, &waiter->page->status, FUTEX_WAIT, PLUG_STATUS_LIVE, &limit, NULL,
		    0) < 0)
		waiter->error = errno;
	return NULL;
}

static bool
sleeps(pid_t tid)
{
	char path[64], text[256];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(size > 0);
	text[size] = '\0';
	return strstr(text, ") S ");
}

static void
test_who_waits_at_the_page_is_woken(void **state)
{
	struct waiter waiter = {0};
	pthread_t thread;
	int fd;

	(void)state;
	assert_int_equal(broker_status_page(&t.broker, &fd), PLUG_OK);
	waiter.page = map_page(fd);
	assert_int_equal(pthread_create(&thread, NULL, wait_at_page, &waiter), 0);
	while (!waiter.tid || !sleeps(waiter.tid))
		sched_yield();
	broker_set_status(&t.broker, PLUG_STATUS_MOVED);
	pthread_join(thread, NULL);
	assert_true(waiter.error == 0 || waiter.error == EAGAIN);
	munmap((void *)(uintptr_t)waiter.page, PLUG_STATUS_BYTES);
}

/* Made late, it says what has become of the process meanwhile. */
static void
test_a_page_made_late(void **state)
{
	const struct plug_status_page *page;
	int fd;

	(void)state;
	broker_set_status(&t.broker, PLUG_STATUS_MOVED);
	assert_int_equal(broker_status_page(&t.broker, &fd), PLUG_OK);
	page = map_page(fd);
	assert_int_equal(page->status, PLUG_STATUS_MOVED);
	munmap((void *)(uintptr_t)page, PLUG_STATUS_BYTES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_a_plugin_says),
		TEST(test_violations),
		TEST(test_offers),
		TEST(test_the_page_only_grows),
		TEST(test_who_waits_at_the_page_is_woken),
		TEST(test_a_page_made_late),
		TEST(test_backtraces),
	};

	return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
