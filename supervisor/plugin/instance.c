/*
 * Invariants
 *  - in->state changes in instance_handle() only.
 *  - The session is closed and the instance freed in one place, release(), reached from a watcher
 * of the loop, never from a callback of the session.
 *  - The pid is signalled only while the process is not reaped; it is reaped after collect() killed
 * what was left of its tree: at once when it was asked to end, else from the graves.
 */
#include "plugin/instance.h"

#include <errno.h>
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

#define KILL_SECONDS   5.0  /* from SIGKILL to `stuck` */
#define TERM_SECONDS   5.0  /* from SIGTERM to SIGKILL, at most */
#define RESUME_SECONDS 5.0  /* a lost connection may be resumed */
#define LAST_SECONDS   0.05 /* of a dead process, what it sent last may still be on its way */
#define TICK_STALL_MS  3000
#define PING_REPLY_MS  5000
#define LOOK_EVERY_MS  10000
#define PING_EVERY_MS  10000 /* of a plugin without vitals */

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
	const struct spec *spec = in->plugin->spec;
	double stop = (double)spec->stop_timeout_ms / 1e3;

	switch (in->state) {
	case PS_STARTING:
		return (double)spec->start_timeout_ms / 1e3;
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
	ev_now_update(loop);
	ev_timer_set(&in->deadline_w, seconds_of(in), 0.);
	ev_timer_start(loop, &in->deadline_w);
}

static void
send_drain(struct instance *in)
{
	Plug__Drain drain = PLUG__DRAIN__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	drain.timeout_ms = in->plugin->spec->stop_timeout_ms;
	env.body_case = PLUG__ENVELOPE__BODY_DRAIN;
	env.drain = &drain;
	session_send(in->session, &env);
}

static void
send_stop(struct instance *in)
{
	Plug__Stop stop = PLUG__STOP__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	stop.timeout_ms = in->plugin->spec->stop_timeout_ms;
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
	struct host *host = in->plugin->host;

	events_add(&host->events, plugin_name(in->plugin), "stuck", in->generation, in->pid,
		   "SIGKILL did not end it within %.0f s: it is blocked in the kernel; no other "
		   "process is "
		   "started in its place",
		   KILL_SECONDS);
	host->ops->on_settled(host->ops_user, in->plugin); /* nobody knows when it will end */
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
	if (effects & PX(STUCK))
		report_stuck(in);
	if (effects & PX(ROUTE)) {
		in->ready_ms = clock_mono_ms();
		plugin_instance_ready(in->plugin);
	}
	if (effects & PX(RELEASE))
		instance_release(in); /* frees it: last */
}

static const char *
timeout_cause(enum process_state state)
{
	switch (state) {
	case PS_STARTING:
		return "not READY within run.start_timeout";
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
	if (event == PE_TIMEOUT && !*in->cause && before == PS_STARTING)
		snprintf(in->cause, sizeof(in->cause), "%s (%llu ms)", timeout_cause(before),
			 (unsigned long long)in->plugin->spec->start_timeout_ms);
	if (event == PE_TIMEOUT && before != PS_STARTING)
		log_line(LOG_WARN, plugin_name(in->plugin), in->pid, "%s; next: %s",
			 timeout_cause(before),
			 next == PS_STOPPING      ? "STOP"
			 : next == PS_TERMINATING ? "SIGTERM"
						  : "SIGKILL to the whole tree");
	if (event == PE_STOP)
		in->asked = true;
	in->state = next;
	perform(in, effects);
	if (event != PE_EXITED && next == PS_DRAINING && before != PS_DRAINING && !in->in_flight)
		instance_handle(in, PE_DRAINED);
}

/* ---- end ---- */

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	instance_handle(w->data, PE_TIMEOUT);
}

static void
on_resume_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	instance_end(w->data, PE_KILL, "its session was lost and not resumed within %.0f s",
		     RESUME_SECONDS);
}

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
	char token[2 * PLUG_TOKEN_BYTES + 1];

	plug_hex_encode(in->token, sizeof(in->token), token);
	return stranger->session == in->pid || !strcmp(stranger->token, token);
}

/* Its children are plugd's since it ended, so there is no tree to walk.  What was asked to end is
 * reaped before anybody is told; after a crash nothing may stand in the next process's way. */
