/* The tables of core/lifecycle: properties of every cell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lifecycle_tables.h"

/* A refused event changes nothing. */
static void
test_refusal_leaves_the_results_alone(void **state)
{
	enum process_state to = PS_STUCK;
	enum slot_state slot_to = SS_FAILED;
	enum reload_state reload_to = RS_ALONE;
	uint32_t effects = 0xabcd;

	(void)state;
	assert_false(lc_process_step(PS_GONE, PE_EXITED, &to, &effects));
	assert_false(lc_slot_step(SS_STOPPED, SE_TIMEOUT, &slot_to, &effects));
	assert_false(lc_reload_step(RS_IDLE, RE_READY, &reload_to, &effects));
	assert_int_equal(to, PS_STUCK);
	assert_int_equal(reload_to, RS_ALONE);
	assert_int_equal(slot_to, SS_FAILED);
	assert_int_equal(effects, 0xabcd);
}

static void
test_cells_are_within_the_tables(void **state)
{
	const struct table *tables[] = {&process, &slot, &reload};

	(void)state;
	for (int t = 0; t < 3; t++)
		EACH_LEGAL(tables[t], from, event, next, fx)
		{
			assert_in_range(next, 0, tables[t]->states - 1);
			assert_int_equal(fx >> tables[t]->effects, 0);
		}
}

static bool
handles(const struct table *table, int state, int event)
{
	uint32_t effects;
	int next;

	return table->step(state, event, &next, &effects);
}

/*
 * A deadline runs exactly in the states that handle TIMEOUT: whoever enters one starts it, unless
 * it runs already because the state stays the same; whoever leaves one by anything but TIMEOUT
 * into a state without, stops it.  STARTING is entered by the spawn, which starts its deadline.
 */
static void
check_deadlines(const struct table *table, int timeout, uint32_t arm, uint32_t disarm)
{
	EACH_LEGAL(table, from, event, next, fx)
	{
		bool had = handles(table, from, timeout), has = handles(table, next, timeout);
		bool runs = ((had && event != timeout && !(fx & disarm)) || fx & arm) != 0;

		if (runs != has)
			fail_msg("%s: state %d, event %d: a deadline %s in state %d", table->title,
				 from, event, runs ? "runs" : "does not run", next);
		if (from != next && has && !(fx & arm))
			fail_msg("%s: state %d, event %d: the deadline of %d is not started anew",
				 table->title, from, event, next);
		if (!had && fx & disarm)
			fail_msg("%s: state %d, event %d: stops what does not run", table->title,
				 from, event);
	}
}

static void
test_deadlines_run_where_they_are_handled(void **state)
{
	(void)state;
	check_deadlines(&process, PE_TIMEOUT, PX(ARM), PX(DISARM));
	check_deadlines(&slot, SE_TIMEOUT, SX(ARM), SX(DISARM));
	for (int s = 0; s < PS_COUNT; s++)
		assert_int_equal(lc_process_has_deadline((enum process_state)s),
				 handles(&process, s, PE_TIMEOUT));
}

/* Waiting alone ends every process: no chain of deadlines comes round. */
static void
test_deadlines_come_to_an_end(void **state)
{
	(void)state;
	for (int s = 0; s < PS_COUNT; s++) {
		int at = s, next, steps = 0;
		uint32_t effects;

		while (process.step(at, PE_TIMEOUT, &next, &effects)) {
			at = next;
			assert_true(++steps < PS_COUNT);
		}
		assert_true(at == PS_STUCK || at == PS_READY || at == PS_GONE);
	}
}

/* Exit is what no state can refuse, and it always releases. */
static void
test_every_process_ends_by_exit(void **state)
{
	(void)state;
	for (int s = 0; s < PS_GONE; s++) {
		uint32_t effects = 0;
		int next;

		assert_true(process.step(s, PE_EXITED, &next, &effects));
		assert_int_equal(next, PS_GONE);
		assert_true(effects & PX(RELEASE));
	}
	EACH_LEGAL(&process, from, event, next, fx)
	{
		assert_int_equal(next == PS_GONE, event == PE_EXITED);
		assert_int_equal((fx & PX(RELEASE)) != 0, next == PS_GONE);
	}
}

