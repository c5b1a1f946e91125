#include "os_support.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/tree.h"

void
running_start(struct running *running, const struct spawn_request *request, const char *mode,
	      const char *arg)
{
	static const char *const no_environment[] = {NULL};
	const char *argv[] = {"os_child", mode, arg, NULL};
	struct spawn_request own = SPAWN_REQUEST_INIT;
	int ends_of_pipe[2];

	memset(running, 0, sizeof(*running));
	assert_int_equal(pipe2(ends_of_pipe, O_CLOEXEC), 0);
	running->out_fd = ends_of_pipe[0];
	if (request)
		own = *request;
	if (!own.path)
		own.path = OS_CHILD;
	own.argv = (char *const *)(uintptr_t)argv;
	if (!own.envp)
		own.envp = (char *const *)(uintptr_t)no_environment;
	own.stdout_fd = own.stderr_fd = ends_of_pipe[1];
	assert_int_equal(spawn_process(&own, &running->process), PLUG_OK);
	close(ends_of_pipe[1]);
}

bool
wait_readable(int fd, int timeout_ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	return poll(&wait, 1, timeout_ms) == 1;
}

static bool
read_some(struct running *running)
{
	ssize_t got;

	assert_true(wait_readable(running->out_fd, DEADLINE_MS));
	got = read(running->out_fd, running->text + running->used,
		   sizeof(running->text) - 1 - running->used);
	assert_true(got >= 0);
	running->used += (size_t)got;
	running->text[running->used] = '\0';
	return got > 0;
}

void
running_read_until(struct running *running, const char *marker)
{
	const char *at;

	while (!(at = strstr(running->text, marker)) || !strchr(at, '\n'))
		assert_true(read_some(running));
}

void
running_read_all(struct running *running)
{
	while (read_some(running))
		;
}

int
running_number(const struct running *running, const char *word)
{
	const char *at = strstr(running->text, word);

	assert_non_null(at);
	return atoi(at + strlen(word));
}

struct exit_status
running_reap(struct running *running)
{
	struct exit_status status;

	assert_true(wait_readable(running->process.pidfd, DEADLINE_MS));
	assert_int_equal(exit_status_reap(running->process.pidfd, &status), PLUG_OK);
	return status;
}

void
running_close(struct running *running)
{
	close(running->process.pidfd);
	close(running->process.error_fd);
	close(running->out_fd);
}

int
open_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	assert_true(fd >= 0);
	return fd;
}

bool
ends(int pidfd)
{
	return wait_readable(pidfd, DEADLINE_MS);
}

void
make_directory(char *path, size_t size)
{
	snprintf(path, size, "/tmp/plugd-os-XXXXXX");
	assert_non_null(mkdtemp(path));
}

static int
remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
	(void)info;
	(void)type;
	(void)ftw;
	return remove(path);
}

void
remove_directory(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int
count_open_fds(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(fds))
		count++;
	closedir(fds);
	return count;
}

int
become_subreaper(void **state)
{
	(void)state;
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int
end_what_is_left(void **state)
{
	unsigned left;

	(void)state;
	return tree_end_all(DEADLINE_MS, &left) ? -1 : 0;
}
