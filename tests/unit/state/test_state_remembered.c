/* Crashes, statistics, events and output over an upgrade: as they were, to the last number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/saved.h"
#include "state_support.h"
#include "wire_support.h"

static struct {
	struct state_out out;
	struct state_in in;
	Plugd__Saved *all;
	Plugd__SavedPlugin *plugin;
} t;

static int
setup(void **state)
{
	if (wire_setup(state))
		return -1;
	state_out_init(&t.out);
	t.all = state_out_message(&t.out, &plugd__saved__descriptor);
	t.all->daemon = state_out_message(&t.out, &plugd__saved_daemon__descriptor);
	t.plugin = state_out_message(&t.out, &plugd__saved_plugin__descriptor);
	state_out_append(&t.out, &t.all->n_plugins, &t.all->plugins, t.plugin);
	return 0;
}

static int
teardown(void **state)
{
	state_in_fini(&t.in);
	return wire_teardown(state);
}

static const Plugd__SavedPlugin *
through(void)
{
	state_through(&t.out, t.all, false, &t.in);
	return t.in.saved->plugins[0];
}

static void
test_crashes(void **state)
{
	struct crashes before, after;
	struct crash *crash;

	(void)state;
	crashes_init(&before);
	crashes_init(&after);
	for (int i = 0; i < CRASHES_KEPT; i++) {
		crash = crashes_add(&before);
		crash->pid = i;
	}
	crash->status = (struct exit_status){3, 11, true};
	crash->generation = 77;
	strcpy(crash->reason, "killed by SIGSEGV");
	strcpy(crash->state, "ready");
	strcpy(crash->decision, "starts again");
	crash->call_count = CRASH_CALLS + 5; /* more than are listed */
	for (unsigned i = 0; i < CRASH_CALLS; i++) {
		crash->calls[i].id = i;
		crash->calls[i].hung = i & 1;
		snprintf(crash->calls[i].method, sizeof(crash->calls[i].method), "m%u", i);
	}
	crash->log[0] = strdup("last words");
	crash->log_count = 1;
	crash->retry_in_ms = 99;
	crash->calls[4].executing = true;
	crash->rss_age_ms = 5;
	crash->peak_bytes = 123456;
	strcpy(crash->core_path, "/var/cores/core.1");
	strcpy(crash->core_note, "as it was");
	crashes_save(&before, t.plugin, &t.out);
	crashes_restore(&after, through(), &t.in);
	assert_int_equal(after.count, CRASHES_KEPT);
	assert_int_equal(LIST_FIRST(&after.list, struct crash, node)->pid, 0);
	crash = LIST_ENTRY(after.list.prev, struct crash, node);
	assert_int_equal(crash->status.signal, 11);
	assert_true(crash->status.core_dumped);
	assert_int_equal(crash->generation, 77);
	assert_string_equal(crash->reason, "killed by SIGSEGV");
	assert_string_equal(crash->state, "ready");
	assert_string_equal(crash->decision, "starts again");
	assert_int_equal(crash->call_count, CRASH_CALLS + 5);
	assert_true(crash->calls[CRASH_CALLS - 1].hung);
	assert_string_equal(crash->calls[3].method, "m3");
	assert_string_equal(crash->log[0], "last words");
	assert_int_equal(crash->retry_in_ms, 99);
	assert_true(crash->calls[4].executing && !crash->calls[5].executing);
	assert_int_equal(crash->rss_age_ms, 5);
	assert_int_equal(crash->peak_bytes, 123456);
	assert_string_equal(crash->core_path, "/var/cores/core.1");
	assert_string_equal(crash->core_note, "as it was");
	assert_null(crash->trace);
	crashes_fini(&before);
	crashes_fini(&after);
}

static void
test_last_calls_and_traces(void **state)
{
	struct last_calls last = {.count = 2, .on_channels = 7, .calls = {{.id = 3}, {.id = 4}}};
	Plugd__SavedInstance *instance =
		state_out_message(&t.out, &plugd__saved_instance__descriptor);
	struct last_calls *after;

	(void)state;
	instance->last_calls = last_calls_save(&last, &t.out);
	instance->trace = state_out_bytes("of another layout", 17);
	state_out_append(&t.out, &t.plugin->n_instances, &t.plugin->instances, instance);
	after = last_calls_restore(through()->instances[0]->last_calls, &t.in);
	assert_int_equal(after->count, 2);
	assert_int_equal(after->on_channels, 7);
	assert_int_equal(after->calls[1].id, 4);
	assert_null(trace_restore(&t.in.saved->plugins[0]->instances[0]->trace));
	assert_false(t.in.failed);
	free(after);
}