static void
test_gone_accepts_nothing(void **state)
{
	(void)state;
	for (int event = 0; event < PE_COUNT; event++)
		assert_false(handles(&process, PS_GONE, event));
}

/* KILL is taken everywhere before the end and leaves no gentler state. */
static void
test_kill_is_never_refused(void **state)
{
	(void)state;
	for (int s = 0; s < PS_GONE; s++) {
		uint32_t effects;
		int next;

		assert_true(process.step(s, PE_KILL, &next, &effects));
		assert_true(next == PS_KILLING || next == PS_STUCK);
		assert_true(s == PS_KILLING || effects & PX(KILL));
	}
}

/* A process that is being ended never goes back to a gentler state. */
static void
test_a_process_never_goes_back(void **state)
{
	(void)state;
	EACH_LEGAL(&process, from, event, next, fx)
	if (next < from)
		fail_msg("process: state %d, event %d: back to %d", from, event, next);
}

static void
check_reachable(const struct table *table, int start)
{
	bool seen[16] = {false};

	seen[start] = true;
	for (int round = 0; round < table->states; round++)
		EACH_LEGAL(table, from, event, next, fx)
	if (seen[from])
		seen[next] = true;
	for (int s = 0; s < table->states; s++)
		if (!seen[s])
			fail_msg("%s: state %d cannot be reached", table->title, s);
}

static void
test_every_state_can_be_reached(void **state)
{
	(void)state;
	check_reachable(&process, PS_STARTING);
	check_reachable(&slot, SS_STOPPED);
	check_reachable(&reload, RS_IDLE);
}

static void
test_a_spawn_enters_starting(void **state)
{
	(void)state;
	EACH_LEGAL(&slot, from, event, next, fx)
	{
		bool enters = next == SS_STARTING && (from != SS_STARTING || event == SE_GONE_BACK);

		assert_int_equal((fx & SX(SPAWN)) != 0, enters);
	}
}

/* A slot has one process: it is spawned only where none is. */
static void
test_a_spawn_follows_the_end_of_the_last_process(void **state)
{
	static const bool has_process[SS_COUNT] = {
		[SS_STARTING] = true,
		[SS_READY] = true,
		[SS_STOPPING] = true,
		[SS_RESTARTING] = true,
	};

	(void)state;
	EACH_LEGAL(&slot, from, event, next, fx)
	{
		bool gone = event >= SE_GONE_RETRY && event <= SE_GONE_EXCESS;

		assert_true(!gone || has_process[from]);
		if (fx & SX(SPAWN))
			assert_true(gone || !has_process[from]);
		if (fx & SX(STOP_PROCESS))
			assert_true(has_process[from] && has_process[next]);
		/* TAKEN brings one along, LENT takes it away. */
		assert_int_equal(has_process[next],
				 event == SE_TAKEN || (fx & SX(SPAWN)) != 0 ||
					 (has_process[from] && !gone && event != SE_LENT));
	}
	for (int s = 0; s < SS_COUNT; s++)
		for (int event = SE_GONE_RETRY; event <= SE_GONE_EXCESS; event++)
			assert_int_equal(handles(&slot, s, event), has_process[s]);
}

static void
test_backoff_is_entered_with_its_pause(void **state)
{
	(void)state;
	EACH_LEGAL(&slot, from, event, next, fx)
	{
		if (next == SS_BACKOFF)
			assert_true(fx & SX(ARM));
		if (from == SS_BACKOFF)
			assert_true(event == SE_TIMEOUT || fx & SX(DISARM));
	}
}

/* What plugd has given up on, only an operator takes up again, or the reload that he began. */
static void
test_giving_up_is_undone_by_operators_only(void **state)
{
	static const int given_up[] = {SS_FAILED, SS_QUARANTINED, SS_STOPPED};

	(void)state;
	for (size_t i = 0; i < sizeof(given_up) / sizeof(*given_up); i++)
		for (int event = 0; event < SE_COUNT; event++)
			assert_int_equal(handles(&slot, given_up[i], event),
					 event == SE_START || event == SE_STOP ||
						 event == SE_RESTART || event == SE_TAKEN);
}

