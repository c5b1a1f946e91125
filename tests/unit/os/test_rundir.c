#include "os_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/rundir.h"
#include "os/statedir.h"

static char base[64];

static int
setup(void **state)
{
	(void)state;
	make_directory(base, sizeof(base));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	remove_directory(base);
	return 0;
}

static const char *
in_base(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return path;
}

static void
touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static bool
is_there(const char *path)
{
	struct stat info;

	return lstat(path, &info) == 0;
}

static void
test_create_and_close(void **state)
{
	struct rundir rundir = RUNDIR_INIT;
	char path[RUNDIR_PATH_BYTES], text[16] = "", expected[16];
	struct stat info;
	int before = count_open_fds(), fd;

	(void)state;
	assert_int_equal(rundir_open(in_base("run"), &rundir, NULL, NULL), PLUG_OK);
	assert_int_equal(stat(in_base("run"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0700);
	assert_int_equal(rundir_path(&rundir, "plugd.pid", path, sizeof(path)), PLUG_OK);
	assert_string_equal(path, in_base("run/plugd.pid"));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	snprintf(expected, sizeof(expected), "%d\n", (int)getpid());
	assert_string_equal(text, expected);
	rundir_close(&rundir);
	assert_false(is_there(path));
	assert_true(is_there(in_base("run")));
	assert_int_equal(count_open_fds(), before);
	rundir_close(&rundir); /* twice does nothing */
}

static void
test_relative_path_becomes_absolute(void **state)
{
	struct rundir rundir = RUNDIR_INIT;

	(void)state;
	assert_int_equal(chdir(base), 0);
	assert_int_equal(rundir_open("./rel//", &rundir, NULL, NULL), PLUG_OK);
	assert_string_equal(rundir.path, in_base("rel"));
	rundir_close(&rundir);
	assert_int_equal(chdir("/"), 0);
}

/* What a daemon with plugins of other users leaves. */
static void
test_admitting_users(void **state)
{
	struct rundir rundir = RUNDIR_INIT;
	struct stat info;

	(void)state;
	assert_int_equal(rundir_open(in_base("users"), &rundir, NULL, NULL), PLUG_OK);
	assert_int_equal(rundir_admit_users(&rundir), PLUG_OK);
	assert_int_equal(fstat(rundir.fd, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0711);
	rundir_close(&rundir);
	assert_int_equal(rundir_open(in_base("users"), &rundir, NULL, NULL), PLUG_OK);
	assert_int_equal(fstat(rundir.fd, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0700);
	rundir_close(&rundir);
}

static void
expect_refusal(const char *path, plug_err err, const char *reason)
{
	struct rundir rundir = RUNDIR_INIT;
	int before = count_open_fds();
	struct reason why;

	assert_int_equal(rundir_open(path, &rundir, NULL, &why), err);
	assert_non_null(strstr(why.text, reason));
	assert_int_equal(rundir.fd, -1);
	assert_int_equal(count_open_fds(), before);
}

static void
test_refusals(void **state)
{
	char longest[200];

	(void)state;
	mkdir(in_base("real"), 0700);
	assert_int_equal(symlink("real", in_base("link")), 0);
	expect_refusal(in_base("link"), PLUG_EDENIED, "is a symbolic link");
	expect_refusal(in_base("link/"), PLUG_EDENIED, "is a symbolic link");
	assert_int_equal(symlink("nowhere", in_base("dangling")), 0);
	expect_refusal(in_base("dangling"), PLUG_EDENIED, "is a symbolic link");
	touch(in_base("file"));
	expect_refusal(in_base("file"), PLUG_EDENIED, "not a directory");
	mkdir(in_base("open"), 0700);
	chmod(in_base("open"), 0750);
	expect_refusal(in_base("open"), PLUG_EDENIED, "has mode 0750, open to others; 0700");
	chmod(in_base("open"), 0701);
	expect_refusal(in_base("open"), PLUG_EDENIED, "chmod 700");
	expect_refusal(in_base("no/such"), PLUG_ESYS, "create that one first");
	expect_refusal("/", PLUG_EDENIED, "not a name of its own");
	expect_refusal(in_base(".."), PLUG_EDENIED, "not a name of its own");
	mkdir(in_base("shared"), 0700);
	chmod(in_base("shared"), 0777);
	expect_refusal(in_base("shared/run"), PLUG_EDENIED, "anybody could replace it");
	chmod(in_base("shared"), 01777);
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	expect_refusal(longest, PLUG_ETOOLARGE, "choose a shorter one");
}

/* The right owner matters, whatever the mode. */
static void
test_foreign_owner(void **state)
{
	(void)state;
	if (geteuid())
		skip(); /* only root can give a directory away */
	mkdir(in_base("foreign"), 0700);
	assert_int_equal(chown(in_base("foreign"), 4711, 0), 0);
	expect_refusal(in_base("foreign"), PLUG_EDENIED, "belongs to uid 4711, plugd runs as 0");
}

/* The longest path that is taken leaves room for every socket name; one more byte is refused. */
static void
test_longest_path(void **state)
{
	struct rundir rundir = RUNDIR_INIT;
	struct rundir_session session;
	char path[RUNDIR_PATH_BYTES], name[200] = "";
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	plug_err err = PLUG_OK;
	size_t taken = 0;
	int fd;

	(void)state;
	for (size_t length = 1; !err; length++) {
		memset(name, 'x', length);
		name[length] = '\0';
		err = rundir_open(in_base(name), &rundir, NULL, NULL);
		if (err)
			break;
		taken = length;
		assert_int_equal(rundir_session_new(&rundir, &session), PLUG_OK);
		assert_int_equal(rundir_session_path(&rundir, &session, "ab", path, sizeof(path)),
				 PLUG_OK);
		assert_true(strlen(path) <= RUNDIR_SOCKET_BYTES);
		assert_int_equal(rundir_path(&rundir, "plugd.sock", path, sizeof(path)), PLUG_OK);
		rundir_session_path(&rundir, &session, "ab", path, sizeof(path));
		rundir_close(&rundir);
	}
	assert_int_equal(err, PLUG_ETOOLARGE);
	assert_int_equal(strlen(path), RUNDIR_SOCKET_BYTES);
	name[taken] = '\0';
	assert_int_equal(rundir_open(in_base(name), &rundir, NULL, NULL), PLUG_OK);
	rundir_session_new(&rundir, &session);
	rundir_session_path(&rundir, &session, "ab", at.sun_path, sizeof(at.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	close(fd);
	rundir_close(&rundir);
}

static void
test_second_is_refused(void **state)
{
	struct rundir first = RUNDIR_INIT, second = RUNDIR_INIT;
	struct rundir_session session;
	char path[RUNDIR_PATH_BYTES], expected[48];
	struct reason why;
	pid_t holder = -1;

	(void)state;
	assert_int_equal(rundir_open(in_base("twice"), &first, NULL, NULL), PLUG_OK);
	mknod(in_base("twice/plugd.sock"), S_IFSOCK | 0600, 0);
	rundir_session_new(&first, &session);
	rundir_session_path(&first, &session, "p", path, sizeof(path));
	touch(path);

	assert_int_equal(rundir_open(in_base("twice"), &second, &holder, &why), PLUG_EBUSY);
	assert_int_equal(holder, getpid());
	snprintf(expected, sizeof(expected), "another plugd with pid %d runs", (int)getpid());
	assert_non_null(strstr(why.text, expected));
	assert_true(is_there(in_base("twice/plugd.sock"))); /* undisturbed */
	assert_true(is_there(path));
	assert_int_equal(second.fd, -1);
	rundir_close(&first);
	assert_int_equal(rundir_open(in_base("twice"), &second, &holder, &why), PLUG_OK);
	rundir_close(&second);
}

/* The lock lives as long as the open file, not as some descriptor for it. */
static void
test_lock_survives_other_descriptors(void **state)
{
	struct rundir first = RUNDIR_INIT, second = RUNDIR_INIT;

	(void)state;
	assert_int_equal(rundir_open(in_base("lock"), &first, NULL, NULL), PLUG_OK);
	close(open(in_base("lock/plugd.pid"), O_RDWR | O_CLOEXEC)); /* would lose a POSIX lock */
	assert_int_equal(rundir_open(in_base("lock"), &second, NULL, NULL), PLUG_EBUSY);
	rundir_close(&first);
}

static void
test_what_a_dead_daemon_left(void **state)
{
	struct rundir rundir = RUNDIR_INIT;
	char socket_path[RUNDIR_PATH_BYTES];
	int status;
	pid_t daemon = fork();

	(void)state;
	if (!daemon) {
		struct rundir_session session;

		if (rundir_open(in_base("dead"), &rundir, NULL, NULL) ||
		    rundir_session_new(&rundir, &session))
			_exit(1);
		rundir_session_path(&rundir, &session, "p", socket_path, sizeof(socket_path));
		close(open(socket_path, O_CREAT | O_WRONLY, 0600));
		mknod(in_base("dead/plugd.sock"), S_IFSOCK | 0600, 0);
		_exit(0); /* as if killed: nothing is closed in order */
	}
	waitpid(daemon, &status, 0);
	assert_int_equal(status, 0);
	touch(in_base("dead/of-somebody-else"));
	assert_true(is_there(in_base("dead/plugd.pid")));
	assert_int_equal(rundir_open(in_base("dead"), &rundir, NULL, NULL), PLUG_OK);
	assert_false(is_there(in_base("dead/plugd.sock")));
	assert_int_equal(rmdir(in_base("dead/s")), 0); /* so it is empty */
	assert_true(is_there(in_base("dead/of-somebody-else")));
	rundir_close(&rundir);
}

static void
test_sessions(void **state)
{
	struct rundir rundir = RUNDIR_INIT;
	struct rundir_session sessions[20], none = {""};
	char path[RUNDIR_PATH_BYTES], deep[256];
	struct stat info;

	(void)state;
	assert_int_equal(rundir_open(in_base("sessions"), &rundir, NULL, NULL), PLUG_OK);
	touch(in_base("precious"));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(rundir_session_new(&rundir, &sessions[i]), PLUG_OK);
		assert_int_equal(strlen(sessions[i].name), RUNDIR_SESSION_HEX);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(sessions[i].name, sessions[j].name);
		rundir_session_path(&rundir, &sessions[i], "p", path, sizeof(path));
		touch(path);
		*strrchr(path, '/') = '\0';
		assert_int_equal(stat(path, &info), 0);
		assert_int_equal(info.st_mode & 07777, 0700);
	}
	/* Content that a plugin may have put there: folders, and a link out of it. */
	snprintf(deep, sizeof(deep), "%s/a", path);
	mkdir(deep, 0700);
	strcat(deep, "/b");
	mkdir(deep, 0700);
	strcat(deep, "/link");
	assert_int_equal(symlink(base, deep), 0);
	rundir_session_remove(&rundir, &sessions[19]);
	assert_false(is_there(path));
	assert_true(is_there(in_base("precious")));
	assert_string_equal(sessions[19].name, "");
	rundir_session_remove(&rundir, &none);
	rundir_session_remove(&rundir, &sessions[0]);
	rundir_close(&rundir);
	assert_false(is_there(in_base("sessions/s")));
}

static void
test_default_path(void **state)
{
	char path[64], longest[300];
	struct reason why;

	(void)state;
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	assert_int_equal(rundir_default_path(path, sizeof(path), &why), PLUG_OK);
	assert_string_equal(path, "/run/user/7/plugd");
	setenv("XDG_RUNTIME_DIR", "relative", 1); /* the specification says: ignore it */
	assert_int_equal(rundir_default_path(path, sizeof(path), &why), PLUG_OK);
	assert_string_equal(path, "/run/plugd");
	memset(longest, '/', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	setenv("XDG_RUNTIME_DIR", longest, 1);
	assert_int_equal(rundir_default_path(path, sizeof(path), &why), PLUG_ETOOLARGE);
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(rundir_default_path(path, sizeof(path), &why), PLUG_OK);
	assert_string_equal(path, "/run/plugd");
}

static void
test_state_files(void **state)
{
	char *data = NULL;
	size_t size = 0;
	struct stat info;
	int fd;

	(void)state;
	assert_int_equal(statedir_open(in_base("a/b/state"), &fd, NULL), PLUG_OK);
	assert_int_equal(stat(in_base("a/b/state"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0700);
	assert_int_equal(statedir_read(fd, "x", 100, &data, &size), PLUG_ENOTFOUND);
	assert_int_equal(statedir_write(fd, "x", "one\0two", 7), PLUG_OK);
	assert_int_equal(statedir_read(fd, "x", 7, &data, &size), PLUG_OK);
	assert_int_equal(size, 7);
	assert_memory_equal(data, "one\0two", 8);
	free(data);
	assert_int_equal(statedir_write(fd, "x", "", 0), PLUG_OK);
	assert_int_equal(statedir_read(fd, "x", 0, &data, &size), PLUG_OK);
	assert_int_equal(size, 0);
	free(data);
	assert_int_equal(statedir_write(fd, "x", "12345678", 8), PLUG_OK);
	assert_int_equal(statedir_read(fd, "x", 7, &data, &size), PLUG_ETOOLARGE);
	assert_int_equal(stat(in_base("a/b/state/x"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0600);
	assert_int_equal(statedir_remove(fd, "x"), PLUG_OK);
	assert_int_equal(statedir_remove(fd, "x"), PLUG_OK);
	assert_int_equal(statedir_read(fd, "x", 7, &data, &size), PLUG_ENOTFOUND);
	assert_int_equal(statedir_write(fd, "../x", "", 0), PLUG_EINVAL);
	assert_int_equal(statedir_write(fd, ".x", "", 0), PLUG_EINVAL);
	assert_int_equal(statedir_write(fd, "", "", 0), PLUG_EINVAL);
	close(fd);
}

static void
test_state_special_files(void **state)
{
	char *data = NULL;
	size_t size = 0;
	int fd;

	(void)state;
	assert_int_equal(statedir_open(in_base("state2"), &fd, NULL), PLUG_OK);
	mkfifoat(fd, "fifo", 0600);
	mkdirat(fd, "folder", 0700);
	assert_int_equal(symlinkat("/etc/passwd", fd, "link"), 0);
	assert_int_equal(statedir_read(fd, "fifo", 9, &data, &size), PLUG_EINVAL);
	assert_int_equal(statedir_read(fd, "folder", 9, &data, &size), PLUG_EINVAL);
	assert_int_equal(statedir_read(fd, "link", 9, &data, &size), PLUG_EINVAL);
	assert_int_equal(statedir_write(fd, "link", "x", 1), PLUG_OK); /* replaced, not followed */
	assert_int_equal(statedir_read(fd, "link", 9, &data, &size), PLUG_OK);
	assert_string_equal(data, "x");
	free(data);
	/* What a daemon that died in the middle of a write left does not stand in the way. */
	assert_int_equal(symlinkat("/no/such/place", fd, ".half.tmp"), 0);
	assert_int_equal(statedir_write(fd, "half", "whole", 5), PLUG_OK);
	assert_false(is_there(in_base("state2/.half.tmp")));
	close(fd);
}

static void
test_state_directory_refusals(void **state)
{
	struct reason why;
	int fd = 77;

	(void)state;
	mkdir(in_base("loose"), 0700);
	chmod(in_base("loose"), 0770);
	assert_int_equal(statedir_open(in_base("loose"), &fd, &why), PLUG_EDENIED);
	assert_non_null(strstr(why.text, "mode 0770"));
	touch(in_base("plain"));
	assert_int_equal(statedir_open(in_base("plain"), &fd, &why), PLUG_ESYS);
	assert_int_equal(statedir_open(in_base("plain/below"), &fd, &why), PLUG_ESYS);
	assert_non_null(strstr(why.text, "Not a directory"));
	assert_int_equal(fd, 77);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_and_close),
		cmocka_unit_test(test_relative_path_becomes_absolute),
		cmocka_unit_test(test_admitting_users),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_foreign_owner),
		cmocka_unit_test(test_longest_path),
		cmocka_unit_test(test_second_is_refused),
		cmocka_unit_test(test_lock_survives_other_descriptors),
		cmocka_unit_test(test_what_a_dead_daemon_left),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_default_path),
		cmocka_unit_test(test_state_files),
		cmocka_unit_test(test_state_special_files),
		cmocka_unit_test(test_state_directory_refusals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
