/* Signs of life, and what is done when there are none: core/hang.h has the rules. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/proc.h"
#include "os/tree.h"
#include "plugin/host.h"
#include "plugin/instance_private.h"
#include "plugin/plugin.h"

#define NS_PER_MS 1000000u

bool
instance_vitals(const struct instance *in, struct plug_vitals *ret)
{
	if (in->last_vitals) {
		*ret = *in->last_vitals;
		return true;
	}
	return pread(in->vitals_fd, ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret) &&
	       ret->magic == PLUG_VITALS_MAGIC;
}

/* Several look before its calls are answered by another process. */
void
instance_keep_vitals(struct instance *in)
{
	struct plug_vitals *last = malloc(sizeof(*last));

	if (last && instance_vitals(in, last))
		in->last_vitals = last;
	else
		free(last);
}

/* ---- who has it ---- */

static bool
is_traced(const struct instance *in)
{
	return proc_tracer(in->pid) || proc_is_in_valgrind(in->pid);
}

bool
instance_waits_for_tracer(const struct instance *in)
{
	return in->spec->hang.traced == HANG_TRACED_WAIT && !in->exited && is_traced(in);
}

bool
instance_is_halted(const struct instance *in)
{
	struct proc_info proc = {0};

	if (in->exited)
		return false;
	return in->hang.kind != HANG_WELL ||
	       (!proc_read(in->pid, &proc) && (proc.state == 'T' || proc.state == 't')) ||
	       instance_waits_for_tracer(in);
}

/* ---- what is told ---- */

static const char *
holder_text(const struct instance *in, char *text, size_t size)
{
	pid_t tracer = proc_tracer(in->pid);
	struct proc_info proc;

	if (tracer && !proc_read(tracer, &proc))
		snprintf(text, size, "%s (pid %d) holds it", proc.command, (int)tracer);
	else
		snprintf(text, size, tracer ? "process %d holds it" : "valgrind runs it",
			 (int)tracer);
	return text;
}

static void
describe(const struct instance *in, enum hang_kind kind, char *text, size_t size)
{
	unsigned long long quiet_ms = clock_mono_ms() - in->last_tick_ms;
	unsigned long long timeout_ms = in->spec->hang.ping_timeout_ms;
	char holder[96];

	switch (kind) {
	case HANG_SILENT:
		snprintf(text, size,
			 "no sign of life for %llu ms, and no answer to a PING within %llu ms",
			 quiet_ms, timeout_ms);
		return;
	case HANG_SUSPENDED:
		snprintf(text, size, "stopped by a signal (SIGSTOP) for about %llu ms", quiet_ms);
		return;
	case HANG_TRACED:
		snprintf(text, size, "%s; no sign of life for %llu ms",
			 holder_text(in, holder, sizeof(holder)), quiet_ms);
		return;
	default:
		snprintf(text, size, "shows life again");
	}
}

static const char *
outlook(const struct instance *in)
{
	const struct hang_policy *policy = &in->spec->hang;

	switch (in->hang.kind) {
	case HANG_SILENT:
		return policy->ping == HANG_PING_KILL
			       ? "it is killed"
			       : "it gets no calls until it shows life (hang.ping is report)";
	case HANG_SUSPENDED:
		return policy->stopped == HANG_STOPPED_WAIT
			       ? "it gets no calls until somebody sends it SIGCONT (hang.stopped "
				 "is wait)"
		       : policy->stopped == HANG_STOPPED_KILL
			       ? "it gets no calls, and is killed unless it goes on within "
				 "hang.ping_timeout (hang.stopped is kill)"
			       : "it gets SIGCONT, and no calls until it shows life";
	case HANG_TRACED:
		return policy->traced == HANG_TRACED_WAIT
			       ? "it gets no calls until it is let go (hang.traced is wait)"
			       : "it gets no calls, and is killed unless it goes on within "
				 "hang.ping_timeout (hang.traced is kill)";
	default:
		return "it takes calls";
	}
}

static void
tell(struct instance *in, const char *kind, const char *what)
{
	events_add(&in->plugin->host->events, plugin_name(in->plugin), kind, in->generation,
		   in->pid, "%s; %s", what, outlook(in));
}

