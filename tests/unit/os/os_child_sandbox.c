/* What a sandboxed child finds that it can still do; one line each. */
#include "os_child_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *
outcome(int result)
{
	return result >= 0 ? "yes" : strerrorname_np(errno);
}

static void
try_open(const char *what, const char *dir, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	printf("%s %s\n", what, outcome(fd));
	if (fd >= 0)
		close(fd);
}

/* Forks until it cannot; all children are ended. */
static int
count_forks(void)
{
	int count = 0;
	pid_t pid;

	while (count < 64 && (pid = fork()) >= 0) {
		if (pid == 0)
			pause();
		count++;
	}
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
	return count;
}

int
sandbox_report(const char *dirs)
{
	char readable[2048], writable[2048];
	struct rlimit files;
	int deathsig = 0;
	size_t megabytes = 0;

	if (sscanf(dirs, "%2047[^:]:%2047s", readable, writable) != 2)
		return 95;
	prctl(PR_GET_PDEATHSIG, &deathsig);
	printf("uid %u %u\n", (unsigned)getuid(), (unsigned)geteuid());
	printf("gid %u\n", (unsigned)getgid());
	printf("groups %d\n", getgroups(0, NULL));
	printf("deathsig %d\n", deathsig);
	printf("no-new-privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	try_open("read-readable", readable, "file", O_RDONLY);
	try_open("write-readable", readable, "file", O_WRONLY);
	try_open("truncate-readable", readable, "file", O_WRONLY | O_TRUNC);
	try_open("read-writable", writable, "file", O_RDONLY);
	try_open("write-writable", writable, "file", O_WRONLY);
	try_open("make-writable", writable, "new", O_WRONLY | O_CREAT | O_EXCL);
	try_open("read-hidden", "/root", "", O_RDONLY | O_DIRECTORY);
	try_open("read-etc", "/etc", "passwd", O_RDONLY);
	try_open("null", "/dev", "null", O_RDWR);
	printf("mount %s\n", outcome(mount("none", "/mnt", "tmpfs", 0, NULL)));
	printf("unshare %s\n", outcome(unshare(CLONE_FS)));
	getrlimit(RLIMIT_NOFILE, &files);
	printf("files %llu %llu\n", (unsigned long long)files.rlim_cur,
	       (unsigned long long)files.rlim_max);
	while (megabytes < 256 && calloc(1, 1024 * 1024))
		megabytes++;
	printf("megabytes %zu\n", megabytes);
	fflush(stdout);
	printf("forks %d\n", count_forks());
	fflush(stdout);
	_exit(0); /* a sanitizer would look for leaks, by ptrace, which the filter refuses */
}
