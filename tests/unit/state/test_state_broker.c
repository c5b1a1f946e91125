/* The broker socket and the status page over an upgrade. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/broker.h"
#include "plugin/saved.h"
#include "state/timer.h"
#include "state_support.h"
#include "wire_support.h"

static unsigned dying;

static void
on_message(void *user, const Plug__Envelope *env, int fd)
{
	(void)user;
	(void)env;
	(void)fd;
	fail_msg("nobody sends one here");
}

static void
on_dying(void *user, int signal)
{
	(void)user;
	assert_int_equal(signal, 11);
	dying++;
}

static void
on_violation(void *user, plug_err err, const char *reason)
{
	(void)user;
	(void)err;
	fail_msg("%s", reason);
}

static void
on_trace(void *user, const void *bytes, size_t size)
{
	(void)user;
	(void)bytes;
	fail_msg("%zu bytes of a backtrace that nobody sends here", size);
}

static const struct broker_ops ops = {.on_message = on_message,
				      .on_dying = on_dying,
				      .on_trace = on_trace,
				      .on_violation = on_violation};

static bool
has_died(void *context)
{
	(void)context;
	return dying > 0;
}

static void
move(struct broker *broker)
{
	struct ev_loop *before = wire_loop;
	Plugd__SavedInstance *instance;
	Plugd__SavedPlugin *plugin;
	struct state_out out;
	struct state_in in;
	Plugd__Saved *all;

	state_out_init(&out);
	all = state_out_message(&out, &plugd__saved__descriptor);
	plugin = state_out_message(&out, &plugd__saved_plugin__descriptor);
	instance = state_out_message(&out, &plugd__saved_instance__descriptor);
	instance->broker = broker_save(broker, &out);
	state_out_append(&out, &plugin->n_instances, &plugin->instances, instance);
	state_out_append(&out, &all->n_plugins, &all->plugins, plugin);
	state_through(&out, all, false, &in);
	if (broker->page)
		munmap(broker->page, PLUG_STATUS_BYTES); /* as an execve does */
	for (size_t i = 0; i < broker->old_count; i++)
		munmap(broker->old[i], PLUG_STATUS_BYTES);
	wire_loop = ev_loop_new(EVFLAG_AUTO);
	broker_init(broker, 7, &ops, NULL);
	broker_restore(broker, wire_loop, in.saved->plugins[0]->instances[0]->broker, &in);
	if (in.failed)
		fail_msg("%s", in.why);
	state_in_fini(&in);
	ev_loop_destroy(before);
}

