/*
 * Invariants
 *  - in->state changes in instance_handle() only.
 *  - The session is closed and the instance freed in one place, release(), reached from a watcher
 * of the loop, never from a callback of the session.
 *  - The pid is signalled only while the process is not reaped; it is reaped after collect() killed
 * what was left of its tree, from the graves.
 */
#include "plugin/instance.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "os/proc.h"
#include "os/tree.h"
#include "plugin/host.h"
#include "plugin/instance_private.h"
#include "plugin/plugin.h"

#define KILL_SECONDS   5.0 /* from SIGKILL to `stuck` */
#define TERM_SECONDS   5.0 /* from SIGTERM to SIGKILL, at most */
#define RESUME_SECONDS 5.0 /* a lost connection may be resumed */

/* ---- reasons ---- */

void
instance_end(struct instance *in, enum process_event event, const char *format, ...)
{
	if (!*in->cause) {
		va_list ap;

		va_start(ap, format);
		vsnprintf(in->cause, sizeof(in->cause), format, ap);
		va_end(ap);
		utf8_clean(in->cause, strlen(in->cause));
	}
	instance_handle(in, event);
}

/* ---- effects ---- */

static double
seconds_of(const struct instance *in)
{
	const struct spec *spec = in->spec;
	double stop = (double)spec->stop_timeout_ms / 1e3;

	if (spec->debug && (in->state == PS_STARTING || in->state == PS_TESTING))
		return (double)SPEC_DEBUG_MS / 1e3; /* a stop is meant, and ends in time */
	switch (in->state) {
	case PS_STARTING:
		return (double)spec->start_timeout_ms / 1e3;
	case PS_TESTING:
		return (double)spec->probe_timeout_ms / 1e3;
	case PS_TERMINATING:
		return stop < TERM_SECONDS ? stop : TERM_SECONDS;
	case PS_KILLING:
		return KILL_SECONDS;
	default:
		return stop;
	}
}

static void
arm(struct instance *in)
{
	struct ev_loop *loop = in->plugin->host->loop;

	ev_timer_stop(loop, &in->deadline_w);
	if (in->exited) /* only its memory is waited for */
		return;
	ev_now_update(loop);
	ev_timer_set(&in->deadline_w, seconds_of(in), 0.);
	ev_timer_start(loop, &in->deadline_w);
}

static void
send_drain(struct instance *in)
{
	Plug__Drain drain = PLUG__DRAIN__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	drain.timeout_ms = in->spec->stop_timeout_ms;
	env.body_case = PLUG__ENVELOPE__BODY_DRAIN;
	env.drain = &drain;
	session_send(in->session, &env);
}

static void
send_stop(struct instance *in)
{
	Plug__Stop stop = PLUG__STOP__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	stop.timeout_ms = in->spec->stop_timeout_ms;
	env.body_case = PLUG__ENVELOPE__BODY_STOP;
	env.stop = &stop;
	session_send(in->session, &env);
}

static void
kill_tree(struct instance *in)
{
	if (in->exited)
		return;
	tree_kill(in->pid);
	cgroup_group_kill(in->plugin->host->cgroup, &in->cgroup);
}

static void
terminate(struct instance *in)
{
	if (in->exited)
		return;
	tree_signal(in->pid, SIGTERM);
	tree_signal(in->pid, SIGCONT); /* a stopped process would never see it */
}

static void
report_stuck(struct instance *in)
{
	events_add(&in->plugin->host->events, plugin_name(in->plugin), "stuck", in->generation,
		   in->pid,
		   "SIGKILL did not end it within %.0f s: it is blocked in the kernel; no other "
		   "process is "
		   "started in its place",
		   KILL_SECONDS);
	slot_process_stuck(in->slot, in);
}

static void
become_ready(struct instance *in)
{
	struct plugin *plugin = in->plugin;
	struct proc_info proc;

	in->ready_ms = clock_mono_ms();
	plugin->last_start_ms = in->ready_ms - in->spawned_ms;
	events_add(&plugin->host->events, plugin_name(plugin), "ready", in->generation, in->pid,
		   "after %llu ms", (unsigned long long)plugin->last_start_ms);
	instance_probe_later(in);
	slot_process_ready(in->slot, in);
	if (!proc_read(in->pid, &proc) && proc.rss_bytes)
		instance_saw_memory(in, proc.rss_bytes); /* it may die before anybody looks again */
}

