/*
 * The end of a process: what it sent last is read, its calls go elsewhere, what it left behind is
 * killed, its death is reported, its memory freed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/proc.h"
#include "os/spawn.h"
#include "os/tree.h"
#include "plugin/death.h"
#include "plugin/instance_private.h"
#include "plugin/plugin.h"

#define LAST_SECONDS 0.05 /* of a dead process, what it sent last may still be on its way */
#define REST_SECONDS 0.001
#define MEMORY_MS    5000 /* as long as SIGKILL may take */

/* The process has ended; what it started is killed while its pid is still its own. */
static bool
is_known(void *context, pid_t pid)
{
	const struct instance *in = context;

	return in->plugin->host->is_child(in->plugin->host->is_child_user, pid);
}

/* Left over from this process: still in its session, or with its token in the environment. */
static bool
belongs(void *context, const struct stranger *stranger)
{
	const struct instance *in = context;

	return graves_left_by(stranger, in->pid, in->token);
}

/* Its children are plugd's since it ended, so there is no tree to walk. */
void
instance_collect(struct instance *in)
{
	const struct tree_callbacks strangers = {
		.is_known = is_known, .belongs = belongs, .context = in};

	if (in->collected)
		return;
	in->collected = true;
	tree_kill_group(in->pid);
	cgroup_group_kill(in->plugin->host->cgroup, &in->cgroup);
	tree_kill_strangers(&strangers);
	in->unreaped = true;
}

static void
finish_after(struct instance *in, ev_tstamp seconds)
{
	struct ev_loop *loop = in->plugin->host->loop;

	ev_now_update(loop); /* much may have been done in this turn */
	ev_timer_set(&in->exit_w_grace, seconds, 0.);
	ev_timer_start(loop, &in->exit_w_grace);
}

/* What takes its place may need what it had.  True: not yet, and instance_on_last_words() comes. */
static bool
await_memory(struct instance *in)
{
	uint64_t now = clock_mono_ms();

	if (in->keeper.fd < 0)
		return false;
	if (!in->keeper_until_ms)
		in->keeper_until_ms = now + MEMORY_MS;
	if (now >= in->keeper_until_ms) {
		log_line(LOG_WARN, plugin_name(in->plugin), in->pid,
			 "it has ended, and the kernel has not given its memory back within %d s: "
			 "what is next is done all the same",
			 MEMORY_MS / 1000);
		return false;
	}
	instance_end_calls(in);
	instance_collect(in); /* the keeper, too */
	finish_after(in, (double)(in->keeper_until_ms - now) / 1e3);
	return true;
}

void
instance_on_keeper_end(void *user)
{
	struct instance *in = user;

	if (in->keeper_until_ms)
		ev_feed_event(in->plugin->host->loop, &in->exit_w_grace, EV_TIMER);
}

/* All that it ever sent has been read.  When a spare has its place, the answers of that to its
 * calls must not wait for what there is to do about a death: that is done a moment later. */
static void
finish(struct instance *in)
{
	if (in->asked || in->calls_ended || in == in->slot->current) {
		if (!await_memory(in))
			instance_handle(in, PE_EXITED);
		return;
	}
	instance_end_calls(in);
	finish_after(in, REST_SECONDS);
}

void
instance_on_last_words(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	ev_timer_stop(loop, w);
	finish(w->data);
}

/* A spare may have its place from here on.  Then what it leaves behind is in nobody's way, and is
 * looked for when its calls have been moved. */
static void
give_way(struct instance *in)
{
	if (exit_status_peek(in->pid, in->pidfd, &in->status))
		log_line(LOG_ERROR, plugin_name(in->plugin), in->pid, "how it ended is unknown: %s",
			 strerror(errno));
	instance_handle(in, PE_DYING);
	ev_timer_stop(in->plugin->host->loop, &in->deadline_w);
	if (in->asked || in == in->slot->current)
		instance_collect(in);
}

void
instance_on_process_end(struct ev_loop *loop, ev_io *w, int revents)
{
	struct instance *in = w->data;

	(void)revents;
	ev_io_stop(loop, w); /* the pidfd stays readable */
	ev_timer_stop(loop, &in->dying_w);
	broker_take_last(&in->broker); /* what it said of its death, before it is looked at */
	in->exited = true;
	instance_keep_vitals(in);
	give_way(in);
	instance_mark_exited(in);
	ev_timer_stop(loop, &in->resume_w);
	if (session_connected(in->session)) /* a reply or FAILED may have been its last act */
		finish_after(in, LAST_SECONDS);
	else
		finish(in);
}

/* ---- telling ---- */

/* A process that could not be executed says so through the spawn's own pipe. */
static void
find_exec_error(struct instance *in)
{
	char text[512];
	bool for_want;

	if (in->error_fd < 0) /* it said HELLO */
		return;
	if (spawn_error_read(in->error_fd, text, sizeof(text), &for_want) == PLUG_OK) {
		in->declared = !for_want; /* of what there may be more the next time */
		if (!*in->cause)
			snprintf(in->cause, sizeof(in->cause), "%s", text);
	}
}

void
instance_end_calls(struct instance *in)
{
	struct host *host = in->plugin->host;

	if (in->calls_ended)
		return;
	in->calls_ended = true;
	if (!in->asked)
		death_note_calls(in);
	host->ops->on_ended(host->ops_user, in);
}

void
instance_release(struct instance *in)
{
	struct proc_info proc;

	instance_end_calls(in);         /* who calls comes first */
	if (!proc_read(in->pid, &proc)) /* it is not reaped yet */
		in->plugin->cpu_ended_ms += proc.cpu_ms;
	find_exec_error(in);
	output_pipe_close(&in->out); /* before the report, which quotes the last lines */
	output_pipe_close(&in->err);
	slot_process_gone(in->slot, in); /* may start the next one */
	instance_collect(in);
	instance_free(in);
}
