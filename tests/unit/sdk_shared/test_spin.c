/* When a waiting thread spins, when it sleeps, and how many processors it believes to have. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "spin.h"

#define BUDGET_NS 5000000u /* long enough for a machine that is busy */

static uint64_t
read_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t
now_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

/* A machine that is shared takes the processor away: then the wait ends early, rightly. */
static bool
was_banned(const struct plugs_spin *spin)
{
	return spin->banned_until_ns != 0;
}

/* Waits for `ns`, spinning or not; true when it spun to the end. */
static bool
wait_ns(struct plugs_spin *spin, uint64_t ns)
{
	uint64_t until = now_ns() + ns;
	bool slept = false;

	while (now_ns() < until) {
		if (plugs_spin_look(spin))
			continue;
		slept = true;
		while (now_ns() < until)
			usleep(100);
		plugs_spin_woke(spin);
	}
	plugs_spin_found(spin);
	return !slept;
}

/* A look takes a nanosecond at least. */
static bool
sleeps_after_a_moment(struct plugs_spin *spin)
{
	uint64_t began = now_ns();
	int looks = 1;
	bool brief;

	assert_true(plugs_spin_look(spin));
	brief = spin->brief;
	while ((brief || looks <= PLUGS_SPIN_LOOKS) && plugs_spin_look(spin))
		looks++;
	if (brief) {
		assert_in_range(looks, PLUGS_SPIN_LOOKS,
				2 * PLUGS_SPIN_LOOKS + PLUGS_SPIN_BRIEF_NS);
		assert_true(now_ns() - began >= PLUGS_SPIN_BRIEF_NS);
	}
	return brief;
}

static void
test_without_a_budget_nobody_spins(void **state)
{
	struct plugs_spin spin;

	(void)state;
	plugs_spin_init(&spin, 0);
	assert_false(plugs_spin_look(&spin));
	plugs_spin_woke(&spin);
	plugs_spin_found(&spin);
	assert_int_equal(spin.slept, 1);
	assert_int_equal(spin.found, 0);
}

static void
test_a_spin_ends_with_its_budget(void **state)
{
	struct plugs_spin spin;
	uint64_t began = now_ns(), burned = read_ns(CLOCK_THREAD_CPUTIME_ID);

	(void)state;
	plugs_spin_init(&spin, BUDGET_NS);
	while (plugs_spin_look(&spin))
		;
	burned = read_ns(CLOCK_THREAD_CPUTIME_ID) - burned;
	assert_in_range(burned, 0, 2 * BUDGET_NS);
	if (!was_banned(&spin))
		assert_true(now_ns() - began >= BUDGET_NS);
	assert_false(plugs_spin_look(&spin) && spin.woken);
}

static void
test_a_spurious_wake_does_not_spin_again(void **state)
{
	struct plugs_spin spin;

	(void)state;
	plugs_spin_init(&spin, BUDGET_NS);
	while (plugs_spin_look(&spin))
		;
	for (int i = 0; i < 3; i++) {
		plugs_spin_woke(&spin);
		assert_false(plugs_spin_look(&spin));
	}
	plugs_spin_woke(&spin);
	plugs_spin_found(&spin);
	assert_int_equal(spin.slept, 1);
	assert_int_equal(spin.looks, 0);
}

static void
test_short_waits_read_no_clock(void **state)
{
	struct plugs_spin spin;

	(void)state;
	plugs_spin_init(&spin, BUDGET_NS);
	for (int i = 0; i < 1000; i++) {
		for (int look = 0; look < PLUGS_SPIN_LOOKS; look++)
			assert_true(plugs_spin_look(&spin));
		assert_int_equal(spin.began_ns, 0);
		plugs_spin_found(&spin);
	}
	assert_int_equal(spin.found, 1000);
	assert_int_equal(spin.slept, 0);
}

static void
test_long_waits_end_spinning_and_probes_bring_it_back(void **state)
{
	struct plugs_spin spin;
	bool spun = false;

	(void)state;
	plugs_spin_init(&spin, 200000);
	for (int i = 0; i < 40 && spin.expected_ns < spin.budget_ns; i++)
		wait_ns(&spin, 2000000);
	assert_true(spin.expected_ns >= spin.budget_ns);
	spin.banned_until_ns = 0;
	for (int i = 0; i < 3 * PLUGS_SPIN_PROBE && !was_banned(&spin) && !spun; i++) {
		spun = !sleeps_after_a_moment(&spin);
		if (!spun) { /* answered at once; but who sleeps cannot know: it seemed long */
			plugs_spin_woke(&spin);
			spin.began_ns -= 1000000;
		}
		plugs_spin_found(&spin);
	}
	if (was_banned(&spin))
		return;
	assert_true(spun);
	assert_true(spin.expected_ns < spin.budget_ns);
	assert_false(sleeps_after_a_moment(&spin));
}

