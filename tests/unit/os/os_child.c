/*
 * What the tests start.  os_child MODE [ARG]: see the table at the end.  Lines on stdout end with a
 * write of their own, so that a reader sees whole ones.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os_child_sandbox.h"

static void
say(const char *format, ...)
{
	char line[4096];
	va_list ap;
	int length;

	va_start(ap, format);
	length = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		_exit(99);
}

static _Noreturn void
stay(void)
{
	for (;;)
		pause();
}

static int
hang(const char *arg)
{
	(void)arg;
	say("%d\n", (int)getpid());
	stay();
}

static int
exit_with(const char *arg)
{
	return atoi(arg);
}

static int
die_by(const char *arg)
{
	struct rlimit none = {0};

	setrlimit(RLIMIT_CORE, &none);
	signal(atoi(arg), SIG_DFL);
	raise(atoi(arg));
	return 98;
}

/* Descriptors, signals, session, directory, umask and limit, as this process finds them. */
static int
report(const char *arg)
{
	DIR *fds = opendir("/proc/self/fd");
	char cwd[1024], link[64], target[256];
	struct dirent *entry;
	struct rlimit limit;
	mode_t mask = umask(0);
	sigset_t blocked;
	int signals = 0;

	(void)arg;
	while ((entry = readdir(fds))) {
		ssize_t length;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(fds))
			continue;
		snprintf(link, sizeof(link), "/proc/self/fd/%.16s", entry->d_name);
		length = readlink(link, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		say("fd %s %s\n", entry->d_name, target);
	}
	closedir(fds);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	for (int i = 1; i < SIGRTMAX; i++) {
		struct sigaction action;

		if (sigaction(i, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			signals++;
		signals += sigismember(&blocked, i) > 0;
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	say("signals %d\n", signals);
	say("session %d\n", getsid(0) == getpid() && getpgrp() == getpid());
	say("cwd %s\n", getcwd(cwd, sizeof(cwd)));
	say("umask %03o\n", (unsigned)mask);
	say("nofile %llu\n", (unsigned long long)limit.rlim_cur);
	say("env %s\n", getenv("TEST_VARIABLE") ? getenv("TEST_VARIABLE") : "-");
	say("path %s\n", getenv("PATH") ? "yes" : "no");
	return 0;
}

static _Noreturn void
hang_as(const char *what)
{
	say("%s %d\n", what, (int)getpid());
	stay();
}

/* A plain child, one in a session of its own, and an orphan in a session of its own. */
static int
family(const char *arg)
{
	(void)arg;
	if (fork() == 0)
		hang_as("child");
	if (fork() == 0) {
		setsid();
		hang_as("session");
	}
	if (fork() == 0) {
		setsid();
		if (fork() == 0)
			hang_as("orphan");
		_exit(0);
	}
	if (wait(NULL) < 0)
		return 97;
	hang_as("leader");
}

/* Every process forks as fast as it can, half of them into sessions of their own, up to ARG. */
static int
bomb(const char *arg)
{
	int *count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	int most = atoi(arg);

	say("leader %d\n", (int)getpid());
	while (__atomic_add_fetch(count, 1, __ATOMIC_RELAXED) <= most)
		if (fork() == 0 && getpid() % 2)
			setsid();
	stay();
}

/* Its child dies at once: an adopted zombie once this one is gone. */
static int
leave_zombies(const char *arg)
{
	for (int i = 0; i < atoi(arg); i++)
		if (fork() == 0)
			_exit(5);
	say("leader %d\n", (int)getpid());
	return 0;
}

static int
ignore_term(const char *arg)
{
	signal(SIGTERM, SIG_IGN);
	return hang(arg);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const char *arg);
	} modes[] = {
		{"hang", hang},
		{"exit", exit_with},
		{"die", die_by},
		{"report", report},
		{"family", family},
		{"bomb", bomb},
		{"zombies", leave_zombies},
		{"ignore-term", ignore_term},
		{"sandbox", sandbox_report},
	};

	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(argv[1], modes[i].name))
			return modes[i].run(argc > 2 ? argv[2] : "");
	return 96;
}
