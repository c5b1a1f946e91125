/* A process over an upgrade of plugd: it does not notice. */
#include <stdio.h>
#include <string.h>

#include "ipc/session_saved.h"
#include "plugin/host.h"
#include "plugin/instance_private.h"
#include "plugin/plugin.h"
#include "plugin/saved.h"
#include "state/timer.h"

/* ---- writing ---- */

static void
save_methods(const struct instance *in, Plugd__SavedInstance *saved, struct state_out *out)
{
	for (size_t i = 0; i < in->method_count; i++) {
		const struct instance_method *method = &in->methods[i];
		Plugd__SavedMethod *one = state_out_message(out, &plugd__saved_method__descriptor);

		one->name = method->name;
		one->description = method->description;
		one->stream = method->stream;
		one->idempotent = method->idempotent;
		one->timeout_ms = method->timeout_ms;
		state_out_append(out, &saved->n_methods, &saved->methods, one);
	}
}

static void
save_timers(struct instance *in, Plugd__SavedInstance *saved)
{
	struct ev_loop *loop = in->plugin->host->loop;

	saved->deadline_at_ns = state_timer_at(loop, &in->deadline_w);
	saved->resume_at_ns = state_timer_at(loop, &in->resume_w);
	saved->grace_at_ns = state_timer_at(loop, &in->exit_w_grace);
	saved->probe_at_ns = state_timer_at(loop, &in->probe_w);
	saved->drain_at_ns = state_timer_at(loop, &in->drain_w);
}

static void
save_parts(struct instance *in, Plugd__SavedInstance *saved, struct state_out *out)
{
	saved->pidfd = state_out_fd(out, in->pidfd);
	saved->error_fd = state_out_fd(out, in->error_fd);
	saved->vitals_fd = state_out_fd(out, in->vitals_fd);
	saved->keeper_fd = state_out_fd(out, in->keeper.fd);
	saved->status = exit_save(&in->status, out);
	saved->out = output_pipe_save(&in->out, out);
	saved->err = output_pipe_save(&in->err, out);
	saved->session = session_save(in->session, out);
	saved->broker = broker_save(&in->broker, out);
	saved->session_dir = in->dir.name;
	saved->cgroup_fd = state_out_fd(out, in->cgroup.fd);
	saved->cgroup = in->cgroup.name;
	saved->confine = in->confine.text;
	saved->confine_incomplete = in->confine.incomplete;
	saved->confine_cgroup_set = in->confine.cgroup_set;
	saved->token = state_out_bytes(in->token, sizeof(in->token));
	saved->client_token = state_out_bytes(in->client_token, sizeof(in->client_token));
}

static void
save_numbers(const struct instance *in, Plugd__SavedInstance *saved)
{
	saved->generation = in->generation;
	saved->pid = in->pid;
	saved->sdk = (char *)in->sdk;
	saved->spawned_ms = in->spawned_ms;
	saved->ready_ms = in->ready_ms;
	saved->rss_bytes = in->rss_bytes;
	saved->resumes = in->resumes;
	saved->turn = in->turn;
	saved->answers = in->answers;
	saved->channels_offered = in->channels_offered;
	saved->cause = (char *)in->cause;
	saved->declared = in->declared;
	saved->asked = in->asked;
	saved->exited = in->exited;
	saved->collected = in->collected;
	saved->unreaped = in->unreaped;
	saved->calls_ended = in->calls_ended;
	saved->hello_seen = in->hello_seen;
	saved->violated = in->violated;
	saved->last_ticks = in->last_ticks;
	saved->last_tick_ms = in->last_tick_ms;
	saved->ping_ms = in->ping_ms;
	saved->looked_ms = in->looked_ms;
	saved->ping_out = in->ping_out;
	saved->answers_before_probe = in->answers_before_probe;
	saved->probe_failures = in->probe_failures;
	saved->rss_ms = in->rss_ms;
	saved->peak_bytes = in->peak_bytes;
	saved->dying = in->dying;
	saved->dying_ms = in->dying_ms;
	saved->keeper_until_ms = in->keeper_until_ms;
	saved->takes_log_level = in->takes_log_level;
	saved->takes_config = in->takes_config;
	saved->config_asked = in->config_asked;
	saved->config_accepted = in->config_accepted;
	saved->denied = in->denied;
	saved->denied_kinds = in->denied_kinds;
}