static void
test_the_page_is_written_on(void **state)
{
	const struct plug_status_page *theirs;
	struct broker broker;
	int fd, shown;

	(void)state;
	broker_init(&broker, 7, &ops, NULL);
	assert_int_equal(broker_open(&broker, wire_loop), PLUG_OK);
	broker_close_child(&broker);
	assert_int_equal(broker_status_page(&broker, &shown), PLUG_OK);
	fd = fcntl(shown, F_DUPFD_CLOEXEC, 0);
	theirs = mmap(NULL, PLUG_STATUS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(theirs != MAP_FAILED);
	assert_int_equal(theirs->status, PLUG_STATUS_LIVE);
	move(&broker);
	broker_set_status(&broker, PLUG_STATUS_MOVED);
	assert_int_equal(theirs->status, PLUG_STATUS_MOVED);
	move(&broker);
	broker_set_status(&broker, PLUG_STATUS_LIVE); /* it only grows */
	assert_int_equal(theirs->status, PLUG_STATUS_MOVED);
	assert_int_equal(broker_status_page(&broker, &shown), PLUG_OK);
	broker_set_status(&broker, PLUG_STATUS_DEAD);
	assert_int_equal(theirs->status, PLUG_STATUS_DEAD);
	munmap((void *)(uintptr_t)theirs, PLUG_STATUS_BYTES);
	close(fd);
	broker_fini(&broker);
}

/* A process that was away and is back has a new page; those who have the old one hear of its end.
 */
static void
test_pages_of_before(void **state)
{
	const struct plug_status_page *first, *second;
	struct broker broker;
	int shown;

	(void)state;
	broker_init(&broker, 7, &ops, NULL);
	assert_int_equal(broker_open(&broker, wire_loop), PLUG_OK);
	broker_close_child(&broker);
	assert_int_equal(broker_status_page(&broker, &shown), PLUG_OK);
	first = mmap(NULL, PLUG_STATUS_BYTES, PROT_READ, MAP_SHARED, shown, 0);
	broker_set_away(&broker);
	move(&broker);
	broker_set_back(&broker);
	move(&broker);
	assert_int_equal(broker_status_page(&broker, &shown), PLUG_OK);
	second = mmap(NULL, PLUG_STATUS_BYTES, PROT_READ, MAP_SHARED, shown, 0);
	assert_int_equal(first->status, PLUG_STATUS_MOVED);
	assert_int_equal(second->status, PLUG_STATUS_LIVE);
	move(&broker);
	broker_set_status(&broker, PLUG_STATUS_DEAD);
	assert_int_equal(first->status, PLUG_STATUS_DEAD);
	assert_int_equal(second->status, PLUG_STATUS_DEAD);
	munmap((void *)(uintptr_t)first, PLUG_STATUS_BYTES);
	munmap((void *)(uintptr_t)second, PLUG_STATUS_BYTES);
	broker_fini(&broker);
}

/* One that was not made before is made with the status that it has by now. */
static void
test_a_page_that_is_made_later(void **state)
{
	const struct plug_status_page *page;
	struct broker broker;
	int shown;

	(void)state;
	broker_init(&broker, 7, &ops, NULL);
	assert_int_equal(broker_open(&broker, wire_loop), PLUG_OK);
	broker_set_status(&broker, PLUG_STATUS_MOVED);
	move(&broker);
	assert_int_equal(broker_status_page(&broker, &shown), PLUG_OK);
	page = mmap(NULL, PLUG_STATUS_BYTES, PROT_READ, MAP_SHARED, shown, 0);
	assert_int_equal(page->status, PLUG_STATUS_MOVED);
	assert_int_equal(page->generation, 7);
	munmap((void *)(uintptr_t)page, PLUG_STATUS_BYTES);
	broker_fini(&broker);
}

static void
test_the_socket_goes_on(void **state)
{
	struct broker broker;
	int theirs;

	(void)state;
	broker_init(&broker, 7, &ops, NULL);
	assert_int_equal(broker_open(&broker, wire_loop), PLUG_OK);
	theirs = fcntl(broker.child_fd, F_DUPFD_CLOEXEC, 0);
	broker_close_child(&broker);
	move(&broker);
	assert_true(broker_connected(&broker));
	assert_int_equal(write(theirs, "\013", 1), 1);
	wire_run_until(has_died, NULL);
	close(theirs);
	wire_run_pending();
	assert_false(broker_connected(&broker));
	move(&broker);
	assert_false(broker_connected(&broker));
	broker_fini(&broker);
}

/* ---- timers ---- */

static uint64_t rang_at_ns;

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	rang_at_ns = clock_mono_ns();
}

static bool
has_rung(void *context)
{
	(void)context;
	return rang_at_ns != 0;
}

/* The loop's time is that of its making, and making everything anew takes a while. */
static void
test_a_timer_is_not_early(void **state)
{
	uint64_t at_ns;
	ev_timer timer;

	(void)state;
	rang_at_ns = 0;
	ev_timer_init(&timer, on_timer, 0., 0.);
	usleep(50000);
	at_ns = clock_mono_ns() + 60000000;
	state_timer_set(wire_loop, &timer, at_ns);
	wire_run_until(has_rung, NULL);
	assert_true(rang_at_ns >= at_ns);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_setup, wire_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_page_is_written_on),    TEST(test_pages_of_before),
		TEST(test_a_page_that_is_made_later), TEST(test_the_socket_goes_on),
		TEST(test_a_timer_is_not_early),
	};

	return cmocka_run_group_tests_name("state_broker", tests, NULL, NULL);
}
