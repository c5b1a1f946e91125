/* It must outlive whatever kills the daemon, so it does little: it allocates nothing. */
#include "os/guardian_run.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "os/cgroup.h"
#include "os/exit_status.h"
#include "os/notify.h"
#include "os/tree.h"

#define END_TIMEOUT_MS 10000

struct guardian_process {
	pid_t daemon;
	int daemon_fd; /* pidfd */
	int lifeline_fd;
	int signal_fd;
	int held_fd; /* until the end: never closed */
	char cgroup[GUARDIAN_MESSAGE_BYTES];
};

/* What the terminal sends goes to the whole foreground group, so to the daemon too. */
static void
pass_signal(const struct guardian_process *process)
{
	struct signalfd_siginfo info;

	if (read(process->signal_fd, &info, sizeof(info)) == sizeof(info) &&
	    info.ssi_code != SI_KERNEL)
		syscall(SYS_pidfd_send_signal, process->daemon_fd, (int)info.ssi_signo, NULL, 0);
}

static ssize_t
receive(int fd, char *bytes, size_t size, int *ret_given)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(__alignof__(struct cmsghdr))));
	struct iovec part = {bytes, size};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;

	*ret_given = -1;
	if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_given, CMSG_DATA(header), sizeof(int));
	return got;
}

/* false when there is none now. */
static bool
take_message(struct guardian_process *process)
{
	char message[GUARDIAN_MESSAGE_BYTES + 1];
	int given;
	ssize_t got = receive(process->lifeline_fd, message, sizeof(message) - 1, &given);

	if (given >= 0) {
		close_fd(&process->held_fd);
		process->held_fd = given;
	}
	if (got <= 0) {
		if (got == 0) /* the daemon closed it, or is ending */
			close_fd(&process->lifeline_fd);
		return false;
	}
	message[got] = '\0';
	if (message[0] == GUARDIAN_CGROUP)
		memcpy(process->cgroup, message + 1, (size_t)got);
	else if (message[0] == GUARDIAN_NOTIFY)
		notify_send(message + 1);
	return true;
}

static void
wait_for_daemon(struct guardian_process *process)
{
	for (;;) {
		struct pollfd fds[] = {
			{.fd = process->daemon_fd, .events = POLLIN},
			{.fd = process->signal_fd, .events = POLLIN},
			{.fd = process->lifeline_fd, .events = POLLIN},
		};

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents)
			pass_signal(process);
		if (fds[2].revents)
			take_message(process);
		if (fds[0].revents)
			return;
	}
}

static void
end_what_is_left(struct guardian_process *process)
{
	unsigned left = 0;

	if (*process->cgroup)
		cgroup_end_path(process->cgroup);
	if (tree_end_all(END_TIMEOUT_MS, &left))
		log_warn("guardian: %u processes of plugins did not end within %d s of SIGKILL; "
			 "they are left to init",
			 left, END_TIMEOUT_MS / 1000);
	if (*process->cgroup && cgroup_end_path(process->cgroup))
		log_warn("guardian: %s could not be removed; the next plugd will", process->cgroup);
}

/* Without a pidfd (its table is full, say) the wait is for the pid, which is ours to reap. */
static int
reap_daemon(const struct guardian_process *process)
{
	struct exit_status status;
	siginfo_t info = {0};

	while (waitid(P_PID, (id_t)process->daemon, &info, WEXITED) < 0)
		if (errno != EINTR)
			return 1;
	exit_status_from_siginfo(&info, &status);
	return status.signal ? 128 + status.signal : status.code;
}

_Noreturn void
guardian_run(pid_t daemon, int fd, const sigset_t *forwarded)
{
	struct guardian_process process = {.daemon = daemon, .lifeline_fd = fd, .held_fd = -1};
	int code;

	prctl(PR_SET_NAME, "plugd-guardian", 0, 0, 0);
	signal(SIGPIPE, SIG_IGN); /* whoever reads our stderr may be gone first */
	process.daemon_fd = (int)syscall(SYS_pidfd_open, daemon, 0);
	process.signal_fd = signalfd(-1, forwarded, SFD_CLOEXEC | SFD_NONBLOCK);
	if (process.daemon_fd >= 0)
		wait_for_daemon(&process);
	code = reap_daemon(&process);
	while (process.lifeline_fd >= 0 && take_message(&process))
		;
	end_what_is_left(&process);
	_exit(code);
}