static void
set_why(struct instance *in, const char *why)
{
	if (in == in->slot->current)
		slot_set_why(in->slot, "%s", why);
}

/* ---- what is done ---- */

/* Callers on channels look for another process, and for this one again when it is well. */
static void
leave_routing(struct instance *in, const char *why)
{
	set_why(in, why);
	if (in->state == PS_READY)
		broker_set_away(&in->broker);
}

static void
join_routing(struct instance *in)
{
	struct host *host = in->plugin->host;

	if (in->state != PS_READY || in->hang.kind != HANG_WELL || in->hang.wedged)
		return;
	broker_set_back(&in->broker);
	set_why(in, "");
	if (in == in->slot->current && in->slot->kind == SLOT_ACTIVE)
		host->ops->on_ready(host->ops_user, in);
	plugin_slot_settled(in->plugin);
}

static void
become_well(struct instance *in)
{
	bool told = in->hang.told;

	in->hang.told = false;
	in->hang.well_ns = clock_mono_ns();
	if (told)
		tell(in, hang_event(HANG_WELL), "shows life again");
	join_routing(in);
}

static void
become(struct instance *in, enum hang_kind kind, uint64_t now)
{
	char what[256];

	if (kind == in->hang.kind)
		return;
	in->hang.kind = kind;
	in->hang.since_ms = now;
	in->hang.continued = false;
	if (kind == HANG_WELL) {
		become_well(in);
	} else if (kind == HANG_SUSPECT) {
		instance_ping(in, now);
	} else {
		describe(in, kind, what, sizeof(what));
		in->hang.told = true;
		leave_routing(in, what);
		tell(in, hang_event(kind), what);
	}
}

static void
kill_hung(struct instance *in)
{
	char what[256];

	describe(in, in->hang.kind, what, sizeof(what));
	in->hang.ended = in->hang.kind == HANG_SILENT;
	instance_end(in, PE_KILL, "%s: %s", hang_word(in->hang.kind), what);
}

static void
act(struct instance *in, uint64_t now)
{
	switch (hang_decide(in->hang.kind, now - in->hang.since_ms, in->hang.continued,
			    &in->spec->hang)) {
	case HANG_KILL:
		kill_hung(in);
		return;
	case HANG_CONTINUE:
		in->hang.continued = true;
		tree_signal(in->pid, SIGCONT);
		return;
	case HANG_LEAVE:
		return;
	}
}

/* ---- what is seen ---- */

void
instance_ping(struct instance *in, uint64_t now)
{
	in->ping_out = true;
	in->ping_ms = now;
	session_ping(in->session, now);
}

void
instance_sign_of_life(struct instance *in)
{
	in->last_tick_ms = clock_mono_ms();
	in->ping_out = false;
	if (in->state == PS_READY || in->state == PS_DRAINING)
		become(in, HANG_WELL, in->last_tick_ms);
}

static void
look_closer(struct instance *in, bool has_vitals, uint64_t now)
{
	struct hang_signs signs = {.has_vitals = has_vitals,
				   .quiet_ms = now - in->last_tick_ms,
				   .pinged = in->ping_out,
				   .pinged_ms = in->ping_out ? now - in->ping_ms : 0};
	struct proc_info proc = {0};

	if (!hang_is_quiet(&signs))
		return;
	if (!proc_read(in->pid, &proc))
		signs.state = proc.state;
	signs.traced = is_traced(in);
	become(in, hang_judge(&signs, &in->spec->hang), now);
	act(in, now);
}

/* ---- handlers past their calls' deadlines ---- */

