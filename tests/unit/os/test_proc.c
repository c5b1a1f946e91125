#include "os_support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/random.h"

static void
test_self(void **state)
{
	struct proc_info info;

	(void)state;
	assert_int_equal(proc_read(getpid(), &info), PLUG_OK);
	assert_int_equal(info.pid, getpid());
	assert_int_equal(info.parent, getppid());
	assert_int_equal(info.group, getpgrp());
	assert_int_equal(info.session, getsid(0));
	assert_int_equal(info.state, 'R');
	assert_true(info.threads >= 1);
	assert_true(info.rss_bytes > 100 * 1024);
	assert_true(info.start_ticks > 0);
}

/* A name that looks like the fields behind it. */
static void
test_hostile_names(void **state)
{
	static const char *const names[] = {"a) R 1 1 1", "((((", "))) S 0", "x y", "", "é\n"};
	struct proc_info info;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		prctl(PR_SET_NAME, names[i], 0, 0, 0);
		assert_int_equal(proc_read(getpid(), &info), PLUG_OK);
		assert_int_equal(info.parent, getppid());
		assert_string_equal(info.command, names[i]);
	}
}

static void
test_state_of_a_child(void **state)
{
	struct proc_info info, again;
	struct running child;
	pid_t pid;

	(void)state;
	running_start(&child, NULL, "hang", NULL);
	running_read_until(&child, "\n");
	pid = child.process.pid;
	assert_int_equal(proc_read(pid, &info), PLUG_OK);
	assert_int_equal(info.parent, getpid());
	assert_int_equal(info.session, pid);
	kill(pid, SIGKILL);
	assert_true(ends(child.process.pidfd));
	assert_int_equal(proc_read(pid, &again), PLUG_OK);
	assert_int_equal(again.state, 'Z');
	assert_int_equal(again.start_ticks, info.start_ticks);
	running_reap(&child);
	again.state = '?';
	assert_int_equal(proc_read(pid, &again), PLUG_ENOTFOUND);
	assert_int_equal(again.state, '?');
	running_close(&child);
}

static void
test_memory(void **state)
{
	/* Pages of this program and its libraries stop being private when another process maps the
	 * same files in between. */
	size_t size = 32u << 20, others = 1u << 20;
	struct proc_memory before, after;
	struct proc_info proc, later;
	void *memory;

	(void)state;
	assert_int_equal(proc_read(getpid(), &proc), PLUG_OK);
	assert_int_equal(proc_read_memory(getpid(), &before), PLUG_OK);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_true(memory != MAP_FAILED);
	assert_int_equal(proc_read_memory(getpid(), &after), PLUG_OK);
	assert_true(after.private_bytes - before.private_bytes >= size - others);
	assert_true(after.rss_bytes - before.rss_bytes >= size - others);
	assert_int_equal(proc_read(getpid(), &later), PLUG_OK);
	assert_true(later.rss_bytes - proc.rss_bytes >= size - others);
	munmap(memory, size);
}

static void
test_cpu_time(void **state)
{
	struct timespec used;
	struct proc_info info;
	long ms = 0;

	(void)state;
	while (ms < 120) {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
		ms = used.tv_sec * 1000 + used.tv_nsec / 1000000;
	}
	assert_int_equal(proc_read(getpid(), &info), PLUG_OK);
	assert_true(info.cpu_ms + 40 >= (uint64_t)ms && info.cpu_ms <= (uint64_t)ms + 40);
}

static void
test_random(void **state)
{
	char one[33], two[33], odd[132];
	unsigned char bytes[] = {0x00, 0x1f, 0xa0, 0xff};

	(void)state;
	assert_int_equal(random_hex(one, 32), PLUG_OK);
	assert_int_equal(random_hex(two, 32), PLUG_OK);
	assert_int_equal(strspn(one, "0123456789abcdef"), 32);
	assert_int_equal(strlen(one), 32);
	assert_string_not_equal(one, two);
	assert_int_equal(random_hex(odd, 131), PLUG_OK);
	assert_int_equal(strlen(odd), 131);
	assert_memory_not_equal(odd, odd + 64, 64);
	assert_int_equal(random_hex(odd, 0), PLUG_OK);
	assert_string_equal(odd, "");
	hex_encode(one, bytes, sizeof(bytes));
	assert_string_equal(one, "001fa0ff");
}

static void
test_available_memory(void **state)
{
	uint64_t available = proc_available_bytes();
	long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);

	(void)state;
	assert_in_range(available, 1, (uint64_t)pages * (uint64_t)bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_state_of_a_child),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_cpu_time),
		cmocka_unit_test(test_available_memory),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, become_subreaper, end_what_is_left);
}
