#include "upgrade/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "os/exit_status.h"
#include "os/spawn.h"
#include "os/tree.h"

#define REFUSED "refused: "

/* ---- its end ---- */

static bool
read_some(struct check *check)
{
	char spill[256];
	size_t room = sizeof(check->said) - 1 - check->used;
	ssize_t got = room ? read(check->said_fd, check->said + check->used, room)
			   : read(check->said_fd, spill, sizeof(spill));

	if (got <= 0)
		return false;
	if (room)
		check->used += (size_t)got;
	return true;
}

static void
on_said(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)revents;
	if (!read_some(w->data))
		ev_io_stop(loop, w);
}

/* Its line, without the mark; NULL: it said none. */
static char *
find_line(struct check *check)
{
	char *line = strstr(check->said, CHECK_LINE);

	if (!line)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return line + strlen(CHECK_LINE);
}

static void
describe_silence(const struct check *check, const struct exit_status *status, char *why,
		 size_t size)
{
	char ended[64], error[256];
	bool for_want;

	exit_status_text(status, ended, sizeof(ended));
	if (check->late)
		snprintf(why, size, "it did not say within %.0f s whether it understands the state",
			 CHECK_SECONDS);
	else if (spawn_error_read(check->error_fd, error, sizeof(error), &for_want) == PLUG_OK)
		snprintf(why, size, "it cannot be executed: %s", error);
	else
		snprintf(why, size,
			 "it is no plugd that can be upgraded to: asked with " CHECK_OPTION
			 " whether it understands the state, it said %s%.*s%s (%s)",
			 *check->said ? "\"" : "nothing", (int)strcspn(check->said, "\n"),
			 check->said, *check->said ? "\"" : "", ended);
}

static void
tell(struct check *check, const struct exit_status *status)
{
	char why[CHECK_BYTES + 256], ended[64], *line, *verdict;

	check->said[check->used] = '\0';
	utf8_clean(check->said, check->used);
	line = find_line(check);
	verdict = line ? strstr(line, ": ") : NULL;
	if (!verdict || check->late) {
		describe_silence(check, status, why, sizeof(why));
		check->on_done(check->user, NULL, why);
		return;
	}
	*verdict = '\0';
	verdict += 2;
	if (!strcmp(verdict, "ok") && !status->signal && !status->code) {
		check->on_done(check->user, line, NULL);
		return;
	}
	exit_status_text(status, ended, sizeof(ended));
	if (!strncmp(verdict, REFUSED, strlen(REFUSED)))
		snprintf(why, sizeof(why), "plugd %.64s does not take over: %s", line,
			 verdict + strlen(REFUSED));
	else
		snprintf(why, sizeof(why), "plugd %.64s does not take over: it said \"%s\" (%s)",
			 line, verdict, ended);
	check->on_done(check->user, NULL, why);
}

static void
forget(struct check *check)
{
	ev_io_stop(check->loop, &check->end_w);
	ev_io_stop(check->loop, &check->said_w);
	ev_timer_stop(check->loop, &check->deadline_w);
	close_fd(&check->pidfd);
	close_fd(&check->said_fd);
	close_fd(&check->error_fd);
	check->pid = 0;
}

static void
on_end(struct ev_loop *loop, ev_io *w, int revents)
{
	struct check *check = w->data;
	struct exit_status status = {0};
	struct check ended;

	(void)loop;
	(void)revents;
	while (read_some(check))
		;
	tree_kill_group(check->pid);
	exit_status_reap(check->pidfd, &status);
	ended = *check;
	ended.error_fd = steal_fd(&check->error_fd);
	forget(check);
	tell(&ended, &status); /* it may begin another */
	close_fd(&ended.error_fd);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct check *check = w->data;

	(void)loop;
	(void)revents;
	check->late = true;
	tree_kill(check->pid); /* then its end is told */
}

/* ---- its beginning ---- */

void
check_init(struct check *check, struct ev_loop *loop,
	   void (*on_done)(void *user, const char *version, const char *why), void *user)
{
	*check = (struct check){.loop = loop,
				.on_done = on_done,
				.user = user,
				.pidfd = -1,
				.error_fd = -1,
				.said_fd = -1};
	ev_io_init(&check->end_w, on_end, -1, EV_READ);
	ev_io_init(&check->said_w, on_said, -1, EV_READ);
	ev_timer_init(&check->deadline_w, on_deadline, CHECK_SECONDS, 0.);
	check->end_w.data = check->said_w.data = check->deadline_w.data = check;
}

static plug_err
spawn(struct check *check, int program_fd, const char *path, int state_fd, int out_fd)
{
	char *argv[] = {(char *)"plugd", (char *)CHECK_OPTION, NULL};
	const struct spawn_fd fds[] = {{state_fd, CHECK_FD}};
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct spawned spawned;
	plug_err err;

	request.path = path;
	request.exec_fd = program_fd;
	request.argv = argv;
	request.envp = environ;
	request.stdout_fd = request.stderr_fd = out_fd;
	request.fds = fds;
	request.fd_count = ARRAY_SIZE(fds);
	err = spawn_process(&request, &spawned);
	if (err)
		return err;
	check->pid = spawned.pid;
	check->pidfd = spawned.pidfd;
	check->error_fd = spawned.error_fd;
	return PLUG_OK;
}

plug_err
check_start(struct check *check, int program_fd, const char *path, int state_fd)
{
	AUTO_CLOSE int theirs = -1;
	int ends[2];
	plug_err err;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return PLUG_ESYS;
	check->said_fd = ends[0];
	theirs = ends[1];
	fcntl(check->said_fd, F_SETFL, O_NONBLOCK);
	check->used = 0;
	check->late = false;
	err = spawn(check, program_fd, path, state_fd, theirs);
	if (err) {
		close_fd(&check->said_fd);
		return err;
	}
	ev_io_set(&check->end_w, check->pidfd, EV_READ);
	ev_io_set(&check->said_w, check->said_fd, EV_READ);
	ev_io_start(check->loop, &check->end_w);
	ev_io_start(check->loop, &check->said_w);
	ev_now_update(check->loop);
	ev_timer_set(&check->deadline_w, CHECK_SECONDS, 0.);
	ev_timer_start(check->loop, &check->deadline_w);
	return PLUG_OK;
}

/* Reaped as a stranger: nobody waits for how it ended. */
void
check_stop(struct check *check)
{
	if (!check->pid)
		return;
	tree_kill(check->pid);
	forget(check);
}

/* ---- in the child ---- */

int
check_say(const char *version, const char *why)
{
	if (why)
		printf(CHECK_LINE "%s: " REFUSED "%s\n", version, why);
	else
		printf(CHECK_LINE "%s: ok\n", version);
	return fflush(stdout) || why ? 1 : 0;
}