void
instance_call_hangs(struct instance *in, const char *format, ...)
{
	bool killed = in->spec->hang.call == HANG_CALL_KILL;
	char what[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	events_add(&in->plugin->host->events, plugin_name(in->plugin), "hung", in->generation,
		   in->pid, "%s; the process %s", what,
		   killed ? "is killed (hang.call is kill)" : "goes on, plugctl restart ends it");
	if (!killed)
		return;
	in->hang.ended = true;
	instance_end(in, PE_KILL, "hung: %s", what);
}

/* A call of the control plane has a timer of its own, which reports it. */
static void
report_channel_call(struct instance *in, unsigned worker, uint64_t id, uint64_t since_ns)
{
	if (!(id >> 32) || in->hang.reported[worker] == id)
		return;
	in->hang.reported[worker] = id;
	instance_call_hangs(in,
			    "call %llu of channel %llu still executes %llu ms after it began, past "
			    "its deadline",
			    (unsigned long long)(id & UINT32_MAX), (unsigned long long)(id >> 32),
			    (unsigned long long)((clock_mono_ns() - since_ns) / NS_PER_MS));
}

static bool
is_overdue(const struct instance *in, const struct plug_vitals *vitals, unsigned worker,
	   uint64_t now_ns)
{
	uint64_t deadline_ns = vitals->worker_deadline_ns[worker];

	if (!vitals->workers[worker].id || !deadline_ns)
		return false;
	if (deadline_ns < in->hang.well_ns)
		deadline_ns = in->hang.well_ns;
	return now_ns > deadline_ns && now_ns - deadline_ns > in->spec->hang.grace_ms * NS_PER_MS;
}

/* All its handlers hang: what is given to it only waits. */
static void
set_wedged(struct instance *in, bool wedged)
{
	char what[160];

	if (wedged == in->hang.wedged)
		return;
	in->hang.wedged = wedged;
	if (!wedged) {
		tell(in, hang_event(HANG_WELL), "a handler has ended");
		join_routing(in);
		return;
	}
	snprintf(what, sizeof(what), "all its %u handlers go on past their calls' deadlines",
		 in->hang.overdue);
	leave_routing(in, what);
	events_add(&in->plugin->host->events, plugin_name(in->plugin), "hung", in->generation,
		   in->pid, "%s; it gets no calls until one of them ends", what);
}

static unsigned
count_overdue(const struct instance *in, const struct plug_vitals *vitals, uint64_t now_ns)
{
	unsigned overdue = 0;

	for (unsigned i = 0; i < PLUG_VITALS_WORKERS; i++)
		overdue += is_overdue(in, vitals, i, now_ns);
	return overdue;
}

static void
look_at_handlers(struct instance *in, const struct plug_vitals *vitals)
{
	uint64_t now_ns = clock_mono_ns();
	unsigned overdue = count_overdue(in, vitals, now_ns);

	if (overdue && instance_is_halted(in)) {
		in->hang.well_ns = now_ns; /* so recently that it is not quiet yet */
		return;
	}
	for (unsigned i = 0; overdue && i < PLUG_VITALS_WORKERS; i++)
		if (is_overdue(in, vitals, i, now_ns))
			report_channel_call(in, i, vitals->workers[i].id,
					    vitals->workers[i].since_ns);
	in->hang.overdue = overdue;
	if (in->state == PS_READY)
		set_wedged(in, vitals->workers_most && overdue >= vitals->workers_most);
}

void
instance_look_for_life(struct instance *in)
{
	struct plug_vitals vitals;
	bool has_vitals = instance_vitals(in, &vitals);

	if (has_vitals && vitals.ticks != in->last_ticks) {
		in->last_ticks = vitals.ticks;
		instance_sign_of_life(in);
	} else {
		look_closer(in, has_vitals, clock_mono_ms());
	}
	if (has_vitals && in->hang.kind == HANG_WELL)
		look_at_handlers(in, &vitals);
}

/* ---- for people ---- */

const char *
instance_word(const struct instance *in)
{
	if (in->state != PS_READY)
		return lc_process_word(in->state);
	return hang_word(in->hang.wedged ? HANG_SILENT : in->hang.kind);
}

bool
instance_next_text(const struct instance *in, char *text, size_t size)
{
	if (in->state != PS_READY || (in->hang.kind <= HANG_SUSPECT && !in->hang.wedged))
		return false;
	if (in->hang.kind <= HANG_SUSPECT)
		snprintf(text, size,
			 "takes calls when one of its handlers ends; plugctl restart %s "
			 "ends them",
			 plugin_name(in->plugin));
	else
		snprintf(text, size, "%s", outlook(in));
	return true;
}