static Plugd__SavedHang *
save_hang(struct instance_hang *hang, struct state_out *out)
{
	Plugd__SavedHang *saved = state_out_message(out, &plugd__saved_hang__descriptor);

	saved->kind = hang->kind;
	saved->since_ms = hang->since_ms;
	saved->well_ns = hang->well_ns;
	saved->told = hang->told;
	saved->continued = hang->continued;
	saved->ended = hang->ended;
	saved->wedged = hang->wedged;
	saved->overdue = hang->overdue;
	saved->n_reported = PLUG_VITALS_WORKERS;
	saved->reported = hang->reported;
	return saved;
}

Plugd__SavedInstance *
instance_save(struct instance *in, struct plugins_out *po)
{
	Plugd__SavedInstance *saved =
		state_out_message(po->out, &plugd__saved_instance__descriptor);

	saved->state = state_out_text(lc_process_state_name(in->state));
	saved->spare = in->slot->kind == SLOT_SPARE;
	saved->number = in->slot->number;
	saved->version = plugins_out_version(po, in->version);
	save_numbers(in, saved);
	saved->hang = save_hang(&in->hang, po->out);
	saved->trace = trace_save(in->trace);
	if (in->last_calls)
		saved->last_calls = last_calls_save(in->last_calls, po->out);
	save_methods(in, saved, po->out);
	save_timers(in, saved);
	save_parts(in, saved, po->out);
	return saved;
}

/* ---- reading ---- */

static const char *
name_of(unsigned state)
{
	return lc_process_state_name((enum process_state)state);
}

static void
restore_methods(struct instance *in, const Plugd__SavedInstance *saved, struct state_in *state)
{
	if (!in->hello_seen)
		return; /* they come with HELLO */
	in->methods = calloc(saved->n_methods + 1, sizeof(*in->methods));
	for (size_t i = 0; in->methods && i < saved->n_methods; i++) {
		const Plugd__SavedMethod *one = saved->methods[i];

		in->methods[in->method_count++] = (struct instance_method){
			.name = strdup(one->name),
			.description = strdup(one->description),
			.stream = one->stream,
			.idempotent = one->idempotent,
			.timeout_ms = one->timeout_ms,
		};
		if (!in->methods[i].name || !in->methods[i].description)
			state_in_fail(state, "out of memory");
	}
	if (!in->methods)
		state_in_fail(state, "out of memory");
}

static void
restore_numbers(struct instance *in, const Plugd__SavedInstance *saved)
{
	in->pid = (pid_t)saved->pid;
	snprintf(in->sdk, sizeof(in->sdk), "%s", saved->sdk);
	in->spawned_ms = saved->spawned_ms;
	in->ready_ms = saved->ready_ms;
	in->rss_bytes = saved->rss_bytes;
	in->resumes = saved->resumes;
	in->turn = saved->turn;
	in->answers = saved->answers;
	in->channels_offered = saved->channels_offered;
	snprintf(in->cause, sizeof(in->cause), "%s", saved->cause);
	in->declared = saved->declared;
	in->asked = saved->asked;
	in->exited = saved->exited;
	in->collected = saved->collected;
	in->unreaped = saved->unreaped;
	in->calls_ended = saved->calls_ended;
	in->hello_seen = saved->hello_seen;
	in->violated = saved->violated;
	in->last_ticks = saved->last_ticks;
	in->last_tick_ms = saved->last_tick_ms;
	in->ping_ms = saved->ping_ms;
	in->looked_ms = saved->looked_ms;
	in->ping_out = saved->ping_out;
	in->answers_before_probe = saved->answers_before_probe;
	in->probe_failures = saved->probe_failures;
	in->rss_ms = saved->rss_ms;
	in->peak_bytes = saved->peak_bytes;
	in->dying = saved->dying;
	in->dying_ms = saved->dying_ms;
	in->keeper_until_ms = saved->keeper_until_ms;
	in->takes_log_level = saved->takes_log_level;
	in->takes_config = saved->takes_config;
	in->config_asked = saved->config_asked;
	in->config_accepted = saved->config_accepted;
	in->denied = saved->denied;
	in->denied_kinds = saved->denied_kinds;
}

