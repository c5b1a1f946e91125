/*
 * The kernel of a test machine rarely gives these controllers, so the files are plain ones here,
 * which shows what is read and written; with a real group it is shown that the answer is what the
 * kernel has enabled.
 */
#include "os_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/cgroup_limit.h"

static char base[128];

static int
make_base(void **state)
{
	(void)state;
	make_directory(base, sizeof(base));
	return 0;
}

static int
remove_base(void **state)
{
	(void)state;
	remove_directory(base);
	return 0;
}

static void
put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void
expect(int dir, const char *name, const char *text)
{
	char found[256] = "";
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, found, sizeof(found) - 1) >= 0);
	assert_string_equal(found, text);
	close(fd);
}

static int
open_base(void)
{
	int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	return dir;
}

static void
test_all_limits(void **state)
{
	const struct cgroup_limits limits = {
		.memory_bytes = 2048000000, .cpu_millis = 1500, .pids = 64};
	int dir = open_base();

	(void)state;
	put(dir, "memory.max", "");
	put(dir, "memory.swap.max", "");
	put(dir, "cpu.max", "");
	put(dir, "pids.max", "");
	assert_int_equal(cgroup_set_limits(dir, &limits), CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS);
	expect(dir, "memory.max", "2048000000");
	expect(dir, "memory.swap.max", "0");
	expect(dir, "cpu.max", "150000 100000");
	expect(dir, "pids.max", "64");
	close(dir);
}

static void
test_only_what_is_there_is_in_force(void **state)
{
	const struct cgroup_limits limits = {.memory_bytes = 1, .cpu_millis = 1, .pids = 1};
	const struct cgroup_limits none = {0};
	int dir = open_base();

	(void)state;
	put(dir, "pids.max", "");
	assert_int_equal(cgroup_set_limits(dir, &limits), CGROUP_PIDS);
	assert_int_equal(cgroup_set_limits(dir, &none), 0);
	assert_int_equal(cgroup_set_limits(-1, &limits), 0);
	close(dir);
}

static void
test_what_happened(void **state)
{
	int dir = open_base();
	uint64_t now = 0, peak = 0;

	(void)state;
	assert_int_equal(cgroup_oom_kills(dir), 0);
	assert_false(cgroup_memory(dir, &now, &peak));
	put(dir, "memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n");
	put(dir, "memory.current", "4096\n");
	assert_int_equal(cgroup_oom_kills(dir), 2);
	assert_true(cgroup_memory(dir, &now, &peak));
	assert_int_equal(now, 4096);
	assert_int_equal(peak, 0);
	put(dir, "memory.peak", "8192\n");
	assert_true(cgroup_memory(dir, &now, &peak));
	assert_int_equal(peak, 8192);
	close(dir);
}

static void
test_text(void **state)
{
	char text[64], tight[8];

	(void)state;
	assert_string_equal(cgroup_controllers_text(0, text, sizeof(text)), "none");
	assert_string_equal(
		cgroup_controllers_text(CGROUP_MEMORY | CGROUP_PIDS, text, sizeof(text)),
		"memory, pids");
	cgroup_controllers_text(CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS, tight, sizeof(tight));
	assert_string_equal(tight, "memory,");
}

/* Of a real group: what is said to be there can be set, what is not cannot. */
static void
test_a_real_group(void **state)
{
	const struct cgroup_limits limits = {
		.memory_bytes = 64u << 20, .cpu_millis = 500, .pids = 16};
	struct cgroup cgroup;
	struct cgroup_group group;
	unsigned enabled;

	(void)state;
	cgroup_open(&cgroup);
	if (cgroup.rung == CGROUP_NONE)
		skip();
	enabled = cgroup_enable_controllers(cgroup.fd);
	assert_int_equal(cgroup_group_open(&cgroup, "limited", &group), PLUG_OK);
	assert_int_equal(cgroup_set_limits(group.fd, &limits), enabled);
	cgroup_group_remove(&cgroup, &group);
	cgroup_close(&cgroup);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_limits, make_base, remove_base),
		cmocka_unit_test_setup_teardown(test_only_what_is_there_is_in_force, make_base,
						remove_base),
		cmocka_unit_test_setup_teardown(test_what_happened, make_base, remove_base),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_a_real_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