static void
perform(struct instance *in, uint32_t effects)
{
	struct host *host = in->plugin->host;

	if (effects & PX(DISARM))
		ev_timer_stop(host->loop, &in->deadline_w);
	if (effects & PX(ARM))
		arm(in);
	if (effects & PX(DRAIN))
		send_drain(in);
	if (effects & PX(STOP))
		send_stop(in);
	if (effects & PX(TERM))
		terminate(in);
	if (effects & PX(KILL))
		kill_tree(in);
	if (effects & PX(VACATE))
		slot_process_dying(in->slot, in);
	if (effects & PX(STUCK))
		report_stuck(in);
	if (effects & PX(PROBE))
		instance_probe(in);
	if (effects & PX(ROUTE))
		become_ready(in);
	if (effects & PX(RELEASE))
		instance_release(in); /* frees it: last */
}

static const char *
timeout_cause(enum process_state state)
{
	switch (state) {
	case PS_STARTING:
		return "not READY within run.start_timeout";
	case PS_TESTING:
		return "did not answer its probe within probe.timeout";
	case PS_DRAINING:
		return "calls still in flight after run.stop_timeout";
	case PS_STOPPING:
		return "did not exit within run.stop_timeout after STOP";
	case PS_TERMINATING:
		return "did not exit after SIGTERM";
	default:
		return "deadline passed";
	}
}

void
instance_handle(struct instance *in, enum process_event event)
{
	enum process_state next, before = in->state;
	uint32_t effects;

	if (!lc_process_step(in->state, event, &next, &effects)) {
		log_line(LOG_WARN, plugin_name(in->plugin), in->pid,
			 "event %s is not possible in state %s: ignored",
			 lc_process_event_name(event), lc_process_state_name(in->state));
		return;
	}
	if (event == PE_TIMEOUT && !*in->cause && before <= PS_TESTING)
		snprintf(in->cause, sizeof(in->cause), "%s (%llu ms)", timeout_cause(before),
			 (unsigned long long)(before == PS_STARTING ? in->spec->start_timeout_ms
								    : in->spec->probe_timeout_ms));
	if (event == PE_TIMEOUT && before > PS_TESTING && before < PS_KILLING)
		log_line(LOG_WARN, plugin_name(in->plugin), in->pid, "%s; next: %s",
			 timeout_cause(before),
			 next == PS_STOPPING      ? "STOP"
			 : next == PS_TERMINATING ? "SIGTERM"
						  : "SIGKILL to the whole tree");
	if (event == PE_STOP && !in->exited) /* what has ended did not do so for that */
		in->asked = true;
	in->state = next;
	instance_mark_left(in, before);
	perform(in, effects);
	if (before == PS_READY && next != PS_READY && !(effects & PX(RELEASE)))
		in->plugin->host->ops->on_left(in->plugin->host->ops_user, in);
	if (event != PE_EXITED && next == PS_DRAINING && before != PS_DRAINING)
		instance_look_drained(in);
}

/* ---- end ---- */

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct instance *in = w->data;

	(void)loop;
	(void)revents;
	if (in->state <= PS_TESTING && instance_waits_for_tracer(in)) {
		log_line(LOG_WARN, plugin_name(in->plugin), in->pid,
			 "%s, but a debugger or valgrind has it: it is waited for once more "
			 "(hang.traced is wait)",
			 timeout_cause(in->state));
		arm(in);
		return;
	}
	instance_handle(in, PE_TIMEOUT);
}

static void
on_resume_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	instance_end(w->data, PE_KILL, "its session was lost and not resumed within %.0f s",
		     RESUME_SECONDS);
}

/* ---- session ---- */

static void
on_message(void *user, const Plug__Envelope *env)
{
	instance_on_message(user, env);
}

static void
on_hello(void *user, const Plug__Hello *hello)
{
	instance_on_hello(user, hello);
}

