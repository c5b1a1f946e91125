/* What the lifecycle tables say to people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/lifecycle.h"

static bool
process_takes(int state, int event)
{
	enum process_state next;
	uint32_t effects;

	return lc_process_step((enum process_state)state, (enum process_event)event, &next,
			       &effects);
}

static bool
slot_takes(int state, int event)
{
	enum slot_state next;
	uint32_t effects;

	return lc_slot_step((enum slot_state)state, (enum slot_event)event, &next, &effects);
}

static bool
reload_takes(int state, int event)
{
	enum reload_state next;
	uint32_t effects;

	return lc_reload_step((enum reload_state)state, (enum reload_event)event, &next, &effects);
}

static char *
markdown(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	lc_print_markdown(out);
	fclose(out);
	return text;
}

static void
expect_row(const char *text, const char *name)
{
	char row[96];

	snprintf(row, sizeof(row), "\n| %s | ", name);
	if (!strstr(text, row))
		fail_msg("the Markdown does not explain %s", name);
}

static void
test_markdown_mentions_everything(void **state)
{
	static const char *const names[] = {
#define NAME3(symbol, word, meaning) #symbol,
#define NAME2(symbol, meaning)       #symbol,
		LC_PROCESS_STATE_MAP(NAME3) LC_SLOT_STATE_MAP(NAME3) LC_PROCESS_EVENT_MAP(NAME2)
			LC_SLOT_EVENT_MAP(NAME2) LC_PROCESS_EFFECT_MAP(NAME2)
				LC_SLOT_EFFECT_MAP(NAME2) LC_RELOAD_STATE_MAP(NAME2)
					LC_RELOAD_EVENT_MAP(NAME2) LC_RELOAD_EFFECT_MAP(NAME2)};
	char *text = markdown();
	size_t cells = 0, expected = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		expect_row(text, names[i]);
	for (const char *at = text; (at = strstr(at, " – |")); at++)
		cells++;
	for (int s = 0; s < PS_COUNT; s++)
		for (int e = 0; e < PE_COUNT; e++)
			expected += !process_takes(s, e);
	for (int s = 0; s < SS_COUNT; s++)
		for (int e = 0; e < SE_COUNT; e++)
			expected += !slot_takes(s, e);
	for (int s = 0; s < RS_COUNT; s++)
		for (int e = 0; e < RE_COUNT; e++)
			expected += !reload_takes(s, e);
	assert_int_equal(cells, expected);
	assert_non_null(
		strstr(text, "| **STARTING** | TESTING `ARM` `PROBE` | READY `DISARM` `ROUTE` |"));
	free(text);
}

static void
test_words(void **state)
{
	(void)state;
	assert_string_equal(lc_process_word(PS_TERMINATING), "stopping");
	assert_string_equal(lc_process_state_name(PS_TERMINATING), "TERMINATING");
	assert_string_equal(lc_process_event_name(PE_EXITED), "EXITED");
	assert_string_equal(lc_slot_word(SS_QUARANTINED), "quarantined");
	assert_string_equal(lc_slot_event_name(SE_GONE_RETRY), "GONE_RETRY");
	assert_string_equal(lc_reload_state_name(RS_SETTLING), "SETTLING");
	assert_string_equal(lc_reload_event_name(RE_NEW_GONE), "NEW_GONE");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_markdown_mentions_everything),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
