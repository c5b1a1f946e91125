#include <string.h>

#include "core/distribution.h"
#include "support.h"

static void
test_names(void **state)
{
	static const char *const good[] = {"numpy",          "PyYAML", "a",      "ruamel.yaml",
					   "more_itertools", "7zip",   "a-b.c_d"};
	static const char *const bad[] = {"",     "-a",  "a-",  ".a",       "a_", "a b",
					  "a[x]", "a;b", "a'b", "\xc3\xa4", "a/b"};
	char longest[DISTRIBUTION_NAME_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(distribution_name_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(distribution_name_ok(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[DISTRIBUTION_NAME_BYTES] = '\0';
	assert_false(distribution_name_ok(longest));
	longest[DISTRIBUTION_NAME_BYTES - 1] = '\0';
	assert_true(distribution_name_ok(longest));
}

static void
test_same(void **state)
{
	static const struct {
		const char *left, *right;
		bool same;
	} cases[] = {
		{"numpy", "NumPy", true},
		{"more-itertools", "more_itertools", true},
		{"ruamel.yaml", "ruamel-._-yaml", true},
		{"a-b-c", "A.B_C", true},
		{"numpy", "numpy2", false},
		{"numpy", "nump", false},
		{"a-b", "ab", false},
		{"a", "a-", false},
		{"", "", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *left = cases[i].left, *right = cases[i].right;

		if (distribution_same(left, strlen(left), right, strlen(right)) != cases[i].same ||
		    distribution_same(right, strlen(right), left, strlen(left)) != cases[i].same)
			fail_msg("%s and %s", left, right);
	}
}

static void
test_entries(void **state)
{
	/* name NULL: no distribution; version "": none */
	static const struct {
		const char *entry, *name, *version;
	} cases[] = {
		{"numpy-1.26.4.dist-info", "numpy", "1.26.4"},
		{"PyYAML-6.0.dist-info", "PyYAML", "6.0"},
		{"more_itertools-8.10.0.egg-info", "more_itertools", "8.10.0"},
		{"more-itertools-8.10.0.egg-info", "more-itertools", "8.10.0"},
		{"dbus_python-1.3.2-py3.11.egg-info", "dbus_python", "1.3.2"},
		{"lxml-4.9-py3.11-linux-x86_64.egg-info", "lxml", "4.9"},
		{"scikit_py-1.0.dist-info", "scikit_py", "1.0"},
		{"a-pyx-1.0.egg-info", "a-pyx", "1.0"},
		{"torch-2.1.0+cu118.dist-info", "torch", "2.1.0+cu118"},
		{"pytz-2024.1.post1.dist-info", "pytz", "2024.1.post1"},
		{"x-1!2.0rc1.dist-info", "x", "1!2.0rc1"},
		{"cryptography.egg-info", "cryptography", ""},
		{"more-itertools.egg-info", "more-itertools", ""},
		{"weird-1.0-unknown.dist-info", "weird-1.0-unknown", ""},
		{"~umpy-1.26.4.dist-info", "~umpy", "1.26.4"},
		{"numpy", NULL, NULL},
		{"numpy-1.26.4", NULL, NULL},
		{"numpy-1.26.4.dist-info.bak", NULL, NULL},
		{".dist-info", NULL, NULL},
		{"-1.0.dist-info", NULL, NULL},
		{"-py3.11.egg-info", NULL, NULL},
		{"", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct distribution_entry found = {0};
		bool is_one = distribution_entry(cases[i].entry, &found);

		if (is_one != (cases[i].name != NULL))
			fail_msg("%s: %d", cases[i].entry, is_one);
		if (!is_one)
			continue;
		if (strlen(cases[i].name) != found.name_length ||
		    strncmp(found.name, cases[i].name, found.name_length) != 0 ||
		    strlen(cases[i].version) != found.version_length ||
		    strncmp(found.version, cases[i].version, found.version_length) != 0)
			fail_msg("%s: %.*s, %.*s", cases[i].entry, (int)found.name_length,
				 found.name, (int)found.version_length, found.version);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
