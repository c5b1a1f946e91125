#include "os_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/rlimit.h"

static void
test_child_finds_a_clean_place(void **state)
{
	static const char *const env[] = {"TEST_VARIABLE=a b", NULL};
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct spawn_fd passed[] = {{.target = 3}, {.target = 7}, {.target = 4}};
	int leaked[40], before = count_open_fds();
	struct exit_status status;
	struct running child;
	sigset_t all, old;

	(void)state;
	for (size_t i = 0; i < 40; i++)
		leaked[i] = open("/dev/zero", O_RDONLY); /* without O_CLOEXEC */
	passed[0].fd = leaked[4];                        /* sources that are targets of others */
	passed[1].fd = leaked[0];
	passed[2].fd = leaked[5];
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	request.envp = (char *const *)(uintptr_t)env;
	request.cwd = "/usr";
	request.umask = 027;
	request.nofile_soft = 333;
	request.fds = passed;
	request.fd_count = 3;
	running_start(&child, &request, "report", NULL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	running_read_all(&child);
	status = running_reap(&child);

	assert_int_equal(status.code, 0);
	assert_int_equal(status.signal, 0);
	assert_non_null(strstr(child.text, "fd 0 /dev/null\n"));
	assert_non_null(strstr(child.text, "fd 1 pipe:"));
	assert_non_null(strstr(child.text, "fd 2 pipe:"));
	assert_non_null(strstr(child.text, "fd 3 /dev/zero\n"));
	assert_non_null(strstr(child.text, "fd 4 /dev/zero\n"));
	assert_non_null(strstr(child.text, "fd 7 /dev/zero\n"));
	for (int fd = 5; fd < 200; fd++) {
		char line[32];

		snprintf(line, sizeof(line), "fd %d ", fd);
		if (fd != 7)
			assert_null(strstr(child.text, line));
	}
	assert_non_null(strstr(child.text, "signals 0\n"));
	assert_non_null(strstr(child.text, "session 1\n"));
	assert_non_null(strstr(child.text, "cwd /usr\n"));
	assert_non_null(strstr(child.text, "umask 027\n"));
	assert_non_null(strstr(child.text, "nofile 333\n"));
	assert_non_null(strstr(child.text, "env a b\n"));
	assert_non_null(strstr(child.text, "path no\n"));
	for (size_t i = 0; i < 40; i++)
		close(leaked[i]);
	running_close(&child);
	assert_int_equal(count_open_fds(), before);
}

/* Each target must get its own source even when they are crossed. */
static void
test_crossed_descriptors(void **state)
{
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int second = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct spawn_fd passed[] = {{first, second}, {second, first}};
	struct running child;
	char line[32];

	(void)state;
	request.fds = passed;
	request.fd_count = 2;
	running_start(&child, &request, "report", NULL);
	running_read_all(&child);
	running_reap(&child);
	snprintf(line, sizeof(line), "fd %d /dev/null\n", second);
	assert_non_null(strstr(child.text, line));
	snprintf(line, sizeof(line), "fd %d /dev/zero\n", first);
	assert_non_null(strstr(child.text, line));
	running_close(&child);
	close(first);
	close(second);
}

static void
fail_to_start(const char *path, const char *cwd, bool by_fork, const char *expected)
{
	static const char *const argv[] = {"x", NULL}, *const env[] = {NULL};
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct exit_status status;
	struct spawned child;
	char text[512];
	bool for_want = true;

	request.path = path;
	request.cwd = cwd;
	request.argv = (char *const *)(uintptr_t)argv;
	request.envp = (char *const *)(uintptr_t)env;
	request.stdout_fd = request.stderr_fd = STDERR_FILENO;
	assert_int_equal((by_fork ? spawn_process_fork : spawn_process)(&request, &child), PLUG_OK);
	assert_true(wait_readable(child.pidfd, DEADLINE_MS));
	assert_int_equal(exit_status_reap(child.pidfd, &status), PLUG_OK);
	assert_int_equal(status.code, 127);
	assert_int_equal(spawn_error_read(child.error_fd, text, sizeof(text), &for_want), PLUG_OK);
	assert_non_null(strstr(text, expected));
	assert_false(for_want);
	assert_int_equal(spawn_error_read(child.error_fd, text, sizeof(text), &for_want),
			 PLUG_ENOTFOUND);
	close(child.pidfd);
	close(child.error_fd);
}

static void
make_file(const char *directory, const char *name, const char *content, mode_t mode, char *path,
	  size_t size)
{
	int fd;

	snprintf(path, size, "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	fchmod(fd, mode);
	close(fd);
}

static void
test_failures_are_told(void **state)
{
	char directory[64], script[128], plain[128], garbage[128];

	(void)state;
	make_directory(directory, sizeof(directory));
	make_file(directory, "script", "#!/no/such/interpreter\n", 0755, script, sizeof(script));
	make_file(directory, "plain", "hello", 0644, plain, sizeof(plain));
	make_file(directory, "garbage", "\177ELFgarbage", 0755, garbage, sizeof(garbage));
	for (int by_fork = 0; by_fork < 2; by_fork++) {
		fail_to_start("./no-such", NULL, by_fork,
			      "exec ./no-such: No such file or directory");
		fail_to_start(script, NULL, by_fork, "interpreter or dynamic loader");
		fail_to_start(plain, NULL, by_fork, "Permission denied (is it");
		fail_to_start(garbage, NULL, by_fork, "Exec format error (neither");
		fail_to_start("/bin/true", "/no/such", by_fork, "enter /no/such: No such file");
	}
	remove_directory(directory);
}

/* Whatever plugd asked of the kernel for itself, its children are as they would be without it. */
/* Of a child that checks a file first: whether it was executed, and what it says if not. */
static bool
starts_with_check(const struct spawn_check *check, char *text, size_t size)
{
	static const char *const argv[] = {"true", NULL}, *const env[] = {NULL};
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct exit_status status;
	struct spawned child;
	bool for_want = true;
	plug_err err;

	request.path = "/bin/true";
	request.argv = (char *const *)(uintptr_t)argv;
	request.envp = (char *const *)(uintptr_t)env;
	request.stdout_fd = request.stderr_fd = STDERR_FILENO;
	request.checks = check;
	request.check_count = 1;
	assert_int_equal(spawn_process(&request, &child), PLUG_OK);
	assert_true(wait_readable(child.pidfd, DEADLINE_MS));
	assert_int_equal(exit_status_reap(child.pidfd, &status), PLUG_OK);
	err = spawn_error_read(child.error_fd, text, size, &for_want);
	assert_int_equal(err, status.code ? PLUG_OK : PLUG_ENOTFOUND);
	assert_true(!status.code || !for_want);
	close(child.pidfd);
	close(child.error_fd);
	return !status.code;
}

static void
test_a_changed_file_is_not_executed(void **state)
{
	/* SHA-256 of 40,000 bytes "x". */
	static const char digest[] =
		"\x62\x85\x33\x2e\x30\x72\xb2\x7e\x5b\x09\x5c\x5c\x7d\x6e\x37\xea"
		"\xdd\x20\x12\x20\xeb\x14\x69\x4f\x9d\x2d\x01\x77\xc2\x5a\x64\xae";
	struct spawn_check check = {.fd = -1, .digest = (const unsigned char *)digest};
	char directory[64], path[128], text[512], *content = malloc(40001);

	(void)state;
	memset(content, 'x', 40000);
	content[40000] = '\0';
	make_directory(directory, sizeof(directory));
	make_file(directory, "file", content, 0644, path, sizeof(path));
	check.path = path;
	assert_true(starts_with_check(&check, text, sizeof(text)));
	check.fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(lseek(check.fd, 0, SEEK_END), 40000); /* wherever it is */
	assert_true(starts_with_check(&check, text, sizeof(text)));

	/* Another file has its path: what was opened counts. */
	assert_int_equal(unlink(path), 0);
	make_file(directory, "file", "", 0644, path, sizeof(path));
	assert_true(starts_with_check(&check, text, sizeof(text)));
	close(check.fd);
	check.fd = -1;
	assert_false(starts_with_check(&check, text, sizeof(text)));
	assert_non_null(strstr(text, path));
	assert_non_null(strstr(text, "its SHA-256 is e3b0c44298fc1c149afbf4c8996fb924"));
	assert_non_null(strstr(text, "pinned is 6285332e3072b27e"));

	assert_int_equal(unlink(path), 0);
	assert_false(starts_with_check(&check, text, sizeof(text)));
	assert_non_null(strstr(text, "check the SHA-256 of"));
	assert_non_null(strstr(text, "No such file"));
	remove_directory(directory);
	free(content);
}

static void
test_oom_score(void **state)
{
	struct running child;
	char path[64], text[16] = "";
	int fd;

	(void)state;
	setenv(SPAWN_ENV_OOM_SCORE, "321", 1);
	running_start(&child, NULL, "hang", NULL);
	unsetenv(SPAWN_ENV_OOM_SCORE);
	running_read_until(&child, "\n");
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)child.process.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_string_equal(text, "321\n");
	kill(child.process.pid, SIGKILL);
	running_reap(&child);
	running_close(&child);
}

/* Enough descriptors for the parent's side, and none left for the child's. */
static void
test_child_without_descriptors(void **state)
{
	static const char *const argv[] = {"x", NULL}, *const env[] = {NULL};
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct rlimit before, low;
	struct exit_status status;
	struct spawned child;
	char text[512];
	bool for_want = false;
	int next = dup(STDERR_FILENO);

	(void)state;
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = (rlim_t)next + 3;
	request.path = "/bin/true";
	request.argv = (char *const *)(uintptr_t)argv;
	request.envp = (char *const *)(uintptr_t)env;
	request.stdout_fd = request.stderr_fd = STDERR_FILENO;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(spawn_process(&request, &child), PLUG_OK);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(wait_readable(child.pidfd, DEADLINE_MS));
	assert_int_equal(exit_status_reap(child.pidfd, &status), PLUG_OK);
	assert_int_equal(status.code, 127);
	assert_int_equal(spawn_error_read(child.error_fd, text, sizeof(text), &for_want), PLUG_OK);
	assert_non_null(strstr(text, "ulimit -n"));
	assert_true(for_want);
	close(child.pidfd);
	close(child.error_fd);
}

static void
test_error_pipe_of_a_good_start(void **state)
{
	struct running child;
	char text[64];
	bool for_want;

	(void)state;
	running_start(&child, NULL, "hang", NULL);
	running_read_until(&child, "\n");
	assert_int_equal(spawn_error_read(child.process.error_fd, text, sizeof(text), &for_want),
			 PLUG_ENOTFOUND);
	kill(child.process.pid, SIGKILL);
	assert_int_equal(running_reap(&child).signal, SIGKILL);
	running_close(&child);
}

static void
test_exec_by_descriptor(void **state)
{
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct running child;

	(void)state;
	request.exec_fd = open(OS_CHILD, O_PATH | O_CLOEXEC);
	running_start(&child, &request, "exit", "9");
	assert_int_equal(running_reap(&child).code, 9);
	running_close(&child);
	close(request.exec_fd);
}

static void
test_invalid_requests(void **state)
{
	static const char *const argv[] = {"x", NULL}, *const env[] = {NULL};
	static const struct spawn_fd bad[][2] = {
		{{0, 2}, {0, 5}}, {{0, 64}, {0, 5}}, {{0, 5}, {0, 5}}, {{0, -1}, {0, 5}}};
	struct spawn_request good = SPAWN_REQUEST_INIT, request;
	struct spawned untouched = {.pid = 4711};
	int before = count_open_fds();

	(void)state;
	good.path = "/bin/true";
	good.argv = (char *const *)(uintptr_t)argv;
	good.envp = (char *const *)(uintptr_t)env;
	good.stdout_fd = good.stderr_fd = STDERR_FILENO;
	good.fd_count = 2;
	for (size_t i = 0; i < 4; i++) {
		request = good;
		request.fds = bad[i];
		assert_int_equal(spawn_process(&request, &untouched), PLUG_EINVAL);
	}
	good.fd_count = 0;
	request = good;
	request.path = NULL;
	assert_int_equal(spawn_process(&request, &untouched), PLUG_EINVAL);
	request = good;
	request.stdout_fd = -1;
	assert_int_equal(spawn_process(&request, &untouched), PLUG_EINVAL);
	assert_int_equal(untouched.pid, 4711);
	assert_int_equal(count_open_fds(), before);
}

static void
test_out_of_descriptors(void **state)
{
	static const char *const argv[] = {"x", NULL}, *const env[] = {NULL};
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct rlimit old, tight;
	struct spawned child;

	(void)state;
	request.path = "/bin/true";
	request.argv = (char *const *)(uintptr_t)argv;
	request.envp = (char *const *)(uintptr_t)env;
	request.stdout_fd = request.stderr_fd = STDERR_FILENO;
	getrlimit(RLIMIT_NOFILE, &old);
	for (rlim_t spare = 0; spare < 3; spare++) { /* a pipe takes two, the pidfd one */
		int next = open("/dev/null", O_RDONLY | O_CLOEXEC);

		close(next);
		tight = old;
		tight.rlim_cur = (rlim_t)next + spare;
		setrlimit(RLIMIT_NOFILE, &tight);
		assert_int_equal(spawn_process(&request, &child), PLUG_ESYS);
		assert_int_equal(errno, EMFILE);
		setrlimit(RLIMIT_NOFILE, &old);
		assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), next);
		close(next);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and no child is left */
}

