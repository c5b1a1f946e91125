/* The tables of core/lifecycle: named walks through them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lifecycle_tables.h"

#define END (-1)

struct walk {
	const char *name;
	int start;
	struct {
		int event, next;
		uint32_t effects;
	} steps[8];
};

/* clang-format off */
#define TO(event, next, fx) { PE_##event, PS_##next, (fx) }
static const struct walk process_walks[] = {
	{ "starts, drains and stops in order", PS_STARTING, {
		TO(READY, READY, PX(DISARM) | PX(ROUTE)),
		TO(STOP, DRAINING, PX(DRAIN) | PX(ARM)),
		TO(DRAINED, STOPPING, PX(STOP) | PX(ARM)),
		TO(EXITED, GONE, PX(DISARM) | PX(RELEASE)), { END } } },
	{ "nothing it is told ends it", PS_STARTING, {
		TO(READY, READY, PX(DISARM) | PX(ROUTE)),
		TO(STOP, DRAINING, PX(DRAIN) | PX(ARM)),
		TO(TIMEOUT, STOPPING, PX(STOP) | PX(ARM)),
		TO(TIMEOUT, TERMINATING, PX(TERM) | PX(ARM)),
		TO(TIMEOUT, KILLING, PX(KILL) | PX(ARM)),
		TO(TIMEOUT, STUCK, PX(STUCK)),
		TO(EXITED, GONE, PX(RELEASE)), { END } } },
	{ "crashes while it starts", PS_STARTING, {
		TO(EXITED, GONE, PX(DISARM) | PX(RELEASE)), { END } } },
	{ "crashes while it is ready", PS_READY, { TO(EXITED, GONE, PX(RELEASE)), { END } } },
	{ "crashes while it drains", PS_DRAINING, {
		TO(EXITED, GONE, PX(DISARM) | PX(RELEASE)), { END } } },
	{ "does not become ready in time", PS_STARTING, {
		TO(TIMEOUT, KILLING, PX(KILL) | PX(ARM)), { END } } },
	{ "says FAILED while it starts, and does not leave", PS_STARTING, {
		TO(FAILED, STOPPING, PX(ARM)),
		TO(TIMEOUT, TERMINATING, PX(TERM) | PX(ARM)), { END } } },
	{ "breaks the protocol", PS_READY, {
		TO(KILL, KILLING, PX(KILL) | PX(ARM) | PX(VACATE)),
		TO(READY, KILLING, 0),
		TO(EXITED, GONE, PX(DISARM) | PX(RELEASE)), { END } } },
	{ "passes its probe", PS_STARTING, {
		TO(TEST, TESTING, PX(PROBE) | PX(ARM)),
		TO(READY, READY, PX(DISARM) | PX(ROUTE)), { END } } },
	{ "does not pass its probe", PS_STARTING, {
		TO(TEST, TESTING, PX(PROBE) | PX(ARM)),
		TO(FAILED, TERMINATING, PX(TERM) | PX(ARM)),
		TO(EXITED, GONE, PX(DISARM) | PX(RELEASE)), { END } } },
	{ "does not answer its probe", PS_TESTING, {
		TO(TIMEOUT, KILLING, PX(KILL) | PX(ARM)), { END } } },
	{ "says that it dies, and does", PS_READY, {
		TO(DYING, STOPPING, PX(ARM) | PX(VACATE)),
		TO(DYING, STOPPING, 0),
		TO(EXITED, GONE, PX(DISARM) | PX(RELEASE)), { END } } },
	{ "says that it dies, and does not", PS_READY, {
		TO(DYING, STOPPING, PX(ARM) | PX(VACATE)),
		TO(TIMEOUT, TERMINATING, PX(TERM) | PX(ARM)), { END } } },
	{ "is stopped before it was ready", PS_STARTING, {
		TO(STOP, TERMINATING, PX(TERM) | PX(ARM)),
		TO(READY, TERMINATING, 0), { END } } },
};
#undef TO