static void
test_statistics(void **state)
{
	struct stats before = {0}, after = {0};
	struct data_stats data = {.calls = 5, .took = {1, 2, 3}}, data_after = {0};
	const Plugd__SavedPlugin *saved;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		stats_count(&before, i % 2 ? "odd" : "even", i % 10 ? PLUG_OK : PLUG_EGONE, i * i,
			    "no");
	t.plugin->stats = stats_save(&before, &t.out);
	t.plugin->data = data_stats_save(&data, &t.out);
	saved = through();
	stats_restore(&after, saved->stats, &t.in);
	data_stats_restore(&data_after, saved->data, &t.in);
	assert_int_equal(after.method_count, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_memory_equal(after.methods[i], before.methods[i], sizeof(*after.methods[i]));
	assert_int_equal(after.calls, 1000);
	assert_int_equal(after.errors, before.errors);
	assert_string_equal(after.last_error, before.last_error);
	assert_memory_equal(&data, &data_after, sizeof(data));
	stats_fini(&before);
	stats_fini(&after);
}

static void
test_events(void **state)
{
	struct events before, after;
	const struct event *first, *last;

	(void)state;
	log_configure(LOG_ERROR, LOG_TEXT);
	events_init(&before);
	events_init(&after);
	for (unsigned i = 1; i <= EVENTS_KEPT + 10; i++)
		events_add(&before, i % 2 ? "one" : NULL, "ready", i, 100 + i, "number %u", i);
	events_save(&before, t.all->daemon, &t.out);
	through();
	events_restore(&after, t.in.saved->daemon, &t.in);
	assert_int_equal(after.count, EVENTS_KEPT);
	assert_int_equal(after.last_seq, EVENTS_KEPT + 10);
	first = LIST_FIRST(&after.ring, struct event, node);
	last = LIST_ENTRY(after.ring.prev, struct event, node);
	assert_int_equal(first->seq, 11);
	assert_string_equal(first->detail, "number 11");
	assert_string_equal(first->plugin, "one");
	assert_string_equal(last->kind, "ready");
	assert_string_equal(last->plugin, "");
	assert_int_equal(last->pid, 100 + EVENTS_KEPT + 10);
	events_add(&after, NULL, "upgraded", 0, 0, "%s", "");
	assert_int_equal(after.last_seq, EVENTS_KEPT + 11);
	events_fini(&before);
	events_fini(&after);
	log_configure(LOG_INFO, LOG_TEXT);
}

static void
expect_same_lines(const struct logring *a, const struct logring *b)
{
	struct logring_cursor at_a = {0}, at_b = {0};
	struct logring_line one, other;

	assert_int_equal(a->first_seq, b->first_seq);
	assert_int_equal(a->next_seq, b->next_seq);
	assert_int_equal(a->lost, b->lost);
	while (logring_next(a, &at_a, &one)) {
		assert_true(logring_next(b, &at_b, &other));
		assert_int_equal(one.seq, other.seq);
		assert_int_equal(one.time_ms, other.time_ms);
		assert_int_equal(one.pid, other.pid);
		assert_int_equal(one.generation, other.generation);
		assert_int_equal(one.stream, other.stream);
		assert_int_equal(one.level, other.level);
		assert_int_equal(one.continues, other.continues);
		assert_int_equal(one.length, other.length);
		assert_memory_equal(one.text, other.text, one.length);
	}
	assert_false(logring_next(b, &at_b, &other));
}

static void
test_output(void **state)
{
	struct output before, after;
	struct lull lull;

	(void)state;
	lull_init(&lull, wire_loop);
	output_init(&before, &lull, -1, "p", LOGRING_MIN_BYTES, 0, 0);
	output_init(&after, &lull, -1, "p", LOGRING_MIN_BYTES, 0, 0);
	for (unsigned i = 0; i < 3000; i++) {
		char text[64];
		int length = snprintf(text, sizeof(text), "line %u %.*s", i, (int)(i % 40),
				      "........................................");

		output_line(&before, i % 4, i % 3, i / 100, 1000 + i, text, (size_t)length, i & 1);
	}
	assert_true(before.ring.lost > 0);
	before.file.dropped = 7;
	t.plugin->output = output_save(&before, &t.out);
	output_restore(&after, through()->output, &t.in);
	expect_same_lines(&before.ring, &after.ring);
	assert_int_equal(after.lines, 3000);
	assert_int_equal(after.file.dropped, 7);
	output_fini(&before);
	output_fini(&after);
	lull_fini(&lull);
}

/* A smaller ring than before holds the last ones, and counts what it does not hold. */
static void
test_output_into_a_smaller_ring(void **state)
{
	struct output before, after;
	struct lull lull;

	(void)state;
	lull_init(&lull, wire_loop);
	output_init(&before, &lull, -1, "p", 4 * LOGRING_MIN_BYTES, 0, 0);
	output_init(&after, &lull, -1, "p", LOGRING_MIN_BYTES, 0, 0);
	for (unsigned i = 0; i < 800; i++)
		output_line(&before, OUTPUT_OUT, 1, 1, 1, "forty bytes of text, more or less, here",
			    39, false);
	assert_int_equal(before.ring.lost, 0);
	t.plugin->output = output_save(&before, &t.out);
	output_restore(&after, through()->output, &t.in);
	assert_int_equal(after.ring.next_seq, before.ring.next_seq);
	assert_true(after.ring.lost > 0);
	assert_int_equal(after.ring.lost + logring_count(&after.ring), 800);
	output_fini(&before);
	output_fini(&after);
	lull_fini(&lull);
}

static void
test_output_that_is_cut_off(void **state)
{
	struct output before, after;
	struct lull lull;

	(void)state;
	lull_init(&lull, wire_loop);
	output_init(&before, &lull, -1, "p", LOGRING_MIN_BYTES, 0, 0);
	output_init(&after, &lull, -1, "p", LOGRING_MIN_BYTES, 0, 0);
	output_line(&before, OUTPUT_OUT, 1, 1, 1, "whole", 5, false);
	t.plugin->output = output_save(&before, &t.out);
	t.plugin->output->lines.len--;
	output_restore(&after, through()->output, &t.in);
	assert_true(t.in.failed);
	assert_string_equal(t.in.why, "a line of output that is cut off");
	output_fini(&before);
	output_fini(&after);
	lull_fini(&lull);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_last_calls_and_traces),
		TEST(test_crashes),
		TEST(test_statistics),
		TEST(test_events),
		TEST(test_output_that_is_cut_off),
		TEST(test_output),
		TEST(test_output_into_a_smaller_ring),
	};

	return cmocka_run_group_tests_name("state_remembered", tests, NULL, NULL);
}