/* The starter is killed: so is what it started, by the parent-death signal. */
static void
test_dies_with_its_parent(void **state)
{
	struct running child;
	int ends_of_pipe[2], pidfd;
	char text[32] = "";
	pid_t starter;

	(void)state;
	assert_int_equal(pipe2(ends_of_pipe, O_CLOEXEC), 0);
	starter = fork();
	if (!starter) {
		running_start(&child, NULL, "hang", NULL);
		running_read_until(&child, "\n");
		dprintf(ends_of_pipe[1], "%d\n", (int)child.process.pid);
		for (;;)
			pause();
	}
	assert_true(wait_readable(ends_of_pipe[0], DEADLINE_MS));
	assert_true(read(ends_of_pipe[0], text, sizeof(text) - 1) > 0);
	pidfd = open_pidfd(atoi(text));
	assert_false(wait_readable(pidfd, 0));
	kill(starter, SIGKILL);
	assert_true(ends(pidfd));
	close(pidfd);
	waitpid(starter, NULL, 0);
	waitpid(atoi(text), NULL, 0);
	close(ends_of_pipe[0]);
	close(ends_of_pipe[1]);
}

static void
test_rlimit(void **state)
{
	struct rlimit old, now;
	rlim_t before, in_force;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &old);
	now = old;
	now.rlim_cur = 256;
	setrlimit(RLIMIT_NOFILE, &now);
	assert_int_equal(rlimit_raise_nofile(512, &before, &in_force), PLUG_OK);
	assert_int_equal(before, 256);
	assert_int_equal(in_force, 512);
	assert_int_equal(rlimit_raise_nofile(100, &before, &in_force), PLUG_OK);
	assert_int_equal(in_force, 512); /* never lowered */
	assert_int_equal(rlimit_raise_nofile(RLIM_INFINITY, &before, &in_force), PLUG_OK);
	assert_true(in_force == old.rlim_max);
	setrlimit(RLIMIT_NOFILE, &old);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_finds_a_clean_place),
		cmocka_unit_test(test_crossed_descriptors),
		cmocka_unit_test(test_failures_are_told),
		cmocka_unit_test(test_a_changed_file_is_not_executed),
		cmocka_unit_test(test_child_without_descriptors),
		cmocka_unit_test(test_oom_score),
		cmocka_unit_test(test_error_pipe_of_a_good_start),
		cmocka_unit_test(test_exec_by_descriptor),
		cmocka_unit_test(test_invalid_requests),
		cmocka_unit_test(test_out_of_descriptors),
		cmocka_unit_test(test_dies_with_its_parent),
		cmocka_unit_test(test_rlimit),
	};

	return cmocka_run_group_tests(tests, become_subreaper, end_what_is_left);
}
