#include <stdio.h>
#include <string.h>

#include "core/pep440.h"
#include "support.h"

static struct pep440
version(const char *text)
{
	char why[PEP440_ERR_BYTES] = "";
	struct pep440 pep440;

	if (!pep440_parse(text, &pep440, why))
		fail_msg("%s: %s", text, why);
	return pep440;
}

/* In rising order; those of one group are equal. */
static const char *const ascending[][7] = {
	{"0"},
	{"0.0.1"},
	{"0.9"},
	{"0.10"},
	{"1.0.dev0", "1.dev", "1.0-dev", "1.0.0_DEV0"},
	{"1.0.dev456"},
	{"1.0a0.dev1"},
	{"1.0a0", "1.0a", "1.0alpha", "1.0-ALPHA.0", "v1a0"},
	{"1.0a1.dev2"},
	{"1.0a1"},
	{"1.0a1.post0.dev1"},
	{"1.0a1.post0", "1.0a1.post", "1.0a1-0"},
	{"1.0a2"},
	{"1.0a10"},
	{"1.0b1.dev456"},
	{"1.0b2", "1.0beta2", "1.0.beta.2", "1.0_b2"},
	{"1.0b2.post345"},
	{"1.0rc1.dev456"},
	{"1.0rc1", "1.0c1", "1.0pre1", "1.0-preview-1", "1.0.RC.1"},
	{"1.0", "1", "1.0.0.0", "v1.0", "1.0+cu118", "1.0+ubuntu.1-x_2", "01.00"},
	{"1.0.post0.dev3"},
	{"1.0.post0", "1.0.post", "1.0-r", "1.0rev0"},
	{"1.0.post456.dev34"},
	{"1.0.post456", "1.0-456", "1.0r456", "1.0.rev-456"},
	{"1.0.0.1"},
	{"1.1.dev1"},
	{"1.1"},
	{"1.9.9"},
	{"1.10"},
	{"2.0rc1"},
	{"2.0"},
	{"2024.1"},
	{"2024.10.1.2.3.4.5.6.7.8.9.10.11.12.13.14"},
	{"20240101123456789"},
	{"18446744073709551615"},
	{"1!0.1"},
	{"1!2.0"},
	{"2!0"},
};

#define GROUPS (sizeof(ascending) / sizeof(ascending[0]))

static int
sign(int order)
{
	return (order > 0) - (order < 0);
}

static void
test_a_total_order(void **state)
{
	(void)state;
	for (size_t a = 0; a < GROUPS; a++)
		for (size_t b = 0; b < GROUPS; b++)
			for (size_t i = 0; i < 7 && ascending[a][i]; i++)
				for (size_t j = 0; j < 7 && ascending[b][j]; j++) {
					struct pep440 left = version(ascending[a][i]);
					struct pep440 right = version(ascending[b][j]);

					if (sign(pep440_compare(&left, &right)) !=
					    (a > b) - (a < b))
						fail_msg("%s and %s", ascending[a][i],
							 ascending[b][j]);
				}
}

static void
test_what_is_no_version(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "empty"},
		{"x", "a number is missing before \"x\""},
		{"v", "a number is missing before \"v\""},
		{"1.", "\".\" follows the version"},
		{"1..2", "\"..2\" follows the version"},
		{"1.0 ", "\" \" follows the version"},
		{" 1.0", "a number is missing"},
		{"1.0-unknown", "\"-unknown\" follows the version"},
		{"1.0.alpine", "\"lpine\" follows the version"},
		{"1.0.dev1.post2", "\".post2\" follows the version"},
		{"1.0.dev1a1", "\"a1\" follows the version"},
		{"1.0+", "local version has an empty part"},
		{"1.0+a..b", "local version has an empty part"},
		{"1.0+a+b", "\"+b\" follows the version"},
		{"1!", "a number is missing at the end"},
		{"1!2!3", "\"!3\" follows the version"},
		{"-1", "a number is missing"},
		{"1.*", "a version has no *"},
		{"*", "a version has no *"},
		{"18446744073709551616", "larger than 18446744073709551615"},
		{"1.0a99999999999999999999999", "larger than"},
		{"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17", "more than 16 parts"},
		{"1.0\xc3\xa4", "follows the version"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pep440 untouched = {.epoch = 77};
		char why[PEP440_ERR_BYTES] = "";

		if (pep440_parse(cases[i].text, &untouched, why))
			fail_msg("%s was accepted", cases[i].text);
		assert_int_equal(untouched.epoch, 77);
		if (!strstr(why, cases[i].why))
			fail_msg("%s: %s", cases[i].text, why);
	}
}

