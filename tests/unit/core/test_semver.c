#include <stdio.h>
#include <string.h>

#include "core/semver.h"
#include "support.h"

static struct semver
version(const char *text)
{
	char why[SEMVER_ERR_BYTES] = "";
	struct semver semver;

	if (!semver_parse(text, &semver, why))
		fail_msg("%s: %s", text, why);
	return semver;
}

/* In rising order; those of one group are equal. */
static const char *const ascending[][3] = {
	{"0.0.0-0"},
	{"0.0.0"},
	{"0.0.1"},
	{"0.1.0"},
	{"0.2.9"},
	{"0.2.10"},
	{"1.0.0-0"},
	{"1.0.0-1"},
	{"1.0.0-2"},
	{"1.0.0-10"},
	{"1.0.0-99999999999999999999998"},
	{"1.0.0-99999999999999999999999"},
	{"1.0.0--"},
	{"1.0.0-0a"},
	{"1.0.0-Alpha"},
	{"1.0.0-alpha"},
	{"1.0.0-alpha.1"},
	{"1.0.0-alpha.1.0"},
	{"1.0.0-alpha.beta"},
	{"1.0.0-alpha-"},
	{"1.0.0-beta"},
	{"1.0.0-beta.2"},
	{"1.0.0-beta.11"},
	{"1.0.0-rc.1"},
	{"1.0.0", "1.0.0+build", "1.0.0+001.2"},
	{"1.2.0"},
	{"1.9.0"},
	{"1.10.0-rc.1", "1.10.0-rc.1+x"},
	{"1.10.0"},
	{"2.0.0"},
	{"10.0.0"},
	{"4294967295.4294967295.4294967295"},
};

#define GROUPS (sizeof(ascending) / sizeof(ascending[0]))

static int
sign(int order)
{
	return (order > 0) - (order < 0);
}

static void
test_precedence_is_a_total_order(void **state)
{
	(void)state;
	for (size_t a = 0; a < GROUPS; a++)
		for (size_t b = 0; b < GROUPS; b++)
			for (size_t i = 0; i < 3 && ascending[a][i]; i++)
				for (size_t j = 0; j < 3 && ascending[b][j]; j++) {
					struct semver left = version(ascending[a][i]);
					struct semver right = version(ascending[b][j]);

					assert_int_equal(sign(semver_compare(&left, &right)),
							 (a > b) - (a < b));
				}
}

static void
test_formatted_versions_read_back(void **state)
{
	(void)state;
	for (size_t a = 0; a < GROUPS; a++) {
		struct semver first = version(ascending[a][0]), again;
		char text[SEMVER_TEXT_BYTES];

		semver_format(&first, text);
		assert_string_equal(text, ascending[a][0]);
		again = version(text);
		assert_int_equal(semver_compare(&first, &again), 0);
	}
}

static void
test_what_is_no_version(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "empty"},
		{"1", "1 of the three parts"},
		{"1.2", "2 of the three parts"},
		{"1.2.", "a number is missing at the end"},
		{"1..2", "a number is missing before"},
		{"v1.2.3", "a number is missing before \"v1.2.3\""},
		{" 1.2.3", "a number is missing"},
		{"1.2.3 ", "follows the version"},
		{"1.2.3.4", "\".4\" follows the version"},
		{"01.2.3", "begins with a 0 too many"},
		{"1.02.3", "begins with a 0 too many"},
		{"1.2.03", "begins with a 0 too many"},
		{"1.2.3-", "prerelease has an empty part"},
		{"1.2.3-a..b", "prerelease has an empty part"},
		{"1.2.3-01", "begins with a 0 too many"},
		{"1.2.3-ä", "prerelease has an empty part"},
		{"1.2.3-a_b", "follows the version"},
		{"1.2.3+", "build metadata has an empty part"},
		{"1.2.3+a+b", "follows the version"},
		{"-1.2.3", "a number is missing"},
		{"4294967296.0.0", "larger than 4294967295"},
		{"99999999999999999999999.0.0", "larger than 4294967295"},
		{"1.2.3-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		 "longer than 47"},
		{"1.2.*", "a version has no *"},
		{"*", "a version has no *"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct semver untouched = {.major = 77};
		char why[SEMVER_ERR_BYTES] = "";

		assert_false(semver_parse(cases[i].text, &untouched, why));
		assert_int_equal(untouched.major, 77);
		if (!strstr(why, cases[i].why))
			fail_msg("%s: %s", cases[i].text, why);
	}
}

