#include "os_support.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STRANGER "nobody" /* a user that every Debian has */

static char base[128], readable[160], writable[160];

static void
make_file(const char *dir)
{
	char path[256];
	int fd;

	assert_int_equal(mkdir(dir, 0777), 0);
	chmod(dir, 0777);
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	fchmod(fd, 0666);
	close(fd);
}

static int
make_directories(void **state)
{
	(void)state;
	make_directory(base, sizeof(base));
	chmod(base, 0755);
	snprintf(readable, sizeof(readable), "%s/readable", base);
	snprintf(writable, sizeof(writable), "%s/writable", base);
	make_file(readable);
	make_file(writable);
	return 0;
}

static int
remove_directories(void **state)
{
	(void)state;
	remove_directory(base);
	return 0;
}

/* Run os_child in the sandbox; its report is in running->text. */
static void
run(const struct sandbox_config *config, struct running *running)
{
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct sandbox sandbox = SANDBOX_INIT;
	struct reason why = {""};
	char dirs[400];
	struct exit_status status;

	assert_int_equal(sandbox_prepare(config, &sandbox, &why), PLUG_OK);
	request.sandbox = &sandbox;
	snprintf(dirs, sizeof(dirs), "%s:%s", readable, writable);
	running_start(running, &request, "sandbox", dirs);
	running_read_all(running);
	status = running_reap(running);
	assert_int_equal(status.signal, 0);
	assert_int_equal(status.code, 0);
	running_close(running);
	sandbox_fini(&sandbox);
}

static void
expect(const struct running *running, const char *line)
{
	char whole[128];

	snprintf(whole, sizeof(whole), "%s\n", line);
	if (!strstr(running->text, whole))
		fail_msg("no line \"%s\" in:\n%s", line, running->text);
}

static void
test_nothing_asked_for(void **state)
{
	const struct sandbox_config config = {.keep_privileges = true};
	int before = count_open_fds();
	struct running running;

	(void)state;
	run(&config, &running);
	expect(&running, "no-new-privs 0");
	expect(&running, "deathsig 9");
	expect(&running, "write-readable yes");
	expect(&running, "make-writable yes");
	expect(&running, "unshare yes");
	expect(&running, "megabytes 256");
	expect(&running, "forks 64");
	assert_int_equal(count_open_fds(), before);
}

static void
test_confined(void **state)
{
	const char *const read[] = {readable, OS_CHILD, NULL}, *const write[] = {writable, NULL};
	const struct sandbox_config config = {
		.confine = true, .read_only = read, .writable = write};
	int before = count_open_fds();
	struct running running;

	(void)state;
	if (!sandbox_landlock_version())
		skip();
	run(&config, &running);
	expect(&running, "no-new-privs 1");
	expect(&running, "read-readable yes");
	expect(&running, "write-readable EACCES");
	expect(&running, "truncate-readable EACCES");
	expect(&running, "read-writable yes");
	expect(&running, "write-writable yes");
	expect(&running, "make-writable yes");
	expect(&running, "read-hidden EACCES");
	expect(&running, "read-etc yes");
	expect(&running, "null yes");
	assert_int_equal(count_open_fds(), before);
}

static void
test_filtered(void **state)
{
	const struct sandbox_config config = {.filter = SANDBOX_FILTER_DEFAULT};
	struct running running;

	(void)state;
	if (!sandbox_filter_program().len)
		skip();
	run(&config, &running);
	expect(&running, "no-new-privs 1");
	expect(&running, "mount EPERM");
	expect(&running, "unshare EPERM");
	expect(&running, "write-readable yes");
	expect(&running, "forks 64");
}