/* As where the other side runs only when this one sleeps. */
static void
test_short_waits_that_were_slept_through_do_not_bring_it_back(void **state)
{
	struct plugs_spin spin;

	(void)state;
	plugs_spin_init(&spin, BUDGET_NS);
	spin.expected_ns = BUDGET_NS;
	for (int i = 1; i < PLUGS_SPIN_PROBE; i++) {
		assert_true(sleeps_after_a_moment(&spin));
		plugs_spin_woke(&spin);
		plugs_spin_found(&spin);
		assert_int_equal(spin.expected_ns, BUDGET_NS);
	}
	assert_false(sleeps_after_a_moment(&spin)); /* a probe */
}

static void
test_one_long_wait_among_short_ones_changes_nothing(void **state)
{
	struct plugs_spin spin;

	(void)state;
	plugs_spin_init(&spin, 200000);
	wait_ns(&spin, 50000000);
	assert_true(spin.expected_ns < spin.budget_ns);
}

/* Waits of which the thread loses most, as beside one that computes; true when it was banned. */
static bool
lose_time(struct plugs_spin *spin)
{
	uint64_t before = spin->banned_until_ns;

	for (int i = 0; i < 200 && spin->banned_until_ns == before; i++) {
		for (int look = 0; look < 2 * PLUGS_SPIN_LOOKS; look++)
			plugs_spin_look(spin);
		usleep(3000);
		while (plugs_spin_look(spin))
			;
		plugs_spin_forget(spin);
	}
	return spin->banned_until_ns != before;
}

static void
test_a_thread_that_is_kept_waiting_does_not_spin(void **state)
{
	struct plugs_spin spin;
	uint64_t ban;

	(void)state;
	plugs_spin_init(&spin, BUDGET_NS);
	assert_true(lose_time(&spin));
	ban = spin.ban_ns;
	assert_true(ban >= PLUGS_SPIN_BAN_NS);
	assert_true(sleeps_after_a_moment(&spin)); /* banned */
	plugs_spin_forget(&spin);
	while (now_ns() < spin.banned_until_ns)
		usleep(1000);
	assert_true(lose_time(&spin));
	assert_true(spin.ban_ns >= 2 * ban);
	assert_true(spin.ban_ns <= PLUGS_SPIN_BAN_MAX);
}

/* Five short interruptions, a second apart as far as `spin` knows; true when it was banned. */
static bool
is_banned_for_interruptions(void)
{
	struct plugs_spin spin;

	plugs_spin_init(&spin, 200000);
	for (int i = 0; i < 5; i++) {
		for (int look = 0; look < 2 * PLUGS_SPIN_LOOKS; look++)
			plugs_spin_look(&spin);
		usleep(100);
		while (plugs_spin_look(&spin))
			;
		plugs_spin_forget(&spin);
		spin.judged_ns -= 100 * PLUGS_SPIN_JUDGE_NS;
	}
	return was_banned(&spin);
}

static void
test_an_interruption_now_and_then_is_no_reason(void **state)
{
	bool banned_always = true;

	(void)state;
	for (int i = 0; i < 20 && banned_always; i++) /* a busy machine may give a reason, too */
		banned_always = is_banned_for_interruptions();
	assert_false(banned_always);
}

/* ---- processors ---- */

