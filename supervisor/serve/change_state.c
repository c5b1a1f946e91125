/* A change of configuration under way, over an upgrade of plugd: who was asked will answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/change.h"
#include "serve/saved.h"
#include "state/timer.h"

static const char *
phase_name(unsigned phase)
{
#define X(symbol, name) [CHANGE_##symbol] = (name),
	static const char *const names[] = {CHANGE_PHASES(X)};
#undef X

	return names[phase];
}

static ProtobufCBinaryData
save_runtime(const struct runtime *runtime, struct state_out *out)
{
	size_t size = 0;
	char *text = runtime_format(runtime, &size);
	char *copy = text ? state_out_array(out, size + 1, 1) : NULL;

	if (copy)
		memcpy(copy, text, size);
	else
		out->failed = true;
	free(text);
	return state_out_bytes(copy, copy ? size : 0);
}

Plugd__SavedChange *
change_save(struct change *change, struct state_out *out)
{
	Plugd__SavedChange *saved = state_out_message(out, &plugd__saved_change__descriptor);

	saved->plugin = state_out_text(plugin_name(change->plugin));
	saved->phase = state_out_text(phase_name(change->phase));
	saved->runtime = save_runtime(change->runtime, out);
	saved->outcome = change->outcome;
	saved->why = change->why;
	saved->detail = change->detail;
	saved->deadline_at_ns = state_timer_at(change->control->host->loop, &change->deadline_w);
	saved->since_ms = change->since_ms;
	return saved;
}

/* `change` is of the spec that is in force. */
static void
restore_values(struct change *change, const Plugd__SavedChange *saved, struct state_in *in)
{
	struct yaml_source source = {"a change under way", (const char *)saved->runtime.data,
				     saved->runtime.len};
	struct diags diags;

	diags_init(&diags);
	change->runtime = runtime_parse(&source, &diags);
	if (change->runtime && change->phase != CHANGE_RELOADING)
		change->spec = change_spec(change->plugin->spec, change->runtime, &diags);
	if (!change->runtime || !change->runtime->change_count ||
	    (!change->spec && change->phase != CHANGE_RELOADING))
		state_in_fail(in, "a change of the configuration of %s that is not accepted",
			      plugin_name(change->plugin));
	diags_fini(&diags);
}

void
change_restore(struct control *control, const Plugd__SavedChange *saved, const struct serve_in *si)
{
	struct plugin *plugin = serve_in_plugin(si, saved->plugin);
	struct change *change = plugin && !plugin->change ? change_alloc(control, plugin) : NULL;

	if (!change) {
		state_in_fail(si->in, "a second change of one plugin, or out of memory");
		return;
	}
	plugin->change = change;
	change->phase = (enum change_phase)state_in_name(
		si->in, "the phase of a change", saved->phase, CHANGE_PHASE_COUNT, phase_name);
	change->outcome = (plug_err)saved->outcome;
	snprintf(change->why, sizeof(change->why), "%s", saved->why);
	snprintf(change->detail, sizeof(change->detail), "%s", saved->detail);
	change->since_ms = saved->since_ms;
	if (change->phase != CHANGE_RELOADING && !saved->deadline_at_ns)
		state_in_fail(si->in, "a change of configuration that nothing ends");
	restore_values(change, saved, si->in);
	state_timer_set(control->host->loop, &change->deadline_w, saved->deadline_at_ns);
}
