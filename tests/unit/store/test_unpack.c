#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "install/unpack.h"

static void
test_which_links_stay(void **state)
{
	static const struct {
		const char *target;
		unsigned depth;
		bool stays;
	} cases[] = {
		{"a", 0, true},       {"a/b/c", 0, true},   {"./a", 0, true},
		{"../a", 1, true},    {"../../a", 2, true}, {"..a", 0, true},
		{"", 0, false},       {"/", 0, false},      {"/a", 5, false},
		{"..", 1, false},     {"../a", 0, false},   {"../../a", 1, false},
		{"a/..", 0, false},   {"a/../b", 3, false}, {".", 0, false},
		{"./../a", 0, false}, {"./../a", 1, true},  {"a/./../b", 5, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (unpack_link_stays(cases[i].target, cases[i].depth) != cases[i].stays)
			fail_msg("\"%s\" at depth %u", cases[i].target, cases[i].depth);
}

/*
 * The rule against the kernel: every link of up to four parts, beside links that the rule lets
 * pass, resolved where leading out would show.
 */
static void
test_what_stays_by_the_rule_stays(void **state)
{
	static const char *const parts[] = {".", "..", "d", "up", "f"};
	char base[] = "/tmp/unpack-XXXXXX", target[64], real[4096], root[4096];
	size_t kept = 0;

	(void)state;
	assert_non_null(mkdtemp(base));
	assert_int_equal(chdir(base), 0);
	assert_int_equal(system("mkdir -p t/d/d t/d/f && ln -s d/d t/up && ln -s ../d t/d/up"), 0);
	snprintf(root, sizeof(root), "%s/t", base);
	assert_int_equal(chdir("t/d"), 0);
	for (unsigned number = 0; number < 5 * 5 * 5 * 5; number++) {
		snprintf(target, sizeof(target), "%s/%s/%s/%s", parts[number % 5],
			 parts[number / 5 % 5], parts[number / 25 % 5], parts[number / 125]);
		if (!unpack_link_stays(target, 1))
			continue;
		kept++;
		assert_int_equal(symlink(target, "link"), 0);
		if (realpath("link", real) && strncmp(real, root, strlen(root)) != 0)
			fail_msg("%s leads to %s", target, real);
		unlink("link");
	}
	assert_true(kept > 20);
	assert_int_equal(chdir("/"), 0);
	snprintf(target, sizeof(target), "rm -r %s", base);
	assert_int_equal(system(target), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_links_stay),
		cmocka_unit_test(test_what_stays_by_the_rule_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
