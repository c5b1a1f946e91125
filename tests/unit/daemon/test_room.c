/* Whether a second process fits beside the first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/room.h"

#define MIB (UINT64_C(1024) * 1024)

static const struct {
	const char *name;
	struct room room;
	bool fits;
	const char *says;
} cases[] = {
	{"plenty", {1000 * MIB, 10 * MIB, 0}, true, "1000 MiB are available, 10 MiB are needed"},
	{"just enough", {90 * MIB, 80 * MIB, 0}, true, "90 MiB are available, 80 MiB are needed"},
	{"an eighth is kept",
	 {90 * MIB - 1, 80 * MIB, 0},
	 false,
	 "80 MiB are needed and an eighth"},
	{"less than needed", {79 * MIB, 80 * MIB, 0}, false, "79 MiB are available"},
	{"what is declared counts", {90 * MIB, 10 * MIB, 81 * MIB}, false, "81 MiB are needed"},
	{"what is resident counts", {90 * MIB, 81 * MIB, 10 * MIB}, false, "81 MiB are needed"},
	{"nothing is known", {0, 80 * MIB, 90 * MIB}, true, "not known"},
	{"nothing is needed", {1, 0, 0}, true, "0 MiB are needed"},
	{"no overflow", {UINT64_MAX, UINT64_MAX, 0}, false, "an eighth more"},
	{"nor a wrong one", {MIB, UINT64_MAX, UINT64_MAX}, false, "an eighth more"},
};

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[ROOM_TEXT_BYTES] = "";

		if (room_for_both(&cases[i].room, text) != cases[i].fits)
			fail_msg("%s: decided otherwise: %s", cases[i].name, text);
		if (!strstr(text, cases[i].says))
			fail_msg("%s: says \"%s\", expected \"%s\"", cases[i].name, text,
				 cases[i].says);
	}
}

/* More memory never forbids what less allowed. */
static void
test_monotonous(void **state)
{
	(void)state;
	for (uint64_t needed = 0; needed < 300; needed += 7) {
		bool before = false;

		for (uint64_t available = 1; available < 600; available++) {
			struct room room = {available, needed, 0};
			char text[ROOM_TEXT_BYTES];
			bool fits = room_for_both(&room, text);

			assert_true(fits || !before);
			before = fits;
		}
		assert_true(before);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_monotonous),
	};

	return cmocka_run_group_tests_name("room", tests, NULL, NULL);
}