static void
test_another_user(void **state)
{
	const struct sandbox_config config = {.user = STRANGER, .processes = 5};
	const struct passwd *entry = getpwnam(STRANGER);
	char line[64];
	struct running running;

	(void)state;
	if (geteuid() != 0 || !entry)
		skip();
	run(&config, &running);
	snprintf(line, sizeof(line), "uid %u %u", (unsigned)entry->pw_uid, (unsigned)entry->pw_uid);
	expect(&running, line);
	snprintf(line, sizeof(line), "gid %u", (unsigned)entry->pw_gid);
	expect(&running, line);
	expect(&running, "groups 1");
	expect(&running, "deathsig 9");
	assert_null(strstr(running.text, "forks 64\n"));
}

/* The shadow memory of a sanitizer is more than any limit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DATA_BYTES 0
#else
#define DATA_BYTES (64 * 1024 * 1024)
#endif

static void
test_limits(void **state)
{
	const struct sandbox_config config = {.data_bytes = DATA_BYTES, .open_files = 33};
	int megabytes;
	struct running running;

	(void)state;
	run(&config, &running);
	expect(&running, "files 33 33");
	megabytes = running_number(&running, "megabytes");
	if (DATA_BYTES)
		assert_in_range(megabytes, 16, 64);
	else
		assert_int_equal(megabytes, 256);
}

static void
test_refusals_say_what_to_do(void **state)
{
	const char *const missing[] = {"/no/such/place", NULL};
	const struct {
		struct sandbox_config config;
		plug_err err;
		const char *text;
	} cases[] = {
		{{.user = "no-such-user-here"}, PLUG_ENOTFOUND, "there is no user"},
		{{.processes = 3}, PLUG_EINVAL, "needs run.user"},
		{{.confine = true, .read_only = missing}, PLUG_ENOTFOUND, "/no/such/place"},
		{{.confine = true, .writable = missing}, PLUG_ENOTFOUND, "/no/such/place"},
	};
	int before = count_open_fds();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sandbox sandbox = SANDBOX_INIT;
		struct reason why = {""};

		if (cases[i].config.confine && !sandbox_landlock_version())
			continue;
		assert_int_equal(sandbox_prepare(&cases[i].config, &sandbox, &why), cases[i].err);
		assert_non_null(strstr(why.text, cases[i].text));
		assert_int_equal(sandbox.landlock_fd, -1);
	}
	assert_int_equal(count_open_fds(), before);
}

/* What every runtime and CUDA use is never on the list. */
static void
test_filter_leaves_what_programs_need(void **state)
{
	static const int needed[] = {SYS_read,
				     SYS_write,
				     SYS_openat,
				     SYS_mmap,
				     SYS_munmap,
				     SYS_ioctl,
				     SYS_clone,
				     SYS_execve,
				     SYS_futex,
				     SYS_mprotect,
				     SYS_mlock,
				     SYS_memfd_create,
				     SYS_sched_setaffinity,
				     SYS_set_mempolicy,
				     SYS_mbind,
				     SYS_get_mempolicy,
				     SYS_eventfd2,
				     SYS_epoll_wait,
				     SYS_socket,
				     SYS_sendmsg,
				     SYS_recvmsg,
				     SYS_prctl,
				     SYS_kill,
				     SYS_wait4,
				     SYS_madvise,
				     SYS_mremap,
				     SYS_clock_gettime,
				     SYS_getrandom};

	(void)state;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		assert_false(sandbox_filter_refuses(needed[i]));
	assert_true(sandbox_filter_refuses(SYS_mount));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_asked_for, make_directories,
						remove_directories),
		cmocka_unit_test_setup_teardown(test_confined, make_directories,
						remove_directories),
		cmocka_unit_test_setup_teardown(test_filtered, make_directories,
						remove_directories),
		cmocka_unit_test_setup_teardown(test_another_user, make_directories,
						remove_directories),
		cmocka_unit_test_setup_teardown(test_limits, make_directories, remove_directories),
		cmocka_unit_test(test_refusals_say_what_to_do),
		cmocka_unit_test(test_filter_leaves_what_programs_need),
	};

	return cmocka_run_group_tests(tests, become_subreaper, end_what_is_left);
}