static void
collect(struct instance *in)
{
	const struct tree_callbacks strangers = {
		.is_known = is_known, .belongs = belongs, .context = in};
	plug_err err;

	tree_kill_group(in->pid);
	cgroup_group_kill(in->plugin->host->cgroup, &in->cgroup);
	tree_kill_strangers(&strangers);
	in->unreaped = !in->asked;
	err = in->asked ? exit_status_reap(in->pidfd, &in->status)
			: exit_status_peek(in->pidfd, &in->status);
	if (err)
		log_line(LOG_ERROR, plugin_name(in->plugin), in->pid, "cannot be reaped: %s",
			 strerror(errno));
}

static void
on_last_words(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	ev_timer_stop(loop, w);
	instance_handle(w->data, PE_EXITED);
}

static void
on_process_end(struct ev_loop *loop, ev_io *w, int revents)
{
	struct instance *in = w->data;

	(void)revents;
	ev_io_stop(loop, w); /* the pidfd stays readable */
	collect(in);
	in->exited = true;
	ev_timer_stop(loop, &in->resume_w);
	if (session_connected(in->session)) { /* a reply or FAILED may have been its last act */
		ev_now_update(loop);          /* collect() has taken its time */
		ev_timer_start(loop, &in->exit_w_grace);
	} else {
		instance_handle(in, PE_EXITED);
	}
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
	in->ping_out = false; /* it went with the connection */
	in->last_tick_ms = clock_mono_ms();
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

/* ---- watchers and vitals ---- */

void
instance_init_watchers(struct instance *in)
{
	ev_io_init(&in->exit_w, on_process_end, in->pidfd, EV_READ);
	ev_timer_init(&in->deadline_w, on_deadline, 0., 0.);
	ev_timer_init(&in->resume_w, on_resume_timeout, RESUME_SECONDS, 0.);
	ev_timer_init(&in->exit_w_grace, on_last_words, LAST_SECONDS, 0.);
	in->exit_w.data = in->deadline_w.data = in->resume_w.data = in->exit_w_grace.data = in;
}

void
instance_watch(struct instance *in)
{
	ev_io_set(&in->exit_w, in->pidfd, EV_READ);
	ev_io_start(in->plugin->host->loop, &in->exit_w);
	arm(in);
}

bool
instance_vitals(const struct instance *in, struct plug_vitals *ret)
{
	return pread(in->vitals_fd, ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret) &&
	       ret->magic == PLUG_VITALS_MAGIC;
}

static void
declare_hung(struct instance *in, uint64_t silent_ms)
{
	struct proc_info proc = {0};
	bool stopped = !proc_read(in->pid, &proc) && (proc.state == 'T' || proc.state == 't');

	events_add(&in->plugin->host->events, plugin_name(in->plugin), "hung", in->generation,
		   in->pid, "no sign of life for %llu ms%s; it is killed",
		   (unsigned long long)silent_ms,
		   stopped ? " (the process is stopped: SIGSTOP or a debugger)" : "");
	instance_end(in, PE_KILL, "hung: no sign of life for %llu ms%s",
		     (unsigned long long)silent_ms,
		     stopped ? " (stopped by SIGSTOP or a debugger)" : "");
}

static void
ping(struct instance *in, uint64_t now)
{
	in->ping_out = true;
	in->ping_ms = now;
	session_ping(in->session, now);
}

void
instance_tick(struct instance *in)
{
	struct plug_vitals vitals;
	uint64_t now = clock_mono_ms();
	bool has_vitals;

	session_tick(in->session);
	if (now - in->looked_ms >= LOOK_EVERY_MS) {
		struct proc_info proc;

		in->looked_ms = now;
		if (!in->exited && !proc_read(in->pid, &proc))
			in->rss_bytes =
				proc.rss_bytes; /* for the crash report: a zombie has none */
	}
	if (in->exited || !session_connected(in->session) ||
	    (in->state != PS_READY && in->state != PS_DRAINING))
		return;
	has_vitals = instance_vitals(in, &vitals);
	if (has_vitals && vitals.ticks != in->last_ticks) {
		in->last_ticks = vitals.ticks;
		in->last_tick_ms = now;
		in->ping_out = false;
	} else if (in->ping_out && now - in->ping_ms >= PING_REPLY_MS) {
		declare_hung(in, now - in->last_tick_ms);
	} else if (!in->ping_out &&
		   now - in->last_tick_ms >= (has_vitals ? TICK_STALL_MS : PING_EVERY_MS)) {
		ping(in, now);
	}
}

/* ---- for the router ---- */

bool
instance_takes_calls(const struct instance *in)
{
	return in->state == PS_READY && !in->exited;
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
		instance_handle(in, PE_DRAINED);
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
