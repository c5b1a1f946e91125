/* Where a core is: the kernel's pattern, and what is found by it. */
#include "os_support.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/core_file.h"

static const struct core_of of = {
	.pid = 12, .uid = 34, .gid = 56, .status = {.signal = SIGSEGV}, .folder = "/f"};

static void
test_patterns(void **state)
{
	static const struct {
		const char *pattern, *glob;
	} cases[] = {
		{"core", "/f/core"},
		{"/var/%u/%g/%s.%p", "/var/34/56/11.12"},
		{"/c/%e-%t-%h.%P%%", "/c/*-*-*.*%"},
		{"/c/[a]*?\\%p", "/c/\\[a]\\*\\?\\\\12"},
		{"/c/%", "/c/%"},
		{"", ""},
		{"|/usr/lib/systemd/systemd-coredump %P", ""},
		{"@/run/coredump.socket", ""},
	};
	char path[CORE_PATH_BYTES], small[8];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		core_glob(cases[i].pattern, &of, path, sizeof(path));
		assert_string_equal(path, cases[i].glob);
	}
	core_glob("/too/long/for/it", &of, small, sizeof(small));
	assert_string_equal(small, "");
}

static void
find_of(const char *mode, const char *arg, rlim_t limit, char path[CORE_PATH_BYTES],
	char note[CORE_NOTE_BYTES])
{
	struct rlimit before, now;
	struct running child;
	struct core_of it = {.uid = geteuid(), .gid = getegid(), .folder = "/nowhere"};

	assert_int_equal(getrlimit(RLIMIT_CORE, &before), 0);
	now = before;
	now.rlim_cur = limit;
	assert_int_equal(setrlimit(RLIMIT_CORE, &now), 0);
	running_start(&child, NULL, mode, arg);
	setrlimit(RLIMIT_CORE, &before);
	assert_true(ends(child.process.pidfd));
	assert_int_equal(exit_status_peek(child.process.pid, child.process.pidfd, &it.status),
			 PLUG_OK);
	it.pid = child.process.pid;
	core_find(&it, path, note);
	running_reap(&child);
	running_close(&child);
}

/* Whatever the machine's pattern is. */
static void
test_why_there_is_none(void **state)
{
	char path[CORE_PATH_BYTES], note[CORE_NOTE_BYTES], pattern[256] = "";
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
	bool handed;

	(void)state;
	assert_non_null(file);
	assert_true(fgets(pattern, sizeof(pattern), file) || true);
	fclose(file);
	handed = *pattern == '|' || *pattern == '@';
	find_of("die", "6", 0, path, note);
	assert_string_equal(path, "");
	assert_non_null(strstr(note, handed ? "core_pattern" : "its limit was 0"));
	find_of("die", "9", 0, path, note);
	assert_string_equal(note, "");
	find_of("exit", "3", 0, path, note);
	assert_string_equal(note, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_why_there_is_none),
	};

	return cmocka_run_group_tests_name("core_file", tests, NULL, NULL);
}
