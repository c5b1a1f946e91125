#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define COPY_BYTES 4096

struct terminal {
	int master, slave; /* slave: held, so that the master has another side before it is opened
			      and after it is closed there */
	int resized, stop;
	char path[64];
	struct termios before;
	pthread_t thread;
};

static void
copy_size(const struct terminal *terminal)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		ioctl(terminal->master, TIOCSWINSZ, &size);
}

static bool
copy(int from, int to)
{
	char bytes[COPY_BYTES];
	ssize_t got = read(from, bytes, sizeof(bytes));

	for (ssize_t at = 0; at < got;) {
		ssize_t put = write(to, bytes + at, (size_t)(got - at));

		if (put < 0 && errno != EINTR)
			return false;
		at += put > 0 ? put : 0;
	}
	return got > 0 || (got < 0 && errno == EINTR);
}

static void *
pump(void *user)
{
	struct terminal *terminal = user;
	struct signalfd_siginfo news;
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = terminal->master, .events = POLLIN},
			       {.fd = terminal->resized, .events = POLLIN},
			       {.fd = terminal->stop, .events = POLLIN}};

	while (poll(fds, 4, -1) >= 0 || errno == EINTR) {
		if (fds[1].revents && !copy(terminal->master, STDOUT_FILENO))
			fds[1].fd = -1;
		else if (!fds[1].revents && fds[3].revents)
			break; /* what was printed has been copied */
		if (fds[0].revents && !copy(STDIN_FILENO, terminal->master))
			fds[0].fd = -1;
		if (fds[2].revents && read(terminal->resized, &news, sizeof(news)) > 0)
			copy_size(terminal);
		fds[0].revents = fds[1].revents = fds[2].revents = 0;
	}
	return NULL;
}

static bool
start(struct terminal *terminal)
{
	struct termios raw = terminal->before;
	sigset_t winch;

	sigemptyset(&winch);
	sigaddset(&winch, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &winch, NULL);
	terminal->resized = signalfd(-1, &winch, SFD_CLOEXEC);
	terminal->stop = eventfd(0, EFD_CLOEXEC);
	if (terminal->resized < 0 || terminal->stop < 0)
		return false;
	copy_size(terminal);
	cfmakeraw(&raw);
	raw.c_oflag = terminal->before.c_oflag; /* our own lines end with a newline only */
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	return pthread_create(&terminal->thread, NULL, pump, terminal) == 0;
}

static void
release(struct terminal *terminal)
{
	tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->before);
	close(terminal->master);
	close(terminal->slave);
	close(terminal->resized);
	close(terminal->stop);
	free(terminal);
}

struct terminal *
terminal_open(void)
{
	struct terminal *terminal = calloc(1, sizeof(*terminal));

	if (!terminal)
		return NULL;
	terminal->resized = terminal->stop = -1;
	if (tcgetattr(STDIN_FILENO, &terminal->before) < 0 ||
	    openpty(&terminal->master, &terminal->slave, terminal->path, &terminal->before, NULL) <
		    0) {
		free(terminal);
		return NULL;
	}
	fcntl(terminal->master, F_SETFD, FD_CLOEXEC);
	fcntl(terminal->slave, F_SETFD, FD_CLOEXEC);
	if (start(terminal))
		return terminal;
	release(terminal);
	return NULL;
}

const char *
terminal_path(const struct terminal *terminal)
{
	return terminal->path;
}

void
terminal_close(struct terminal *terminal)
{
	if (!terminal)
		return;
	eventfd_write(terminal->stop, 1);
	pthread_join(terminal->thread, NULL);
	release(terminal);
}