/* START, STOP and RESTART always have an answer, now (SETTLE) or by a later event. */
static void
test_operators_are_never_refused(void **state)
{
	(void)state;
	for (int s = 0; s < SS_COUNT; s++) {
		assert_true(handles(&slot, s, SE_START));
		assert_true(handles(&slot, s, SE_STOP));
		assert_true(handles(&slot, s, SE_RESTART));
	}
	EACH_LEGAL(&slot, from, event, next, fx)
	if (next != from &&
	    (next == SS_READY || next == SS_STOPPED || next == SS_FAILED || next == SS_QUARANTINED))
		assert_true(fx & SX(SETTLE));
}

/* Calls that wait end where no process is expected any more. */
static void
test_waiting_calls_are_ended(void **state)
{
	(void)state;
	EACH_LEGAL(&slot, from, event, next, fx)
	{
		bool ends = next == SS_STOPPED || next == SS_FAILED || next == SS_QUARANTINED;
		bool ended = from == SS_STOPPED || from == SS_FAILED || from == SS_QUARANTINED;

		if (ends && !ended)
			assert_true(fx & SX(ABANDON));
		if (fx & SX(ABANDON))
			assert_true(ends || next == SS_STOPPING);
	}
}

/* A reload has an end, and says it once: every way back to rest tells it, or was told before. */
static void
test_every_reload_is_answered_once(void **state)
{
	static const bool answered[RS_COUNT] = {[RS_IDLE] = true, [RS_SETTLING] = true};

	(void)state;
	EACH_LEGAL(&reload, from, event, next, fx)
	{
		bool tells = (fx & (RX(DONE) | RX(ROLLED_BACK))) != 0;

		assert_true(!(fx & RX(DONE)) || !(fx & RX(ROLLED_BACK)));
		if (!answered[from])
			assert_int_equal(tells, answered[next]);
		if (fx & RX(DONE))
			assert_int_equal(next, RS_SETTLING);
	}
	for (int s = 0; s < RS_COUNT; s++)
		assert_true(handles(&reload, s, RE_CANCEL));
}

/* Before the switch a failure changes nothing; after it the version before comes back. */
static void
test_a_failed_reload_leaves_the_old_version(void **state)
{
	(void)state;
	EACH_LEGAL(&reload, from, event, next, fx)
	{
		if (event != RE_NEW_GONE)
			continue;
		assert_int_equal(next, RS_IDLE);
		assert_true(fx & RX(ROLLED_BACK));
		assert_int_equal((fx & RX(RETURN)) != 0, from != RS_BESIDE);
	}
}

/* A spare gets the place of a process that plugd did not ask to end, and of no other. */
static void
test_only_what_was_ready_gives_its_place_away(void **state)
{
	(void)state;
	EACH_LEGAL(&process, from, event, next, fx)
	{
		bool unasked = event == PE_FAILED || event == PE_KILL || event == PE_DYING;

		assert_int_equal((fx & PX(VACATE)) != 0, from == PS_READY && unasked);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusal_leaves_the_results_alone),
		cmocka_unit_test(test_cells_are_within_the_tables),
		cmocka_unit_test(test_deadlines_run_where_they_are_handled),
		cmocka_unit_test(test_deadlines_come_to_an_end),
		cmocka_unit_test(test_every_process_ends_by_exit),
		cmocka_unit_test(test_gone_accepts_nothing),
		cmocka_unit_test(test_kill_is_never_refused),
		cmocka_unit_test(test_a_process_never_goes_back),
		cmocka_unit_test(test_every_state_can_be_reached),
		cmocka_unit_test(test_a_spawn_enters_starting),
		cmocka_unit_test(test_a_spawn_follows_the_end_of_the_last_process),
		cmocka_unit_test(test_backoff_is_entered_with_its_pause),
		cmocka_unit_test(test_giving_up_is_undone_by_operators_only),
		cmocka_unit_test(test_operators_are_never_refused),
		cmocka_unit_test(test_waiting_calls_are_ended),
		cmocka_unit_test(test_every_reload_is_answered_once),
		cmocka_unit_test(test_a_failed_reload_leaves_the_old_version),
		cmocka_unit_test(test_only_what_was_ready_gives_its_place_away),
	};

	return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}
