/* What an instance has to do with channels: the broker socket, the status page, the drain. */
#include "base/clock.h"
#include "os/proc.h"
#include "plugin/backtrace.h"
#include "plugin/host.h"
#include "plugin/instance_private.h"
#include "plugin/plugin.h"

#define DRAIN_LOOK_SECONDS 0.005
#define LET_GO_SECONDS     0.002

/* ---- the broker socket ---- */

static void
on_message(void *user, const Plug__Envelope *env, int fd)
{
	struct instance *in = user;
	struct host *host = in->plugin->host;

	if (!in->violated)
		host->ops->on_channel_message(host->ops_user, in, env, fd);
}

static void
on_violation(void *user, plug_err err, const char *reason)
{
	instance_violation(user, err, reason);
}

/* The last that is to be seen of it: a dead one has none. */
static void
see_memory(struct instance *in)
{
	struct proc_info proc;
	uint64_t peak = proc_peak_bytes(in->pid);

	if (!proc_read(in->pid, &proc) && proc.rss_bytes)
		instance_saw_memory(in, proc.rss_bytes);
	if (peak > in->peak_bytes)
		in->peak_bytes = peak;
}

/* It waits for this before it dies. */
static void
let_go(struct instance *in)
{
	see_memory(in);
	broker_heard(&in->broker);
}

static void
on_let_go(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	let_go(w->data);
}

/* A spare has its place: while its calls are moved and answered, nothing else is done for it, and
 * it keeps the processors free. */
void
instance_let_go_later(struct instance *in)
{
	struct ev_loop *loop = in->plugin->host->loop;

	ev_now_update(loop);
	ev_timer_set(&in->dying_w, LET_GO_SECONDS, 0.);
	ev_timer_start(loop, &in->dying_w);
}

void
instance_init_dying(struct instance *in)
{
	ev_timer_init(&in->dying_w, on_let_go, LET_GO_SECONDS, 0.);
	in->dying_w.data = in;
}

/* It is not asked to end, and not killed: the core that it may be writing is worth having. */
static void
on_dying(void *user, int number)
{
	struct instance *in = user;
	struct exit_status status = {.signal = number};

	if (!exit_status_is_fault(&status)) {
		on_violation(
			in, PLUG_EPROTO,
			"a packet of one byte on the broker socket that names no fault signal");
	} else if (!in->dying) {
		in->dying = number;
		in->dying_ms = clock_mono_ms();
		instance_handle(in, PE_DYING); /* who calls comes first */
		if (instance_was_replaced(in))
			instance_let_go_later(in);
		else
			let_go(in);
	}
}

static void
on_trace(void *user, const void *bytes, size_t size)
{
	struct instance *in = user;
	const char *wrong = NULL;

	if (in->trace || !in->dying)
		wrong = in->trace ? "a second backtrace" : "a backtrace before the dying byte";
	else
		wrong = backtrace_take(bytes, size, &in->trace);
	if (in->trace && !wrong && in->trace->resident && in->rss_ms < in->dying_ms)
		instance_saw_memory(in, in->trace->resident); /* it was faster than plugd */
	if (wrong)
		on_violation(in, PLUG_EPROTO, wrong);
}

const struct broker_ops instance_broker_ops = {
	.on_message = on_message,
	.on_dying = on_dying,
	.on_trace = on_trace,
	.on_violation = on_violation,
};

/* ---- the status page, and what a process leaves behind ---- */

/* Only who was asked to end, and did so by itself and well, has said the truth about what it took.
 */
static bool
ended_in_order(const struct instance *in)
{
	return in->asked && !in->status.signal && !in->status.code;
}

void
instance_mark_left(struct instance *in, enum process_state before)
{
	if (before == PS_READY && in->state != PS_READY)
		broker_set_status(&in->broker, PLUG_STATUS_MOVED);
}

void
instance_mark_exited(struct instance *in)
{
	struct plug_vitals vitals;

	broker_set_status(&in->broker, ended_in_order(in) ? PLUG_STATUS_ENDED : PLUG_STATUS_DEAD);
	if (instance_vitals(in, &vitals))
		data_stats_add(&in->plugin->data, &vitals);
}

/* ---- the drain: what is in flight on channels, plugd does not see ---- */

static bool
channels_drained(const struct instance *in)
{
	struct plug_vitals vitals;

	if (!in->channel_count || !instance_vitals(in, &vitals))
		return true;
	return vitals.channels_closed &&
	       vitals.channel_calls == vitals.channel_ok + vitals.channel_errors;
}

static void
on_drain_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	instance_look_drained(w->data);
}

void
instance_look_drained_later(struct instance *in)
{
	ev_timer_init(&in->drain_w, on_drain_timer, DRAIN_LOOK_SECONDS, 0.);
	in->drain_w.data = in;
	ev_timer_start(in->plugin->host->loop, &in->drain_w);
}

void
instance_look_drained(struct instance *in)
{
	if (in->state != PS_DRAINING || in->in_flight)
		return; /* the last call's end looks again */
	ev_timer_stop(in->plugin->host->loop, &in->drain_w);
	if (channels_drained(in))
		instance_handle(in, PE_DRAINED);
	else
		instance_look_drained_later(in);
}