static void
on_lost(void *user)
{
	struct instance *in = user;
	struct ev_loop *loop = in->plugin->host->loop;

	if (in->exited) {
		ev_feed_event(loop, &in->exit_w_grace,
			      EV_TIMER); /* all it ever sent has been read */
	} else {
		/* Anew each time: a timer that was stopped goes on with what was left of it. */
		ev_now_update(loop);
		ev_timer_set(&in->resume_w, RESUME_SECONDS, 0.);
		ev_timer_start(loop, &in->resume_w);
	}
}

static void
on_resumed(void *user)
{
	struct instance *in = user;

	ev_timer_stop(in->plugin->host->loop, &in->resume_w);
	instance_sign_of_life(in); /* a PING went with the connection */
	in->resumes++;
	events_add(&in->plugin->host->events, plugin_name(in->plugin), "resumed", in->generation,
		   in->pid, "its session was cut and resumed: no call lost, none doubled");
}

void
instance_violation(struct instance *in, plug_err err, const char *reason)
{
	if (in->violated)
		return;
	in->violated = true;
	events_add(&in->plugin->host->events, plugin_name(in->plugin), "violation", in->generation,
		   in->pid, "%s; its session is closed", reason);
	if (err == PLUG_EVERSION || err == PLUG_EDENIED) {
		in->declared = true;
		instance_end(in, PE_FAILED, "refused: %s", reason);
	} else {
		instance_end(in, PE_KILL, "protocol violation: %s", reason);
	}
}

static void
on_violation(void *user, plug_err err, const char *reason)
{
	instance_violation(user, err, reason);
}

const struct session_ops instance_session_ops = {
	.on_hello = on_hello,
	.on_message = on_message,
	.on_lost = on_lost,
	.on_resumed = on_resumed,
	.on_violation = on_violation,
};

/* ---- watchers ---- */

void
instance_init_watchers(struct instance *in)
{
	ev_io_init(&in->exit_w, instance_on_process_end, in->pidfd, EV_READ);
	ev_set_priority(&in->exit_w, EV_MAXPRI); /* its calls wait; what else it left can */
	ev_timer_init(&in->deadline_w, on_deadline, 0., 0.);
	ev_timer_init(&in->resume_w, on_resume_timeout, RESUME_SECONDS, 0.);
	ev_timer_init(&in->exit_w_grace, instance_on_last_words, 0., 0.);
	ev_timer_init(&in->probe_w, instance_on_probe_time, 0., 0.);
	instance_init_dying(in);
	in->exit_w.data = in->deadline_w.data = in->resume_w.data = in->exit_w_grace.data =
		in->probe_w.data = in;
}

void
instance_watch(struct instance *in)
{
	ev_io_set(&in->exit_w, in->pidfd, EV_READ);
	ev_io_start(in->plugin->host->loop, &in->exit_w);
	arm(in);
}

/* ---- for the router ---- */

bool
instance_takes_calls(const struct instance *in)
{
	return in->state == PS_READY && !in->exited && in == in->slot->current &&
	       in->slot->kind == SLOT_ACTIVE && in->hang.kind == HANG_WELL && !in->hang.wedged;
}

bool
instance_is_ending(const struct instance *in)
{
	return !in->asked && in->state > PS_READY;
}

bool
instance_was_replaced(const struct instance *in)
{
	return instance_is_ending(in) && in != in->slot->current;
}

plug_err
instance_send(struct instance *in, Plug__Envelope *env)
{
	return session_send(in->session, env);
}

size_t
instance_unacked_bytes(const struct instance *in)
{
	return session_unacked_bytes(in->session);
}

void
instance_call_ended(struct instance *in)
{
	if (!in->in_flight && in->state == PS_DRAINING)
		instance_look_drained(in);
}

const struct instance_method *
instance_method(const struct instance *in, const char *name)
{
	for (size_t i = 0; i < in->method_count; i++)
		if (!strcmp(in->methods[i].name, name))
			return &in->methods[i];
	return NULL;
}

bool
instance_has_client_token(const struct instance *in, const uint8_t *token, size_t size)
{
	return !in->exited && size == sizeof(in->client_token) &&
	       plug_secret_equal(token, in->client_token, size);
}