#define TO(event, next, fx) { SE_##event, SS_##next, (fx) }
static const struct walk slot_walks[] = {
	{ "starts and stops", SS_STOPPED, {
		TO(START, STARTING, SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)),
		TO(READY, READY, SX(SETTLE)),
		TO(STOP, STOPPING, SX(STOP_PROCESS)),
		TO(GONE_DONE, STOPPED, SX(ABANDON) | SX(SETTLE)), { END } } },
	{ "crashes and comes back after a pause", SS_READY, {
		TO(GONE_RETRY, BACKOFF, SX(ARM)),
		TO(TIMEOUT, STARTING, SX(SPAWN)),
		TO(READY, READY, SX(SETTLE)), { END } } },
	{ "crashes too often, until an operator starts it", SS_STARTING, {
		TO(GONE_EXCESS, QUARANTINED, SX(ABANDON) | SX(SETTLE)),
		TO(START, STARTING, SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)), { END } } },
	{ "cannot work, until an operator starts it", SS_STARTING, {
		TO(GONE_FAILED, FAILED, SX(ABANDON) | SX(SETTLE)),
		TO(RESTART, STARTING, SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)), { END } } },
	{ "is restarted", SS_READY, {
		TO(RESTART, RESTARTING, SX(FORGIVE) | SX(REOPEN) | SX(STOP_PROCESS)),
		TO(GONE_DONE, STARTING, SX(SPAWN)), { END } } },
	{ "is stopped while it restarts", SS_RESTARTING, {
		TO(STOP, STOPPING, SX(ABANDON)),
		TO(GONE_RETRY, STOPPED, SX(ABANDON) | SX(SETTLE)), { END } } },
	{ "is stopped during its pause", SS_BACKOFF, {
		TO(STOP, STOPPED, SX(DISARM) | SX(ABANDON) | SX(SETTLE)), { END } } },
	{ "is started while it stops", SS_STOPPING, {
		TO(START, RESTARTING, SX(FORGIVE) | SX(REOPEN)),
		TO(GONE_FAILED, STARTING, SX(SPAWN)), { END } } },
	{ "gives way to a spare", SS_READY, {
		TO(TAKEN, READY, 0), { END } } },
	{ "is helped by a spare during its pause", SS_READY, {
		TO(GONE_RETRY, BACKOFF, SX(ARM)),
		TO(TAKEN, READY, SX(DISARM) | SX(SETTLE)), { END } } },
	{ "lends its process to another slot, and gets a new one", SS_READY, {
		TO(LENT, BACKOFF, SX(ARM)),
		TO(TIMEOUT, STARTING, SX(SPAWN)), { END } } },
	{ "dies soon after a reload", SS_READY, {
		TO(GONE_BACK, STARTING, SX(SPAWN)),
		TO(GONE_RETRY, BACKOFF, SX(ARM)), { END } } },
	{ "gives up its old version while the new one starts", SS_READY, {
		TO(GONE_EXCESS, QUARANTINED, SX(ABANDON) | SX(SETTLE)),
		TO(TAKEN, READY, SX(FORGIVE) | SX(SETTLE)), { END } } },
};
#undef TO

#define TO(event, next, fx) { RE_##event, RS_##next, (fx) }
static const struct walk reload_walks[] = {
	{ "is done beside the old process", RS_IDLE, {
		TO(BESIDE, BESIDE, RX(SPAWN)),
		TO(READY, DRAINING, RX(SWITCH)),
		TO(OLD_GONE, SETTLING, RX(DONE)),
		TO(TIMEOUT, IDLE, 0), { END } } },
	{ "is done in the place of the old process", RS_IDLE, {
		TO(INSTEAD, VACATING, RX(VACATE)),
		TO(OLD_GONE, ALONE, 0),
		TO(READY, SETTLING, RX(DONE)),
		TO(TIMEOUT, IDLE, 0), { END } } },
	{ "fails before the switch: nothing has changed", RS_IDLE, {
		TO(BESIDE, BESIDE, RX(SPAWN)),
		TO(NEW_GONE, IDLE, RX(ROLLED_BACK)), { END } } },
	{ "outlives the old process, which dies before the switch", RS_IDLE, {
		TO(BESIDE, BESIDE, RX(SPAWN)),
		TO(OLD_GONE, BESIDE, 0),
		TO(READY, DRAINING, RX(SWITCH)), { END } } },
	{ "fails while the old process drains", RS_DRAINING, {
		TO(NEW_GONE, IDLE, RX(RETURN) | RX(ROLLED_BACK)), { END } } },
	{ "fails where there was no room for both", RS_IDLE, {
		TO(INSTEAD, VACATING, RX(VACATE)),
		TO(OLD_GONE, ALONE, 0),
		TO(NEW_GONE, IDLE, RX(RETURN) | RX(ROLLED_BACK)), { END } } },
	{ "fails soon after", RS_SETTLING, {
		TO(NEW_GONE, IDLE, RX(RETURN) | RX(ROLLED_BACK)), { END } } },
	{ "is followed by the next", RS_SETTLING, {
		TO(BESIDE, BESIDE, RX(SPAWN)), { END } } },
	{ "takes up what waits to be started, and fails", RS_IDLE, {
		TO(PAUSED, ALONE, RX(TAKE_UP)),
		TO(NEW_GONE, IDLE, RX(RETURN) | RX(ROLLED_BACK)), { END } } },
	{ "is called off", RS_BESIDE, {
		TO(CANCEL, IDLE, RX(END_NEW) | RX(ROLLED_BACK)), { END } } },
};
#undef TO
/* clang-format on */

static void
check_walk(const struct table *table, const struct walk *walk)
{
	int state = walk->start;

	for (int i = 0; walk->steps[i].event != END; i++) {
		uint32_t effects = 0;
		int next;

		if (!table->step(state, walk->steps[i].event, &next, &effects))
			fail_msg("%s \"%s\", step %d: refused", table->title, walk->name, i);
		if (next != walk->steps[i].next || effects != walk->steps[i].effects)
			fail_msg("%s \"%s\", step %d: to %d with %#x, expected %d with %#x",
				 table->title, walk->name, i, next, effects, walk->steps[i].next,
				 walk->steps[i].effects);
		state = next;
	}
}

static void
test_walks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(process_walks) / sizeof(*process_walks); i++)
		check_walk(&process, &process_walks[i]);
	for (size_t i = 0; i < sizeof(slot_walks) / sizeof(*slot_walks); i++)
		check_walk(&slot, &slot_walks[i]);
	for (size_t i = 0; i < sizeof(reload_walks) / sizeof(*reload_walks); i++)
		check_walk(&reload, &reload_walks[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walks),
	};

	return cmocka_run_group_tests_name("lifecycle walks", tests, NULL, NULL);
}