static void
put(const char *dir, const char *path, const char *text)
{
	char full[512], *slash;
	int fd;

	snprintf(full, sizeof(full), "%s/%s", dir, path);
	for (slash = full + strlen(dir) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	fd = open(full, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void
remove_all(const char *dir)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -r '%s'", dir);
	assert_int_equal(system(command), 0);
}

static unsigned
processors_in(const char *groups, const char *file, const char *text, const char *file2,
	      const char *text2)
{
	char dir[] = "/tmp/plug-test-XXXXXX", path[64];
	unsigned count;

	assert_non_null(mkdtemp(dir));
	put(dir, "groups", groups);
	if (file)
		put(dir, file, text);
	if (file2)
		put(dir, file2, text2);
	snprintf(path, sizeof(path), "%s/groups", dir);
	count = plugs_processors(path, dir);
	remove_all(dir);
	return count;
}

static void
test_processors_are_what_quota_and_affinity_leave(void **state)
{
	cpu_set_t set;
	unsigned all;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	all = (unsigned)CPU_COUNT(&set);
	assert_int_equal(processors_in("0::/a/b\n", NULL, NULL, NULL, NULL), all);
	assert_int_equal(processors_in("0::/a/b\n", "a/b/cpu.max", "max 100000\n", NULL, NULL),
			 all);
	assert_int_equal(processors_in("0::/a/b\n", "a/b/cpu.max", "150000 100000\n", NULL, NULL),
			 1);
	assert_int_equal(processors_in("0::/a/b\n", "a/b/cpu.max", "20000 100000\n", NULL, NULL),
			 1);
	assert_int_equal(processors_in("0::/a/b\n", "a/b/cpu.max", "max 100000\n", "a/cpu.max",
				       "100000 100000\n"),
			 1);
	assert_int_equal(
		processors_in("0::/of/the/host\n", "cpu.max", "100000 100000\n", NULL, NULL), 1);
	assert_int_equal(processors_in("4:cpu,cpuacct:/x\n0::/\n", "cpu,cpuacct/x/cpu.cfs_quota_us",
				       "100000\n", "cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"),
			 1);
	assert_int_equal(processors_in("4:cpu,cpuacct:/x\n", "cpu/cpu.cfs_quota_us", "-1\n",
				       "cpu/cpu.cfs_period_us", "100000\n"),
			 all);
	assert_int_equal(processors_in("3:cpuset:/x\n", "cpuset/x/cpu.cfs_quota_us", "100000\n",
				       "cpuset/x/cpu.cfs_period_us", "100000\n"),
			 all);
	assert_int_equal(processors_in("nonsense\n:\n::\n", NULL, NULL, NULL, NULL), all);
	assert_int_equal(plugs_processors("/nowhere", "/nowhere"), all);
}

static void
test_the_environment_sets_the_budget(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} table[] = {
		{"0", 0},
		{"7", 7000},
		{"10000", 10000000},
		{"10001", PLUGS_SPIN_US * 1000},
		{"-3", PLUGS_SPIN_US * 1000},
		{"x", PLUGS_SPIN_US * 1000},
		{"", PLUGS_SPIN_US * 1000},
	};
	bool one = plugs_processors("/proc/self/cgroup", "/sys/fs/cgroup") < 2;
	cpu_set_t all, first;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		setenv("PLUG_SPIN_US", table[i].text, 1);
		assert_int_equal(plugs_spin_budget_ns(PLUGS_SPIN_US), one ? 0 : table[i].ns);
	}
	unsetenv("PLUG_SPIN_US");
	assert_int_equal(plugs_spin_budget_ns(7), one ? 0 : 7000);
	assert_int_equal(plugs_spin_budget_ns(0), 0);
	assert_int_equal(plugs_spin_budget_ns(UINT32_MAX), one ? 0 : PLUGS_SPIN_US_MAX * 1000);
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&first);
	for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&first) == 0; cpu++) {
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &first);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(first), &first), 0);
	assert_int_equal(plugs_spin_budget_ns(PLUGS_SPIN_US), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_budget_nobody_spins),
		cmocka_unit_test(test_a_spin_ends_with_its_budget),
		cmocka_unit_test(test_a_spurious_wake_does_not_spin_again),
		cmocka_unit_test(test_short_waits_read_no_clock),
		cmocka_unit_test(test_long_waits_end_spinning_and_probes_bring_it_back),
		cmocka_unit_test(test_short_waits_that_were_slept_through_do_not_bring_it_back),
		cmocka_unit_test(test_one_long_wait_among_short_ones_changes_nothing),
		cmocka_unit_test(test_a_thread_that_is_kept_waiting_does_not_spin),
		cmocka_unit_test(test_an_interruption_now_and_then_is_no_reason),
		cmocka_unit_test(test_processors_are_what_quota_and_affinity_leave),
		cmocka_unit_test(test_the_environment_sets_the_budget),
	};

	return cmocka_run_group_tests_name("shared_spin", tests, NULL, NULL);
}