static void
test_ranges(void **state)
{
	/* range, versions that satisfy it, versions that do not */
	static const struct {
		const char *range, *in, *out;
	} cases[] = {
		{"*", "0.0.0 1.2.3 99.0.0", "1.0.0-rc.1"},
		{">=1.0", "1.0.0 1.10.0 2.0.0", "0.9.9 1.0.0-rc.1 1.1.0-rc.1"},
		{">1.0", "1.0.1 2.0.0", "1.0.0 0.9.0"},
		{"<=1.2", "1.2.0 0.1.0", "1.2.1 2.0.0"},
		{"<2", "1.99.99 0.0.0", "2.0.0 2.0.0-rc.1 1.9.9-rc.1"},
		{">=1.0 <2", "1.0.0 1.9.0 1.10.0", "0.9.0 2.0.0"},
		{">=1.0,<2", "1.0.0 1.9.9", "2.0.0"},
		{">= 1.0 , < 2", "1.0.0 1.9.9", "2.0.0"},
		{">=1.0<2", "1.0.0", "2.0.0"},
		{"1.2.3", "1.2.3 1.2.3+build", "1.2.4 1.2.2 1.2.3-rc.1"},
		{"=1.2.3", "1.2.3", "1.2.4"},
		{"==1.2", "1.2.0", "1.2.1"},
		{"==1.2.*", "1.2.0 1.2.99", "1.3.0 1.1.9"},
		{"1.*", "1.0.0 1.99.0", "2.0.0 0.9.0"},
		{"!=1.2.3", "1.2.4 1.2.2", "1.2.3 1.2.4-rc.1"},
		{"!=1.2.*, >=1", "1.1.0 1.3.0", "1.2.0 1.2.9 0.9.0"},
		{"^1.2.3", "1.2.3 1.9.0 1.10.0", "1.2.2 2.0.0 2.0.0-rc.1"},
		{"^1.2", "1.2.0 1.9.0", "1.1.9 2.0.0"},
		{"^1", "1.0.0 1.99.0", "0.9.0 2.0.0"},
		{"^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0 1.0.0"},
		{"^0.0.3", "0.0.3", "0.0.2 0.0.4 0.1.0"},
		{"^0.0", "0.0.0 0.0.9", "0.1.0"},
		{"^0", "0.0.0 0.9.0", "1.0.0"},
		{"~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"},
		{"~1.2", "1.2.0 1.2.9", "1.3.0 1.1.0"},
		{"~1", "1.0.0 1.9.9", "2.0.0 0.9.9"},
		{"~=1.4.2", "1.4.2 1.4.9", "1.4.1 1.5.0"},
		{"~=1.4", "1.4.0 1.9.0", "1.3.9 2.0.0"},
		{">=2.0.0-rc.1", "2.0.0-rc.1 2.0.0-rc.2 2.0.0 2.1.0",
		 "2.0.0-beta 2.1.0-rc.1 1.9.0"},
		{"==2.0.0-rc.1", "2.0.0-rc.1", "2.0.0-rc.2 2.0.0"},
		{"^2.0.0-rc.1", "2.0.0-rc.1 2.0.0 2.5.0", "2.1.0-rc.1 3.0.0 2.0.0-beta"},
		{"^0.0.3-beta", "0.0.3-beta 0.0.3-rc 0.0.3", "0.0.4 0.0.4-beta 0.0.3-alpha"},
		{"!=2.0.0-rc.1", "2.0.0", "2.0.0-rc.1 2.0.0-rc.2"},
		{">1 >=1 <9 <8 !=2.0.0 !=3.0.0 !=4.0.0 <=7", "1.5.0 7.0.0", "2.0.0 3.0.0 7.0.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char why[SEMVER_ERR_BYTES] = "", list[200], *rest, *word;
		struct semver_range range;

		if (!semver_range_parse(cases[i].range, &range, why))
			fail_msg("%s: %s", cases[i].range, why);
		for (int inside = 0; inside < 2; inside++) {
			snprintf(list, sizeof(list), "%s", inside ? cases[i].in : cases[i].out);
			rest = list;
			while ((word = strsep(&rest, " "))) {
				struct semver one = version(word);

				if (semver_range_matches(&range, &one) != (bool)inside)
					fail_msg("%s and %s: not %d", cases[i].range, word, inside);
			}
		}
	}
}

static void
test_what_is_no_range(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "* stands for any version"},
		{"   ", "* stands for any version"},
		{">=", "a number is missing at the end"},
		{">=1.0,", "after the last comma"},
		{",>=1.0", "a number is missing"},
		{">=1.0,,<2", "a number is missing"},
		{">=1.0 ||<2", "a number is missing"},
		{"=>1.0", "a number is missing"},
		{">=*", "* goes with == and != only"},
		{"^1.*", "* goes with == and != only"},
		{"!=*", "allows no version"},
		{"~=1", "needs at least two parts"},
		{"latest", "a number is missing"},
		{">=1.0;", "neither a bound nor a separator"},
		{">=1.x", "a number is missing"},
		{">=1 >=1 >=1 >=1 >=1 >=1 >=1 >=1 >=1", "more than 8 bounds"},
		{"^0.0.4294967295", "too large"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct semver_range untouched = {.count = 77};
		char why[SEMVER_ERR_BYTES] = "";

		if (semver_range_parse(cases[i].text, &untouched, why))
			fail_msg("%s was accepted", cases[i].text);
		assert_int_equal(untouched.count, 77);
		if (!strstr(why, cases[i].why))
			fail_msg("%s: %s", cases[i].text, why);
	}
}

/* Whatever an operator means, it and its opposite split all releases between them. */
static void
test_opposites_split_all_releases(void **state)
{
	static const char *const pairs[][2] = {
		{">=%s", "<%s"}, {">%s", "<=%s"}, {"==%s", "!=%s"}, {"==%s.*", "!=%s.*"}};
	static const char *const bounds[] = {"0.0", "0.2", "1.0", "1.9", "1.10", "2.0"};

	(void)state;
	for (size_t p = 0; p < 4; p++)
		for (size_t b = 0; b < 6; b++)
			for (size_t v = 0; v < GROUPS; v++) {
				struct semver one = version(ascending[v][0]);
				char text[2][32], why[SEMVER_ERR_BYTES];
				struct semver_range range[2];

				for (int side = 0; side < 2; side++) {
					const char *op = pairs[p][side];
					size_t before = strcspn(op, "%");

					snprintf(text[side], sizeof(text[side]), "%.*s%s%s",
						 (int)before, op, bounds[b], op + before + 2);
					assert_true(
						semver_range_parse(text[side], &range[side], why));
				}
				if (*one.pre)
					continue;
				assert_int_not_equal(semver_range_matches(&range[0], &one),
						     semver_range_matches(&range[1], &one));
			}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_precedence_is_a_total_order),
		cmocka_unit_test(test_formatted_versions_read_back),
		cmocka_unit_test(test_what_is_no_version),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_what_is_no_range),
		cmocka_unit_test(test_opposites_split_all_releases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
