#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "format.h"
#include "out.h"

#define INTERVAL_MS 2000
#define ROWS        24

static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static size_t
rows(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row : ROWS;
}

/* What a run prints, as a text; the caller's.  stdout is as before afterwards. */
static char *
capture(struct ctl *ctl, const struct args *args, int *ret_status)
{
	FILE *terminal = stdout;
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to) {
		*ret_status = CTL_FAILED;
		return NULL;
	}
	stdout = to;
	*ret_status = args->verb->run(ctl, args);
	stdout = terminal;
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

/* From the upper left corner, each line cleared to its end, then what is left of the screen. */
static void
paint(const char *text, const char *title)
{
	size_t room = rows() > 2 ? rows() - 2 : 1;

	printf("\033[H%s\033[K\n\033[K\n", title);
	for (const char *line = text; *line && room > 1; room--) {
		size_t length = strcspn(line, "\n");

		fwrite(line, 1, length, stdout);
		fputs("\033[K\n", stdout);
		line += length + (line[length] == '\n');
	}
	fputs("\033[J", stdout);
}

static void
show(const struct args *args, const char *text, uint64_t every_ms, bool first)
{
	char title[128], every[FORMAT_BYTES], now[FORMAT_BYTES];

	if (!out_is_terminal()) {
		if (!first && text[0] != '{')
			putchar('\n');
		fputs(text, stdout);
		fflush(stdout);
		return;
	}
	format_duration(every_ms, every);
	format_time(format_now_ms(), now);
	snprintf(title, sizeof(title), "plugctl %s every %s, %.19s; Ctrl-C ends", args->verb->name,
		 every, now);
	if (first)
		fputs("\033[2J", stdout);
	paint(text, title);
	fflush(stdout);
}

static void
pause_ms(uint64_t ms, const sigset_t *mask)
{
	struct timespec time = {.tv_sec = (time_t)(ms / 1000),
				.tv_nsec = (long)(ms % 1000) * 1000000};

	if (!interrupted)
		ppoll(NULL, 0, &time, mask);
}

/* A signal is let in while it waits only: no picture is left half painted. */
static void
hold_signals(sigset_t *ret_before)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigprocmask(SIG_BLOCK, &held, ret_before);
	sigdelset(ret_before, SIGINT);
	sigdelset(ret_before, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int
watch_run(struct ctl *ctl, const struct args *args)
{
	uint64_t every_ms = args_number(args, "watch", 0);
	bool first = true;
	sigset_t before;
	int status = CTL_DONE;

	every_ms = every_ms ? every_ms : INTERVAL_MS;
	hold_signals(&before);
	while (!interrupted && status == CTL_DONE && !ferror(stdout)) {
		char *text = capture(ctl, args, &status);

		if (text && status == CTL_DONE)
			show(args, text, every_ms, first);
		free(text);
		first = false;
		if (status == CTL_DONE)
			pause_ms(every_ms, &before);
	}
	return status;
}
