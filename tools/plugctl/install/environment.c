#include "install/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "progress.h"

#define LINE_BYTES 160

extern char **environ;

struct making {
	const struct environment *environment;
	uint64_t until_ms;
	int log_fd;
	char line[LINE_BYTES]; /* the one that is being received */
	char last[LINE_BYTES]; /* the last whole one that was not empty */
	struct reason *why;
};

/* ---- the child ---- */

/* Between fork and exec: another thread of ours may hold any lock. */
static _Noreturn void
become(const struct making *making, const char *const *argv, int out, pid_t parent)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || chdir(making->environment->folder) < 0 ||
	    dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 ||
	    fcntl(making->environment->lock_fd, F_SETFD, 0) < 0)
		_exit(126);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	dprintf(STDERR_FILENO, "%s: cannot be executed (errno %d)\n", argv[0], errno);
	_exit(127);
}

/* ---- what it prints ---- */

static void
take_byte(struct making *making, char byte)
{
	size_t length = strlen(making->line);

	if (byte != '\n' && byte != '\r') {
		if (length + 1 < LINE_BYTES && byte)
			making->line[length] = byte;
		return;
	}
	if (length) {
		memcpy(making->last, making->line, LINE_BYTES);
		progress_say(making->environment->progress, making->last);
	}
	memset(making->line, 0, LINE_BYTES);
}

/* False at its end. */
static bool
take_output(struct making *making, int fd)
{
	char bytes[4096];
	ssize_t got = read(fd, bytes, sizeof(bytes));

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got <= 0)
		return false;
	for (ssize_t at = 0, put; at < got; at += put) {
		put = write(making->log_fd, bytes + at, (size_t)(got - at));
		if (put <= 0) /* a full disk: then the step itself says so */
			break;
	}
	for (ssize_t i = 0; i < got; i++)
		take_byte(making, bytes[i]);
	return true;
}

/* ---- one step ---- */

static plug_err
refuse(struct making *making, plug_err err, const char *program, const char *what)
{
	if (*making->line)
		take_byte(making, '\n');
	return reason_set(making->why, err, "the environment was not made: %s %s%s%.120s%s",
			  program, what, *making->last ? ": \"" : "", making->last,
			  *making->last ? "\"" : "");
}

/* Its whole group: what it started ends with it. */
static plug_err
end_late(struct making *making, pid_t pid, const char *program)
{
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return refuse(making, PLUG_ETIMEOUT, program,
		      "took longer than environment.timeout and was ended");
}

static plug_err
reap(struct making *making, pid_t pid, const char *program)
{
	char text[64];
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return refuse(making, PLUG_ESYS, program, strerrordesc_np(errno));
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return PLUG_OK;
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "was ended by signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "failed with status %d", WEXITSTATUS(status));
	return refuse(making, PLUG_EINVAL, program, text);
}

/* Descendants may keep the pipe open: the program's own end counts. */
static plug_err
follow(struct making *making, pid_t pid, int fd, const char *program)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	for (;;) {
		uint64_t now = clock_mono_ms();
		siginfo_t info = {.si_pid = 0};
		int ready;

		if (now >= making->until_ms)
			return end_late(making, pid, program);
		ready = poll(&poll_fd, 1, 100);
		if (ready > 0 && !take_output(making, fd))
			break;
		if (!ready && !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
		    info.si_pid)
			break;
	}
	return PLUG_OK;
}

static plug_err
wait_end(struct making *making, pid_t pid, const char *program)
{
	for (;;) {
		siginfo_t info = {.si_pid = 0};

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid)
			return reap(making, pid, program);
		if (clock_mono_ms() >= making->until_ms)
			return end_late(making, pid, program);
		poll(NULL, 0, 20); /* it has closed its output and goes on */
	}
}

static plug_err
step(struct making *making, const char *const *argv)
{
	AUTO_CLOSE int ours = -1, theirs = -1;
	pid_t parent = getpid(), pid;
	plug_err err;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return refuse(making, PLUG_ESYS, argv[0], strerrordesc_np(errno));
	ours = ends[0];
	theirs = ends[1];
	dprintf(making->log_fd, "$");
	for (size_t i = 0; argv[i]; i++)
		dprintf(making->log_fd, " %s", argv[i]);
	dprintf(making->log_fd, "\n");
	memset(making->last, 0, sizeof(making->last));
	pid = fork();
	if (pid < 0)
		return refuse(making, PLUG_ESYS, argv[0], strerrordesc_np(errno));
	if (!pid)
		become(making, argv, theirs, parent);
	close_fd(&theirs);
	err = follow(making, pid, ours, argv[0]);
	return err ? err : wait_end(making, pid, argv[0]);
}

plug_err
environment_make(const struct environment *environment, const struct manifest_environment *wanted,
		 struct reason *why)
{
	const char *const venv[] = {"python3", "-m", "venv", "--clear", ".venv", NULL};
	const char *const pip[] = {".venv/bin/python",
				   "-m",
				   "pip",
				   "install",
				   "--no-input",
				   "--disable-pip-version-check",
				   "-r",
				   wanted->python,
				   NULL};
	struct making making = {.environment = environment,
				.until_ms = clock_mono_ms() + wanted->timeout_ms,
				.why = why};
	AUTO_CLOSE int log = -1;
	plug_err err;

	if (!wanted->python)
		return PLUG_OK;
	log = open(environment->log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (log < 0)
		return reason_set(why, PLUG_ESYS, "%s: %s", environment->log,
				  strerrordesc_np(errno));
	making.log_fd = log;
	unsetenv("PYTHONHOME"); /* they would reach into another installation */
	unsetenv("PYTHONPATH");
	progress_say(environment->progress, "making a virtual environment");
	err = step(&making, venv);
	return err ? err : step(&making, pip);
}
