/* Calls that a process may have died of, as their caller remembers them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "wary.h"

static struct plugc_call
call_of(const char *method, const char *payload)
{
	struct plugc_call call;

	plugc_call_init(&call, true);
	call.out.method = method;
	call.out.method_length = strlen(method);
	call.out.content_type = "";
	call.out.payload = (const uint8_t *)payload;
	call.out.size = strlen(payload);
	return call;
}

static bool
marks(struct plugc_wary *wary, const char *method, const char *payload)
{
	struct plugc_call call = call_of(method, payload);

	return plugc_wary_marks(wary, &call);
}

static void
test_one(void **state)
{
	struct plugc_call died = call_of("m", "payload"), first = died, second = died, other;
	struct plugc_wary wary = {0};

	(void)state;
	plugc_wary_init(&wary);
	assert_false(marks(&wary, "m", "payload"));
	plugc_wary_add(&wary, &died, 7, 9);
	assert_false(marks(&wary, "n", "payload"));
	assert_false(marks(&wary, "m", "Payload"));
	assert_false(marks(&wary, "m", "payload2"));
	other = died;
	other.plane_only = true;
	assert_false(plugc_wary_marks(&wary, &other));

	assert_true(plugc_wary_marks(&wary, &first));
	assert_int_equal(first.died_channel, 7);
	assert_int_equal(first.died_number, 9);
	first.outcome = PLUG_EGONE;
	plugc_wary_ended(&first);
	assert_true(plugc_wary_marks(&wary, &second)); /* that was no answer, and plugd was told */
	assert_int_equal(second.died_channel, 0);
	assert_true(plugc_wary_marks(&wary, &second)); /* it stays */
	second.outcome = PLUG_EPLUGIN;
	plugc_wary_ended(&second);
	assert_false(marks(&wary, "m", "payload"));
	assert_int_equal(wary.count, 0);
	plugc_wary_fini(&wary);
}

static void
test_the_oldest_gives_way(void **state)
{
	static const char *const payloads[] = {"a0", "a1", "a2", "a3", "a4",
					       "a5", "a6", "a7", "a8", "a9"};
	struct plugc_wary wary = {0};

	(void)state;
	plugc_wary_init(&wary);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < 10; i++) {
			struct plugc_call call = call_of("m", payloads[i]);

			plugc_wary_add(&wary, &call, 1, i);
			plugc_wary_add(&wary, &call, 1, i); /* the same, twice at a time */
		}
	assert_int_equal(wary.count, PLUGC_WARY_MAX);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(marks(&wary, "m", payloads[i]), i >= 10 - PLUGC_WARY_MAX);
	plugc_wary_fini(&wary);
}

static void
test_ten_minutes(void **state)
{
	struct plugc_call died = call_of("m", "");
	struct plugc_wary wary = {0};

	(void)state;
	plugc_wary_init(&wary);
	plugc_wary_add(&wary, &died, 1, 1);
	assert_true(wary.of[0].until_ns > plugc_now_ns() + (PLUGC_WARY_MS - 60000) * 1000000);
	wary.of[0].until_ns = plugc_now_ns();
	assert_false(marks(&wary, "m", ""));
	assert_int_equal(wary.count, 0);
	plugc_wary_fini(&wary);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_the_oldest_gives_way),
		cmocka_unit_test(test_ten_minutes),
	};

	return cmocka_run_group_tests_name("wary", tests, NULL, NULL);
}
