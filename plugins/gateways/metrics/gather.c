#include "gather.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 65536

extern char **environ;

/* ---- which program ---- */

void
gather_find(const char *configured, char path[GATHER_PATH_BYTES])
{
	static const char wanted[] = "/bin/plugctl";
	char self[GATHER_PATH_BYTES] = "";
	char *slash;

	if (configured && *configured) {
		snprintf(path, GATHER_PATH_BYTES, "%s", configured);
		return;
	}
	if (readlink("/proc/self/exe", self, sizeof(self) - sizeof(wanted)) < 0)
		*self = '\0';
	while ((slash = strrchr(self, '/'))) {
		strcpy(slash, wanted); /* there is room: see above */
		if (access(self, X_OK) == 0) {
			strcpy(path, self);
			return;
		}
		*slash = '\0';
	}
	strcpy(path, "plugctl");
}

/* ---- its run ---- */

struct output {
	int fd; /* -1: it has ended */
	char *text;
	size_t size, room;
};

struct run {
	pid_t pid;
	int pidfd; /* -1: it has ended */
	int status;
	struct output out, err;
};

static bool
fail(char why[GATHER_WHY_BYTES], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, GATHER_WHY_BYTES, format, args);
	va_end(args);
	return false;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* An operator's environment: with this process's token it would be an instance, which may only
 * call. */
static char **
environment(void)
{
	size_t count = 0, used = 0;
	char **made;

	while (environ[count])
		count++;
	made = calloc(count + 1, sizeof(char *));
	for (size_t i = 0; made && i < count; i++)
		if (strncmp(environ[i], "PLUG_", 5) != 0)
			made[used++] = environ[i];
	return made;
}

static int
start(const char *plugctl, int out, int err, pid_t *ret_pid)
{
	char verb[] = "metrics";
	char *argv[] = {(char *)plugctl, verb, NULL};
	char **envp = environment();
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	int error;

	if (!envp)
		return ENOMEM;
	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE); /* libplug ignores it */
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &usual);
	posix_spawnattr_setpgroup(&attr, 0); /* what it starts ends with it */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, err, 2);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	error = posix_spawnp(ret_pid, plugctl, &actions, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	free(envp);
	return error;
}

static int
begin(struct run *run, const char *plugctl)
{
	int out[2], err[2], error;

	if (pipe2(out, O_CLOEXEC) < 0)
		return errno;
	if (pipe2(err, O_CLOEXEC) < 0) {
		error = errno;
		close(out[0]);
		close(out[1]);
		return error;
	}
	error = start(plugctl, out[1], err[1], &run->pid);
	close(out[1]);
	close(err[1]);
	run->out.fd = out[0];
	run->err.fd = err[0];
	if (error) {
		run->pid = -1;
		return error;
	}
	run->pidfd = pidfd_open(run->pid, 0);
	return run->pidfd < 0 ? errno : 0;
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool
make_room(struct output *output)
{
	size_t room = 2 * (output->room + READ_BYTES);
	char *longer;

	if (output->size + READ_BYTES + 1 <= output->room)
		return true;
	longer = realloc(output->text, room);
	if (!longer)
		return false;
	output->text = longer;
	output->room = room;
	return true;
}

/* False: it is too much, or there is no memory. */
static bool
take(struct output *output)
{
	ssize_t got;

	if (output->size + READ_BYTES > GATHER_BYTES_MAX || !make_room(output))
		return false;
	got = read(output->fd, output->text + output->size, READ_BYTES);
	if (got > 0)
		output->size += (size_t)got;
	else if (got == 0 || errno != EINTR)
		close_fd(&output->fd);
	output->text[output->size] = '\0';
	return true;
}

/* Until all has come and the program has ended. */
static bool
follow(struct run *run, const char *plugctl, uint64_t timeout_ms, int cancel_fd,
       char why[GATHER_WHY_BYTES])
{
	uint64_t deadline = now_ms() + timeout_ms, now;

	while (run->out.fd >= 0 || run->err.fd >= 0 || run->pidfd >= 0) {
		struct pollfd fds[] = {{run->out.fd, POLLIN, 0},
				       {run->err.fd, POLLIN, 0},
				       {run->pidfd, POLLIN, 0},
				       {cancel_fd, POLLIN, 0}};

		now = now_ms();
		if (now >= deadline)
			return fail(why,
				    "%s metrics did not end within %llu ms; plugd may be busy: see "
				    "plugctl status, or raise config key timeout",
				    plugctl, (unsigned long long)timeout_ms);
		if (poll(fds, 4, (int)(deadline - now)) < 0 && errno != EINTR)
			return fail(why, "poll: %s", strerrordesc_np(errno));
		if (fds[3].revents)
			return fail(why, "the plugin is being stopped");
		if ((fds[0].revents && !take(&run->out)) || (fds[1].revents && !take(&run->err)))
			return fail(why, "%s metrics printed more than %zu MiB, or memory is short",
				    plugctl, GATHER_BYTES_MAX >> 20);
		if (fds[2].revents) {
			waitpid(run->pid, &run->status, 0);
			run->pid = -1;
			close_fd(&run->pidfd);
		}
	}
	return true;
}

/* The first line of what it said on stderr is the reason, in plugctl's own words. */
static bool
judge(const struct run *run, const char *plugctl, char why[GATHER_WHY_BYTES])
{
	const char *said = run->err.text ? run->err.text : "";
	int length = (int)strcspn(said, "\n");

	if (WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0)
		return run->out.size > 0 || fail(why, "%s metrics printed nothing", plugctl);
	if (WIFSIGNALED(run->status))
		return fail(why, "%s metrics was killed by signal %d", plugctl,
			    WTERMSIG(run->status));
	return fail(why, "%s metrics ended with status %d%s%.*s", plugctl, WEXITSTATUS(run->status),
		    length ? ": " : "", length, said);
}

static void
end(struct run *run)
{
	if (run->pid > 0) {
		kill(-run->pid, SIGKILL);
		waitpid(run->pid, NULL, 0);
	}
	close_fd(&run->pidfd);
	close_fd(&run->out.fd);
	close_fd(&run->err.fd);
	free(run->out.text);
	free(run->err.text);
}

bool
gather(const char *plugctl, uint64_t timeout_ms, int cancel_fd, struct gathered *ret,
       char why[GATHER_WHY_BYTES])
{
	struct run run = {.pid = -1, .pidfd = -1, .out = {.fd = -1}, .err = {.fd = -1}};
	int error = begin(&run, plugctl);
	bool done = !error;

	if (error)
		fail(why, "%s cannot be run: %s; set config key plugctl to the program's path",
		     plugctl, strerrordesc_np(error));
	done = done && follow(&run, plugctl, timeout_ms, cancel_fd, why) &&
	       judge(&run, plugctl, why);
	if (done) {
		*ret = (struct gathered){run.out.text, run.out.size};
		run.out.text = NULL;
	}
	end(&run);
	return done;
}
