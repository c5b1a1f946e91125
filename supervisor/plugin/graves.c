#include "plugin/graves.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "os/exit_status.h"

struct grave {
	struct list node;
	struct graves *graves;
	pid_t pid;
	int pidfd;
	ev_timer timer;
};

static void
reap(int pidfd)
{
	struct exit_status status;

	exit_status_reap(pidfd, &status); /* what it says was read before */
	close_fd(&pidfd);
}

static void
grave_free(struct grave *grave)
{
	ev_timer_stop(grave->graves->loop, &grave->timer);
	list_remove(&grave->node);
	reap(grave->pidfd);
	free(grave);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	grave_free(w->data);
}

void
graves_init(struct graves *graves, struct ev_loop *loop)
{
	graves->loop = loop;
	list_init(&graves->list);
}

void
graves_fini(struct graves *graves)
{
	LIST_FOREACH_SAFE (grave, &graves->list, struct grave, node)
		grave_free(grave);
}

void
graves_add(struct graves *graves, pid_t pid, int pidfd)
{
	struct grave *grave = calloc(1, sizeof(*grave));

	if (!grave) {
		reap(pidfd);
		return;
	}
	grave->graves = graves;
	grave->pid = pid;
	grave->pidfd = pidfd;
	ev_timer_init(&grave->timer, on_timer, GRAVE_MS / 1e3, 0.);
	grave->timer.data = grave;
	ev_timer_start(graves->loop, &grave->timer);
	list_append(&graves->list, &grave->node);
}

bool
graves_has(const struct graves *graves, pid_t pid)
{
	LIST_FOREACH (grave, &graves->list, struct grave, node)
		if (grave->pid == pid)
			return true;
	return false;
}
