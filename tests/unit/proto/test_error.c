/* The table of errors is wire contract: numbers and names may only be added. */
#include <plug/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Written down a second time on purpose: renumbering the table must break this. */
static const char *const names[] = {
	[0] = "PLUG_OK",         [1] = "PLUG_ESYS",          [2] = "PLUG_EINVAL",
	[3] = "PLUG_ENOMEM",     [4] = "PLUG_ESTATE",        [5] = "PLUG_EPROTO",
	[6] = "PLUG_EGONE",      [7] = "PLUG_EUNAVAILABLE",  [8] = "PLUG_ETIMEOUT",
	[9] = "PLUG_ECANCELLED", [10] = "PLUG_EOVERLOADED",  [11] = "PLUG_ETOOLARGE",
	[12] = "PLUG_ENOTFOUND", [13] = "PLUG_ENOMETHOD",    [14] = "PLUG_EDENIED",
	[15] = "PLUG_EPLUGIN",   [16] = "PLUG_EUNREACHABLE", [17] = "PLUG_EVERSION",
	[18] = "PLUG_EAGAIN",    [19] = "PLUG_EBUSY",        [20] = "PLUG_EPOISON",
};
#define COUNT (sizeof(names) / sizeof(*names))

static void
test_numbers_are_as_documented(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		assert_string_equal(plug_err_name((plug_err)i), names[i]);
}

static void
test_table_has_no_other_entry(void **state)
{
#define ONE(name, number, text) +1
	(void)state;
	assert_int_equal(0 PLUG_ERR_MAP(ONE), COUNT);
#undef ONE
}

static void
test_names_and_texts_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		assert_true(strlen(plug_err_text((plug_err)i)) > 0);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(plug_err_name((plug_err)i),
						plug_err_name((plug_err)j));
			assert_string_not_equal(plug_err_text((plug_err)i),
						plug_err_text((plug_err)j));
		}
	}
}

/* A newer peer may send a number that this version does not know. */
static void
test_unknown_numbers_have_a_name_too(void **state)
{
	static const int unknown[] = {COUNT, COUNT + 1, 31};

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		plug_err err;

		memcpy(&err, &unknown[i], sizeof(err));
		assert_string_equal(plug_err_name(err), "PLUG_E?");
		assert_string_equal(plug_err_text(err), "an error this version does not know");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_are_as_documented),
		cmocka_unit_test(test_table_has_no_other_entry),
		cmocka_unit_test(test_names_and_texts_are_unique),
		cmocka_unit_test(test_unknown_numbers_have_a_name_too),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
