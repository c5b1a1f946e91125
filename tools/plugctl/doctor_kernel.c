/* The kernel, tried out. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "doctor.h"

#define NEWER_KERNEL  "run Linux 5.9 or later"
#define PAGE_BYTES    4096
#define WATCHES_LEAST 8192

void
doctor_linux(struct ctl *ctl, struct doctor_finding *finding)
{
	struct utsname name;
	unsigned major = 0, minor = 0;

	(void)ctl;
	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	if (major < 5 || (major == 5 && minor < 9))
		doctor_say(finding, DOCTOR_BROKEN, NEWER_KERNEL, "%s; plugd needs 5.9",
			   name.release);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%s, %s", name.release, name.machine);
}

/* A child's end seen through a descriptor, as plugd sees it. */
void
doctor_pidfd(struct ctl *ctl, struct doctor_finding *finding)
{
	pid_t pid = fork();
	AUTO_CLOSE int fd = -1;
	siginfo_t info = {0};
	int rc;

	(void)ctl;
	if (pid == 0)
		_exit(7);
	fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	rc = fd < 0 ? -1 : waitid((idtype_t)3 /* P_PIDFD */, (id_t)fd, &info, WEXITED);
	if (rc == 0 && info.si_status == 7) {
		doctor_say(finding, DOCTOR_OK, NULL, "a child's end was seen");
		return;
	}
	doctor_say(finding, DOCTOR_BROKEN,
		   NEWER_KERNEL ", outside of a sandbox that refuses pidfds",
		   "pidfd_open or waitid: %s", strerror(errno));
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* Writable for its maker's mapping, and for no other one. */
static bool
seals_hold(int fd)
{
	void *ours, *theirs;

	if (fd < 0 || ftruncate(fd, PAGE_BYTES) < 0)
		return false;
	ours = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ours == MAP_FAILED ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return false;
	*(volatile char *)ours = 1;
	theirs = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	munmap(ours, PAGE_BYTES);
	if (theirs == MAP_FAILED && ftruncate(fd, 2 * PAGE_BYTES) < 0)
		return true;
	errno = EPERM;
	return false;
}

void
doctor_seals(struct ctl *ctl, struct doctor_finding *finding)
{
	AUTO_CLOSE int fd = memfd_create("plugctl-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)ctl;
	if (seals_hold(fd))
		doctor_say(finding, DOCTOR_OK, NULL, "memfds keep their seals");
	else
		doctor_say(finding, DOCTOR_BROKEN, NEWER_KERNEL,
			   "a sealed memfd: %s; there are no channels and no tensors",
			   strerror(errno));
}

static bool
send_descriptor(int to, int fd)
{
	char byte = 1, space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = space,
				 .msg_controllen = sizeof(space)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static int
take_descriptor(int from)
{
	char byte, space[CMSG_SPACE(sizeof(int))];
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = space,
				 .msg_controllen = sizeof(space)};
	int fd = -1;

	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) == 1 &&
	    CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

void
doctor_packets(struct ctl *ctl, struct doctor_finding *finding)
{
	int pair[2] = {-1, -1};
	AUTO_CLOSE int got = -1;

	(void)ctl;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 &&
	    send_descriptor(pair[0], pair[0]))
		got = take_descriptor(pair[1]);
	if (got >= 0)
		doctor_say(finding, DOCTOR_OK, NULL, "one was sent and received");
	else
		doctor_say(finding, DOCTOR_BROKEN,
			   "look at the sandbox or container that this runs in",
			   "a SOCK_SEQPACKET pair: %s", strerror(errno));
	if (pair[0] >= 0) {
		close(pair[0]);
		close(pair[1]);
	}
}

/* A grandchild whose parent died becomes ours. */
static bool
adopts(void)
{
	int was = 0, status;
	pid_t pid;
	bool found = false;

	if (prctl(PR_GET_CHILD_SUBREAPER, &was) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return false;
	pid = fork();
	if (pid == 0)
		_exit(fork() == 0 ? 9 : 0);
	while (pid > 0 && waitpid(-1, &status, 0) > 0)
		found = found || (WIFEXITED(status) && WEXITSTATUS(status) == 9);
	prctl(PR_SET_CHILD_SUBREAPER, was);
	return found;
}

void
doctor_subreaper(struct ctl *ctl, struct doctor_finding *finding)
{
	(void)ctl;
	if (adopts())
		doctor_say(finding, DOCTOR_OK, NULL, "an orphan was adopted");
	else
		doctor_say(finding, DOCTOR_BROKEN,
			   "look at the sandbox or container that this runs in",
			   "an orphan was not adopted: what a plugin leaves behind is not found");
}

/* The opened file is what is executed, whatever its path is then. */
void
doctor_execveat(struct ctl *ctl, struct doctor_finding *finding)
{
	char name[] = "true", *const argv[] = {name, NULL}, *const envp[] = {NULL};
	AUTO_CLOSE int fd = open("/bin/true", O_PATH | O_CLOEXEC);
	int status = -1;
	pid_t pid = fork();

	(void)ctl;
	if (pid == 0) {
		syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
		_exit(127);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
		doctor_say(finding, DOCTOR_OK, NULL, "/bin/true was, by its descriptor");
	else
		doctor_say(finding, DOCTOR_BROKEN, "mount /proc; look at the sandbox this runs in",
			   "execveat did not start /bin/true");
}

void
doctor_inotify(struct ctl *ctl, struct doctor_finding *finding)
{
	AUTO_CLOSE int fd = inotify_init1(IN_CLOEXEC);
	char text[32];
	long watches;

	(void)ctl;
	doctor_line("/proc/sys/fs/inotify/max_user_watches", text, sizeof(text));
	watches = strtol(text, NULL, 10);
	if (fd < 0 || inotify_add_watch(fd, "/", IN_CREATE) < 0)
		doctor_say(finding, DOCTOR_WEAK, "sysctl fs.inotify.max_user_instances=512",
			   "a watch: %s; changed files are found by rescans only", strerror(errno));
	else if (watches < WATCHES_LEAST)
		doctor_say(finding, DOCTOR_WEAK, "sysctl fs.inotify.max_user_watches=65536",
			   "%ld watches for all programs of a user", watches);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%ld watches", watches);
}

void
doctor_landlock(struct ctl *ctl, struct doctor_finding *finding)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	(void)ctl;
	if (version > 0)
		doctor_say(finding, DOCTOR_OK, NULL, "version %ld", version);
	else
		doctor_say(finding, DOCTOR_WEAK,
			   "Linux 5.13 or later, with landlock in the boot parameter lsm=",
			   "%s; sandbox.read and sandbox.write of a manifest are refused",
			   strerror(errno));
}

void
doctor_seccomp(struct ctl *ctl, struct doctor_finding *finding)
{
	unsigned action = SECCOMP_RET_ERRNO;

	(void)ctl;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		doctor_say(finding, DOCTOR_OK, NULL, "filters that refuse are available");
	else
		doctor_say(finding, DOCTOR_WEAK, "a kernel with CONFIG_SECCOMP_FILTER",
			   "%s; sandbox.system_calls: default is refused", strerror(errno));
}

void
doctor_core(struct ctl *ctl, struct doctor_finding *finding)
{
	char pattern[160];
	struct rlimit limit = {0};

	(void)ctl;
	doctor_line("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern));
	getrlimit(RLIMIT_CORE, &limit);
	if (limit.rlim_max == 0 && pattern[0] != '|')
		doctor_say(finding, DOCTOR_WEAK,
			   "ulimit -c unlimited, or LimitCORE=infinity in the unit",
			   "none is written (limit 0, pattern %s)", pattern);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "pattern %s", pattern);
}

void
doctor_tracing(struct ctl *ctl, struct doctor_finding *finding)
{
	char scope[16];

	(void)ctl;
	doctor_line("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope));
	if (*scope >= '1' && geteuid() != 0)
		doctor_say(finding, DOCTOR_WEAK,
			   "sysctl kernel.yama.ptrace_scope=0, or plugctl debug as root",
			   "ptrace_scope %s: plugctl debug has no stacks of plugins", scope);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "processes of %s may be looked into",
			   geteuid() ? "this user" : "all users");
}

void
doctor_clock(struct ctl *ctl, struct doctor_finding *finding)
{
	char source[64];
	struct timespec resolution = {0};

	(void)ctl;
	clock_getres(CLOCK_MONOTONIC, &resolution);
	doctor_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
		    sizeof(source));
	if (resolution.tv_sec || resolution.tv_nsec > 1000000)
		doctor_say(finding, DOCTOR_WEAK, "a kernel with high-resolution timers",
			   "%s, in steps of %ld ns: deadlines are coarse", source,
			   resolution.tv_nsec);
	else if (strcmp(source, "hpet") == 0 || strcmp(source, "acpi_pm") == 0)
		doctor_say(finding, DOCTOR_WEAK,
			   "find in dmesg why tsc is not used (clocksource=tsc, if it is sound)",
			   "%s, which takes microseconds to read: calls over channels are slower",
			   source);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%s", *source ? source : "monotonic");
}
