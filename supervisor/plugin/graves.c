#include "plugin/graves.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "codec.h"
#include "os/exit_status.h"
#include "plugin/host.h"
#include "plugin/saved.h"
#include "state/timer.h"

struct grave {
	struct list node;
	struct graves *graves;
	pid_t pid;
	int pidfd;
	uint8_t token[PLUG_TOKEN_BYTES];
	ev_timer timer;
};

static void
reap(int pidfd)
{
	struct exit_status status;

	exit_status_reap(pidfd, &status); /* what it says was read before */
	close_fd(&pidfd);
}

/* ---- what it left behind ---- */

bool
graves_left_by(const struct stranger *stranger, pid_t pid, const uint8_t token[PLUG_TOKEN_BYTES])
{
	char text[2 * PLUG_TOKEN_BYTES + 1];

	plug_hex_encode(token, PLUG_TOKEN_BYTES, text);
	return stranger->session == pid || !strcmp(stranger->token, text);
}

static bool
is_known(void *context, pid_t pid)
{
	const struct grave *grave = context;
	const struct host *host = CONTAINER_OF(grave->graves, struct host, graves);

	return host->is_child(host->is_child_user, pid);
}

static bool
belongs(void *context, const struct stranger *stranger)
{
	const struct grave *grave = context;

	return graves_left_by(stranger, grave->pid, grave->token);
}

static void
look_again(struct grave *grave)
{
	const struct tree_callbacks strangers = {
		.is_known = is_known, .belongs = belongs, .context = grave};

	tree_kill_strangers(&strangers);
}

/* ---- life ---- */

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
	look_again(w->data);
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

static struct grave *
dig(struct graves *graves, pid_t pid, int pidfd)
{
	struct grave *grave = calloc(1, sizeof(*grave));

	if (!grave)
		return NULL;
	grave->graves = graves;
	grave->pid = pid;
	grave->pidfd = pidfd;
	ev_timer_init(&grave->timer, on_timer, GRAVE_MS / 1e3, 0.);
	grave->timer.data = grave;
	list_append(&graves->list, &grave->node);
	return grave;
}

void
graves_add(struct graves *graves, pid_t pid, int pidfd, const uint8_t token[PLUG_TOKEN_BYTES])
{
	struct grave *grave = dig(graves, pid, pidfd);

	if (!grave) {
		reap(pidfd);
		return;
	}
	memcpy(grave->token, token, sizeof(grave->token));
	ev_timer_start(graves->loop, &grave->timer);
}

void
graves_save(struct graves *graves, Plugd__SavedDaemon *saved, struct state_out *out)
{
	LIST_FOREACH (grave, &graves->list, struct grave, node) {
		Plugd__SavedGrave *one = state_out_message(out, &plugd__saved_grave__descriptor);

		one->pid = grave->pid;
		one->pidfd = state_out_fd(out, grave->pidfd);
		one->reap_at_ns = state_timer_at(graves->loop, &grave->timer);
		one->token = state_out_bytes(grave->token, sizeof(grave->token));
		state_out_append(out, &saved->n_graves, &saved->graves, one);
	}
}

void
graves_restore(struct graves *graves, const Plugd__SavedDaemon *saved, struct state_in *in)
{
	for (size_t i = 0; i < saved->n_graves; i++) {
		const Plugd__SavedGrave *one = saved->graves[i];
		int pidfd = state_in_fd(in, one->pidfd);
		struct grave *grave = pidfd < 0 ? NULL : dig(graves, (pid_t)one->pid, pidfd);

		if (!grave) {
			state_in_fail(in, "a dead process without a pidfd, or out of memory");
			continue;
		}
		if (one->token.len == sizeof(grave->token))
			memcpy(grave->token, one->token.data, sizeof(grave->token));
		state_timer_set(graves->loop, &grave->timer, one->reap_at_ns);
	}
}

bool
graves_has(const struct graves *graves, pid_t pid)
{
	LIST_FOREACH (grave, &graves->list, struct grave, node)
		if (grave->pid == pid)
			return true;
	return false;
}