/* A range, as pip takes it, versions that satisfy it, versions that do not. */
static const struct {
	const char *range, *pip, *in, *out;
} ranges[] = {
	{"*", "", "0 1.2.3 1.0.post1 9!1", "1.0rc1 1.0.dev1 1.0.post1.dev1"},
	{">=1.26,<3", ">=1.26,<3", "1.26 1.26.4 1.26.post1 2.9", "1.25.9 3 3.0.0 3.0rc1 1.26rc1"},
	{">=1.9", ">=1.9", "1.10 1.9.0 1!0.1", "1.8.9 1.9rc1"},
	{"> 1.7 , < 2", ">1.7,<2", "1.7.1 1.7.0.1", "1.7 1.7.0 1.7.post1 1.6.post9"},
	{">1.7.post2", ">1.7.post2", "1.7.post3 1.7.1", "1.7.post2 1.7.post1 1.7"},
	{"<=1.2", "<=1.2", "1.2 1.2.0 0.1", "1.2.1 1.2.post1"},
	{"<2", "<2", "1.99", "2 2.0rc1 2.0.dev1"},
	{"<2.0rc2,>0", "<2.0rc2,>0", "1.9 2.0rc1 2.0b7", "2.0rc2 1.9rc1"},
	{"1.2", "==1.2", "1.2 1.2.0 1.2+local", "1.2.1 1.2.post1 1.2rc1"},
	{"=1.2", "==1.2", "1.2", "1.3"},
	{"==1.2.*", "==1.2.*", "1.2 1.2.0 1.2.99 1.2.post1", "1.3 1.1.9 1!1.2 1.2rc1 1.20"},
	{"1.*", "==1.*", "1 1.99", "2 0.9 10"},
	{"==1!2.*", "==1!2.*", "1!2.5", "2.5 2!2.5"},
	{"!=1.2", "!=1.2", "1.2.1 1.2.post1", "1.2 1.2.0 1.3rc1"},
	{"!=1.2.*, >=1", "!=1.2.*,>=1", "1.1 1.3", "1.2 1.2.9 0.9"},
	{"1.0!=1.1", "==1.0,!=1.1", "1.0", "1.1"},
	{"^1.2.3", ">=1.2.3,==1.*", "1.2.3 1.9 1.10 1.2.3.4", "1.2.2 2.0 2.0rc1"},
	{"^1", ">=1,==1.*", "1 1.99", "0.9 2"},
	{"^0.2.3", ">=0.2.3,==0.2.*", "0.2.3 0.2.9", "0.2.2 0.3 1.0"},
	{"^0.0.3", ">=0.0.3,==0.0.3.*", "0.0.3 0.0.3.1 0.0.3.post1", "0.0.2 0.0.4 0.1"},
	{"^0.0", ">=0.0,==0.0.*", "0.0 0.0.9", "0.1"},
	{"^0", ">=0,==0.*", "0 0.9", "1"},
	{"^2024.1", ">=2024.1,==2024.*", "2024.1 2024.12.1", "2023.9 2025.1"},
	{"~1.2.3", ">=1.2.3,==1.2.*", "1.2.3 1.2.9", "1.2.2 1.3"},
	{"~1.2", ">=1.2,==1.2.*", "1.2 1.2.9", "1.3 1.1"},
	{"~1", ">=1,==1.*", "1 1.9.9", "2 0.9.9"},
	{"~=1.4.2", ">=1.4.2,==1.4.*", "1.4.2 1.4.9", "1.4.1 1.5"},
	{"~=1.4", ">=1.4,==1.*", "1.4 1.9", "1.3.9 2.0"},
	{"~=1.4.5.0", ">=1.4.5.0,==1.4.5.*", "1.4.5 1.4.5.7", "1.4.6 1.4.4"},
	{"~=2.2.post3", ">=2.2.post3,==2.*", "2.2.post3 2.3", "2.2.post2 2.2 3.0"},
	{"~=1!2.3", ">=1!2.3,==1!2.*", "1!2.4", "2.4 1!3"},
	{">=2.0rc1", ">=2.0rc1", "2.0rc1 2.0.0rc2 2.0 2.1", "2.0b9 2.1rc1 1.9 2.0rc1.dev1"},
	{"==2.0-RC.1", "==2.0rc1", "2.0rc1", "2.0rc2 2.0"},
	{"^2.0a1", ">=2.0a1,==2.*", "2.0a1 2.0 2.5", "2.1a1 3.0"},
	{"!=2.0rc1", "!=2.0rc1", "2.0", "2.0rc1 2.0rc2"},
	{">=1.0.dev3", ">=1.0.dev3", "1.0.dev3 1.0.dev4 1.0a1 1.0", "1.0.dev2 1.1.dev4"},
	{">=v1.0-1", ">=1.0.post1", "1.0.post1 1.1", "1.0"},
};

