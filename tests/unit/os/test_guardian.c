/*
 * Each case forks a process that becomes the guardian; the function given runs in its daemon.  What
 * the daemon says comes through a socket, and every process is followed by a pidfd.
 */
#include "os_support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/guardian.h"
#include "os/notify.h"
#include "os/tree.h"

#define MEMBERS 4

static const char *const members[] = {"leader ", "child ", "session ", "orphan "};

struct guarded {
	pid_t guardian;
	int guardian_fd, daemon_fd; /* pidfds */
	int in_fd;                  /* what the daemon says */
	size_t used;
	char text[4096];
	int member_fds[MEMBERS];
};

static int out_fd; /* in the daemon */

static void
say(const char *text)
{
	if (write(out_fd, text, strlen(text)) < 0)
		_exit(90);
}

static void
read_line_with(struct guarded *guarded, const char *marker)
{
	const char *at;

	while (!(at = strstr(guarded->text, marker)) || !strchr(at, '\n')) {
		ssize_t got;

		assert_true(wait_readable(guarded->in_fd, DEADLINE_MS));
		got = read(guarded->in_fd, guarded->text + guarded->used,
			   sizeof(guarded->text) - 1 - guarded->used);
		assert_true(got > 0);
		guarded->used += (size_t)got;
	}
}

static int
number_of(const struct guarded *guarded, const char *word)
{
	return atoi(strstr(guarded->text, word) + strlen(word));
}

static void
start(struct guarded *guarded, int (*daemon)(struct guardian *))
{
	int pair[2];

	memset(guarded, 0, sizeof(*guarded));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	guarded->guardian = fork();
	if (!guarded->guardian) {
		struct guardian guardian;
		char line[32], go;

		out_fd = pair[1];
		if (guardian_start(&guardian))
			_exit(91);
		snprintf(line, sizeof(line), "daemon %d\n", (int)getpid());
		say(line);
		_exit(read(out_fd, &go, 1) == 1 ? daemon(&guardian) : 89);
	}
	close(pair[1]);
	guarded->in_fd = pair[0];
	guarded->guardian_fd = open_pidfd(guarded->guardian);
	read_line_with(guarded, "daemon ");
	guarded->daemon_fd = open_pidfd(number_of(guarded, "daemon "));
	assert_int_equal(write(guarded->in_fd, "g", 1), 1); /* go: both are followed now */
}