static void
restore_hang(struct instance_hang *hang, const Plugd__SavedHang *saved, struct state_in *state)
{
	if (!saved || saved->kind >= HANG_KIND_COUNT) {
		state_in_fail(state, "no word on whether a process is well, or one that is not "
				     "known to this plugd");
		return;
	}
	hang->kind = (enum hang_kind)saved->kind;
	hang->since_ms = saved->since_ms;
	hang->well_ns = saved->well_ns;
	hang->told = saved->told;
	hang->continued = saved->continued;
	hang->ended = saved->ended;
	hang->wedged = saved->wedged;
	hang->overdue = saved->overdue;
	for (size_t i = 0; i < saved->n_reported && i < PLUG_VITALS_WORKERS; i++)
		hang->reported[i] = saved->reported[i];
}

static void
restore_watchers(struct instance *in, const Plugd__SavedInstance *saved)
{
	struct ev_loop *loop = in->plugin->host->loop;

	ev_io_set(&in->exit_w, in->pidfd, EV_READ);
	if (!in->exited)
		ev_io_start(loop, &in->exit_w);
	state_timer_set(loop, &in->deadline_w, saved->deadline_at_ns);
	state_timer_set(loop, &in->resume_w, saved->resume_at_ns);
	state_timer_set(loop, &in->exit_w_grace, saved->grace_at_ns);
	state_timer_set(loop, &in->probe_w, saved->probe_at_ns);
	if (saved->drain_at_ns)
		instance_look_drained_later(in);
	if (in->dying && !in->exited) /* that it was let go already does no harm */
		instance_let_go_later(in);
}

static void
restore_parts(struct instance *in, const Plugd__SavedInstance *saved, struct state_in *state)
{
	struct session_config session = {
		.loop = in->plugin->host->loop, .ops = &instance_session_ops, .user = in};

	in->pidfd = state_in_fd(state, saved->pidfd);
	in->error_fd = state_in_fd(state, saved->error_fd);
	in->vitals_fd = state_in_fd(state, saved->vitals_fd);
	keeper_watch(&in->keeper, state_in_fd(state, saved->keeper_fd));
	exit_restore(&in->status, saved->status);
	output_pipe_restore(&in->out, in, OUTPUT_OUT, saved->out, state);
	output_pipe_restore(&in->err, in, OUTPUT_ERR, saved->err, state);
	in->session = session_restore(&session, saved->session, state);
	broker_restore(&in->broker, in->plugin->host->loop, saved->broker, state);
	snprintf(in->dir.name, sizeof(in->dir.name), "%s", saved->session_dir);
	in->cgroup.fd = state_in_fd(state, saved->cgroup_fd);
	snprintf(in->cgroup.name, sizeof(in->cgroup.name), "%s", saved->cgroup);
	snprintf(in->confine.text, sizeof(in->confine.text), "%s", saved->confine);
	in->confine.incomplete = saved->confine_incomplete;
	in->confine.cgroup_set = saved->confine_cgroup_set;
	state_in_copy(state, "a token", in->token, sizeof(in->token), &saved->token);
	state_in_copy(state, "a token", in->client_token, sizeof(in->client_token),
		      &saved->client_token);
}

static struct slot *
slot_of(const struct plugin *plugin, const Plugd__SavedInstance *saved)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if ((slot->kind == SLOT_SPARE) == !!saved->spare && slot->number == saved->number)
			return slot;
	return NULL;
}

void
instance_restore(struct plugin *plugin, const Plugd__SavedInstance *saved, struct plugins_in *pi)
{
	struct slot *slot = slot_of(plugin, saved);
	struct version *version = plugins_in_version(pi, saved->version);
	struct instance *in = slot && version ? instance_alloc(slot, version) : NULL;

	if (!in) {
		state_in_fail(pi->in, "a process of %s without a slot or a version",
			      plugin_name(plugin));
		version_unref(version);
		return;
	}
	version_unref(version); /* it has its own */
	in->generation = in->broker.generation = saved->generation;
	in->state = (enum process_state)state_in_name(pi->in, "the state of a process",
						      saved->state, PS_COUNT, name_of);
	restore_numbers(in, saved);
	restore_hang(&in->hang, saved->hang, pi->in);
	in->trace = trace_restore(&saved->trace);
	if (saved->last_calls)
		in->last_calls = last_calls_restore(saved->last_calls, pi->in);
	restore_methods(in, saved, pi->in);
	restore_parts(in, saved, pi->in);
	if (in->pidfd < 0 || !in->session)
		state_in_fail(pi->in, "process %d of %s has no pidfd or no session", (int)in->pid,
			      plugin_name(plugin));
	else
		restore_watchers(in, saved);
}
