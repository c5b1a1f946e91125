/* Whether a process is well: once a second, and the probe that its manifest declares. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "os/proc.h"
#include "plugin/host.h"
#include "plugin/instance_private.h"
#include "plugin/plugin.h"
#include "plugin/reload.h"

#define LOOK_EVERY_MS  10000
#define PROBE_FAILURES 3 /* in a row, then it is replaced */

/* For the crash report: a zombie has none. */
void
instance_saw_memory(struct instance *in, uint64_t rss_bytes)
{
	in->rss_bytes = rss_bytes;
	in->rss_ms = clock_mono_ms();
	if (rss_bytes > in->peak_bytes)
		in->peak_bytes = rss_bytes;
}

void
instance_tick(struct instance *in)
{
	uint64_t now = clock_mono_ms();

	session_tick(in->session);
	if (now - in->looked_ms >= LOOK_EVERY_MS) {
		struct proc_info proc;

		in->looked_ms = now;
		if (!in->exited && !proc_read(in->pid, &proc) && proc.rss_bytes)
			instance_saw_memory(in, proc.rss_bytes);
	}
	if (in->exited || !session_connected(in->session) || in->spec->debug ||
	    (in->state != PS_READY && in->state != PS_DRAINING))
		return;
	instance_look_for_life(in);
}

/* ---- probes ---- */

bool
instance_wants_test(const struct instance *in)
{
	return in->spec->probe_method || reload_is_new(in->slot, in);
}

static void
call_probe(struct instance *in)
{
	struct host *host = in->plugin->host;

	in->answers_before_probe = in->answers;
	host->ops->probe(host->ops_user, in);
}

/* The new process of a reload has to answer a PING first; instance_ponged() goes on. */
void
instance_probe(struct instance *in)
{
	if (reload_is_new(in->slot, in))
		instance_ping(in, clock_mono_ms());
	else
		call_probe(in);
}

void
instance_ponged(struct instance *in)
{
	instance_sign_of_life(in);
	if (in->state != PS_TESTING)
		return;
	if (in->spec->probe_method)
		call_probe(in);
	else
		instance_handle(in, PE_READY);
}

void
instance_probe_later(struct instance *in)
{
	struct ev_loop *loop = in->plugin->host->loop;

	if (!in->spec->probe_method || in->spec->debug)
		return;
	ev_now_update(loop);
	ev_timer_set(&in->probe_w, (double)in->spec->probe_interval_ms / 1e3, 0.);
	ev_timer_start(loop, &in->probe_w);
}

void
instance_on_probe_time(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct instance *in = w->data;

	(void)loop;
	(void)revents;
	if (in->state != PS_READY)
		return;
	instance_probe_later(in);
	if (!instance_is_halted(in)) /* it could not answer, and is reported as what it is */
		call_probe(in);
}

static void
count_failure(struct instance *in, plug_err outcome, const char *message)
{
	const char *method = in->spec->probe_method;

	if (outcome == PLUG_ETIMEOUT && in->answers != in->answers_before_probe)
		return; /* all its threads are busy, and get on */
	if (instance_is_halted(in))
		return;
	in->probe_failures++;
	events_add(&in->plugin->host->events, plugin_name(in->plugin), "unhealthy", in->generation,
		   in->pid, "its probe %s failed, %u of %d times in a row: %s: %s", method,
		   in->probe_failures, PROBE_FAILURES, plug_err_name(outcome), message);
	if (in->probe_failures >= PROBE_FAILURES)
		instance_end(in, PE_FAILED,
			     "unhealthy: its probe %s failed %d times in a row: %s: %s", method,
			     PROBE_FAILURES, plug_err_name(outcome), message);
}

void
instance_probed(struct instance *in, plug_err outcome, const char *message)
{
	if (in->state == PS_TESTING && !outcome)
		instance_handle(in, PE_READY);
	else if (in->state == PS_TESTING)
		instance_end(in, PE_FAILED, "its probe %s failed: %s: %s", in->spec->probe_method,
			     plug_err_name(outcome), message);
	else if (in->state == PS_READY && outcome)
		count_failure(in, outcome, message);
	else
		in->probe_failures = 0;
}