static int
exit_code_of(struct guarded *guarded)
{
	int status;

	assert_true(ends(guarded->guardian_fd));
	assert_int_equal(waitpid(guarded->guardian, &status, 0), guarded->guardian);
	assert_true(ends(guarded->daemon_fd));
	close(guarded->guardian_fd);
	close(guarded->daemon_fd);
	close(guarded->in_fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int
exit_7(struct guardian *guardian)
{
	return guardian->pid == getppid() ? 7 : 92;
}

static int
abort_itself(struct guardian *guardian)
{
	struct rlimit none = {0};

	(void)guardian;
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void
test_exit_code(void **state)
{
	struct guarded guarded;

	(void)state;
	start(&guarded, exit_7);
	assert_int_equal(exit_code_of(&guarded), 7);
	start(&guarded, abort_itself);
	assert_int_equal(exit_code_of(&guarded), 128 + SIGABRT);
}

/* Starts a family, says who is in it, and waits for the lifeline; then ends it itself. */
static int
keep_family(struct guardian *guardian, struct cgroup_group *group)
{
	static struct running family;
	struct spawn_request request = SPAWN_REQUEST_INIT;
	unsigned left;

	request.cgroup_fd = group->fd;
	running_start(&family, &request, "family", NULL);
	for (int i = 0; i < MEMBERS; i++)
		running_read_until(&family, members[i]);
	say(family.text);
	while (!wait_readable(guardian->fd, DEADLINE_MS))
		;
	say("lifeline broke\n");
	return tree_end_all(DEADLINE_MS, &left) ? 93 : 0;
}

static int
with_family(struct guardian *guardian)
{
	struct cgroup_group none = CGROUP_GROUP_INIT;

	return keep_family(guardian, &none);
}

static int
with_family_in_cgroup(struct guardian *guardian)
{
	static struct cgroup cgroup;
	struct cgroup_group group;
	char line[PATH_MAX + 16];

	cgroup_open(&cgroup);
	if (cgroup_group_open(&cgroup, "a", &group) || guardian_set_cgroup(guardian, cgroup.path))
		return 94;
	snprintf(line, sizeof(line), "cgroup %s\n", cgroup.path);
	say(line);
	return keep_family(guardian, &group);
}

static void
follow_family(struct guarded *guarded)
{
	for (int i = 0; i < MEMBERS; i++)
		read_line_with(guarded, members[i]);
	for (int i = 0; i < MEMBERS; i++)
		guarded->member_fds[i] = open_pidfd(number_of(guarded, members[i]));
}

static void
assert_family_ended(struct guarded *guarded, int timeout_ms)
{
	for (int i = 0; i < MEMBERS; i++) {
		assert_true(wait_readable(guarded->member_fds[i], timeout_ms));
		close(guarded->member_fds[i]);
	}
}

/* When the guardian has ended nothing is left: no deadline is needed to look. */
static void
test_daemon_is_killed(void **state)
{
	struct guarded guarded;

	(void)state;
	start(&guarded, with_family);
	follow_family(&guarded);
	kill(number_of(&guarded, "daemon "), SIGKILL);
	assert_int_equal(exit_code_of(&guarded), 128 + SIGKILL);
	assert_family_ended(&guarded, 0);
}

static void
test_daemon_is_killed_with_cgroup(void **state)
{
	struct guarded guarded;
	struct stat info;
	char path[PATH_MAX];

	(void)state;
	start(&guarded, with_family_in_cgroup);
	follow_family(&guarded);
	sscanf(strstr(guarded.text, "cgroup "), "cgroup%*[ ]%4095[^\n]", path);
	kill(number_of(&guarded, "daemon "), SIGKILL);
	assert_int_equal(exit_code_of(&guarded), 128 + SIGKILL);
	assert_family_ended(&guarded, 0);
	if (*path == '/')
		assert_int_equal(stat(path, &info), -1);
}

static void
test_guardian_is_killed(void **state)
{
	struct guarded guarded;

	(void)state;
	start(&guarded, with_family);
	follow_family(&guarded);
	kill(guarded.guardian, SIGKILL);
	read_line_with(&guarded, "lifeline broke");
	assert_family_ended(&guarded, DEADLINE_MS);
	assert_int_equal(exit_code_of(&guarded), 1000 + SIGKILL);
}

static int
name_signals(struct guardian *guardian)
{
	struct signalfd_siginfo info;
	char name[SIGNAL_NAME_BYTES + 2];
	sigset_t all;
	int fd;

	(void)guardian;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	fd = signalfd(-1, &all, SFD_CLOEXEC);
	say("listening\n");
	for (;;) {
		if (read(fd, &info, sizeof(info)) != sizeof(info))
			return 95;
		signal_name((int)info.ssi_signo, name, sizeof(name) - 1);
		strcat(name, "\n");
		say(name);
		if (info.ssi_signo == SIGTERM)
			return 0;
	}
}

static void
test_signals_are_passed_on(void **state)
{
	static const int numbers[] = {SIGHUP, SIGUSR1, SIGINT, SIGTERM};
	struct guarded guarded;

	(void)state;
	start(&guarded, name_signals);
	read_line_with(&guarded, "listening");
	for (size_t i = 0; i < 4; i++) {
		char name[SIGNAL_NAME_BYTES];

		kill(guarded.guardian, numbers[i]);
		read_line_with(&guarded, signal_name(numbers[i], name, sizeof(name)));
	}
	assert_int_equal(exit_code_of(&guarded), 0);
}

static int
report_itself(struct guardian *guardian)
{
	sigset_t blocked;
	int subreaper = 0;
	char line[128];

	prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	snprintf(line, sizeof(line), "is subreaper %d dumpable %d term %d cloexec %d notify %d\n",
		 subreaper, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), sigismember(&blocked, SIGTERM),
		 fcntl(guardian->fd, F_GETFD) & FD_CLOEXEC, getenv("NOTIFY_SOCKET") != NULL);
	say(line);
	if (guardian_notify(guardian, "READY=1\nSTATUS=two words") ||
	    guardian_notify(guardian, "STOPPING=1"))
		return 96;
	return 0;
}

/* READY and STOPPING come from the guardian, even when the daemon has ended meanwhile. */
static void
test_notify_is_relayed(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char address[64], text[128];
	struct guarded guarded;
	socklen_t length;
	int fd, on = 1;

	(void)state;
	for (int abstract = 0; abstract < 2; abstract++) {
		char control[CMSG_SPACE(sizeof(struct ucred))];
		struct iovec part = {text, sizeof(text) - 1};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
		const struct ucred *sender;

		snprintf(address, sizeof(address), "%splugd-test-%d", abstract ? "@" : "/tmp/",
			 (int)getpid());
		snprintf(at.sun_path, sizeof(at.sun_path), "%s", address);
		length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
		if (abstract)
			at.sun_path[0] = '\0';
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&at, length), 0);
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
		setenv("NOTIFY_SOCKET", address, 1);
		start(&guarded, report_itself);
		read_line_with(&guarded, "is ");
		assert_non_null(strstr(guarded.text,
				       "is subreaper 1 dumpable 0 term 0 cloexec 1 notify 0\n"));
		assert_int_equal(exit_code_of(&guarded), 0);

		message.msg_controllen = sizeof(control);
		memset(text, 0, sizeof(text));
		assert_true(recvmsg(fd, &message, MSG_DONTWAIT) > 0);
		assert_string_equal(text, "READY=1\nSTATUS=two words");
		sender = (const void *)CMSG_DATA(CMSG_FIRSTHDR(&message));
		assert_int_equal(sender->pid, guarded.guardian);
		memset(text, 0, sizeof(text));
		assert_true(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
		assert_string_equal(text, "STOPPING=1");
		close(fd);
		unlink(address);
		unsetenv("NOTIFY_SOCKET");
	}
}

static void
test_notify_refusals(void **state)
{
	char too_long[200];

	(void)state;
	memset(too_long, 'x', sizeof(too_long));
	too_long[0] = '/';
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(notify_send_to(NULL, "READY=1"), PLUG_ENOTFOUND);
	assert_int_equal(notify_send_to("", "READY=1"), PLUG_ENOTFOUND);
	assert_int_equal(notify_send_to("relative", "READY=1"), PLUG_EINVAL);
	assert_int_equal(notify_send_to(too_long, "READY=1"), PLUG_EINVAL);
	assert_int_equal(notify_send_to("/no/such/socket", "READY=1"), PLUG_ESYS);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), PLUG_ENOTFOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_code),
		cmocka_unit_test(test_daemon_is_killed),
		cmocka_unit_test(test_daemon_is_killed_with_cgroup),
		cmocka_unit_test(test_guardian_is_killed),
		cmocka_unit_test(test_signals_are_passed_on),
		cmocka_unit_test(test_notify_is_relayed),
		cmocka_unit_test(test_notify_refusals),
	};

	return cmocka_run_group_tests(tests, become_subreaper, end_what_is_left);
}