static void
each(const char *words, void (*one)(size_t range, const char *word, bool inside), size_t range,
     bool inside)
{
	char list[200], *rest = list, *word;

	snprintf(list, sizeof(list), "%s", words);
	while ((word = strsep(&rest, " ")))
		one(range, word, inside);
}

static void
check_one(size_t range, const char *word, bool inside)
{
	char why[PEP440_ERR_BYTES], pip[PEP440_TEXT_BYTES];
	struct pep440 one = version(word);
	struct pep440_range written, formatted;

	if (!pep440_range_parse(ranges[range].range, &written, why))
		fail_msg("%s: %s", ranges[range].range, why);
	pep440_range_format(&written, pip, sizeof(pip));
	assert_string_equal(pip, ranges[range].pip);
	if (pep440_range_matches(&written, &one) != inside)
		fail_msg("%s and %s: not %d", ranges[range].range, word, inside);
	if (*pip && (!pep440_range_parse(pip, &formatted, why) ||
		     pep440_range_matches(&formatted, &one) != inside))
		fail_msg("%s, formatted as %s, and %s: not %d", ranges[range].range, pip, word,
			 inside);
}

static void
test_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		each(ranges[i].in, check_one, i, true);
		each(ranges[i].out, check_one, i, false);
	}
}

static void
test_what_is_no_range(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "* stands for any version"},
		{">=", "a number is missing at the end"},
		{">=1.0,", "after the last comma"},
		{",>=1.0", "a number is missing"},
		{"===1.0", "a number is missing before \"=1.0\""},
		{"=>1.0", "a number is missing"},
		{">=*", "* goes with == and != only"},
		{"^1.*", "* goes with == and != only"},
		{"~=1.*", "* goes with == and != only"},
		{"!=*", "allows no version"},
		{"~=1", "needs at least two parts"},
		{"latest", "a number is missing"},
		{">=1.0; python_version<\"3\"", "neither a bound nor a separator"},
		{"==2.1+cu118", "\"+cu118\" is a local version, which is not compared"},
		{"==1.0rc1.*", "\".*\" is neither a bound nor a separator"},
		{">=1 >=1 >=1 >=1 >=1 >=1 >=1 >=1 >=1", "more than 8 bounds"},
		{"^1 ^1 ^1 ^1 ^1", "more than 8 bounds"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pep440_range untouched = {.count = 77};
		char why[PEP440_ERR_BYTES] = "";

		if (pep440_range_parse(cases[i].text, &untouched, why))
			fail_msg("%s was accepted", cases[i].text);
		assert_int_equal(untouched.count, 77);
		if (!strstr(why, cases[i].why))
			fail_msg("%s: %s", cases[i].text, why);
	}
}

static void
test_a_text_that_does_not_fit_is_cut(void **state)
{
	struct pep440_range range;
	char why[PEP440_ERR_BYTES], text[8];

	(void)state;
	assert_true(pep440_range_parse(">=1.2.3, <2.3.4", &range, why));
	for (size_t size = 1; size <= sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		pep440_range_format(&range, text, size);
		assert_int_equal(strlen(text), size - 1);
		assert_memory_equal(text, ">=1.2.3", size - 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_total_order),
		cmocka_unit_test(test_what_is_no_version),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_what_is_no_range),
		cmocka_unit_test(test_a_text_that_does_not_fit_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
