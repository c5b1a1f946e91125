/*
 * Invariants
 *  - plugin->change is there from change_begin() until done(); `outcome` is set before RETURNING.
 *  - in->config_asked is not 0 exactly while the answer of that process is waited for.
 *  - What is kept is written before anybody is told that it is in force.
 */
#include "serve/change.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/runtime_file.h"
#include "serve/change_private.h"

struct change *
change_alloc(struct control *control, struct plugin *plugin)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->plugin = plugin;
	change->control = control;
	ev_timer_init(&change->deadline_w, change_on_deadline, 0., 0.);
	change->deadline_w.data = change;
	return change;
}

void
change_free(struct change *change)
{
	if (!change)
		return;
	ev_timer_stop(change->control->host->loop, &change->deadline_w);
	runtime_free(change->runtime);
	spec_free(change->spec);
	free(change);
}

struct spec *
change_spec(const struct spec *base, const struct runtime *runtime, struct diags *diags)
{
	struct spec_layers layers = spec_layers_of(base);

	layers.runtime = runtime->values;
	layers.runtime_count = runtime->value_count;
	return spec_with(base, &layers, diags);
}

/* ---- the end ---- */

static void
done(struct change *change, const char *text)
{
	struct plugin *plugin = change->plugin;
	struct change *ended = change;

	plugin->change = NULL;
	LIST_FOREACH (in, &plugin->instances, struct instance, node) {
		in->config_asked = 0;
		in->config_accepted = false;
	}
	events_add(&plugin->host->events, plugin_name(plugin), "config", plugin->last_generation, 0,
		   "%s", text);
	control_change_done(change->control, plugin, ended, text);
	change_free(ended);
}

/* "change 3 (batch, level)": never a value. */
static void
name_change(const struct change *change, char *text, size_t size)
{
	const struct runtime *runtime = change->runtime;
	const struct runtime_change *last = &runtime->changes[runtime->change_count - 1];
	size_t used = (size_t)snprintf(text, size, "change %u (", (unsigned)last->number);

	for (size_t i = 0; i < last->count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
					 last->edits[i].key);
	if (used < size)
		snprintf(text + used, size - used, ")");
}

char *
change_text(const struct change *change, struct arena *arena)
{
	static const char *const words[] = {
		[CHANGE_ASKING] = "its processes are asked",
		[CHANGE_RETURNING] = "it was refused, and the values from before are given back",
		[CHANGE_RELOADING] = "the plugin is reloaded",
	};
	char name[384];
	char *text;

	if (!change)
		return (char *)"";
	name_change(change, name, sizeof(name));
	text = arena_printf(arena, "%s: %s", name, words[change->phase]);
	return text ? text : (char *)"";
}

static void
done_well(struct change *change)
{
	char text[768], name[384];

	name_change(change, name, sizeof(name));
	snprintf(text, sizeof(text), "%s: %s", name, change->detail);
	done(change, text);
}

void
change_done_badly(struct change *change)
{
	char text[1280], name[384];

	name_change(change, name, sizeof(name));
	snprintf(text, sizeof(text), "%s is refused: %s; the values from before stay in force",
		 name, change->why);
	done(change, text);
}

/* What was read of the disk, and starts next, gets the same values. */
static void
remake_next(struct change *change)
{
	struct plugin *plugin = change->plugin;
	struct spec *next;
	struct diags diags;

	if (!plugin->next_spec)
		return;
	diags_init(&diags);
	next = change_spec(plugin->next_spec, change->runtime, &diags);
	diags_fini(&diags);
	if (!next)
		events_add(&plugin->host->events, plugin_name(plugin), "config",
			   plugin->last_generation, 0,
			   "the manifest on disk does not take the values that are set now, and "
			   "is not used: see plugctl reload %s",
			   plugin_name(plugin));
	plugin_drop_next_spec(plugin);
	plugin->next_spec = next;
}

static void
note_not_kept(struct change *change, plug_err err)
{
	change->outcome = err;
	snprintf(change->why, sizeof(change->why), "it cannot be kept in the state directory: %s",
		 err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
}

plug_err
change_store(struct change *change)
{
	struct host *host = change->control->host;
	plug_err err =
		runtime_file_store(host->state_fd, plugin_name(change->plugin), change->runtime);

	if (err)
		note_not_kept(change, err);
	return err;
}

/* The reload is over, and what was written before it is kept, or not. */
static plug_err
keep_prepared(struct change *change)
{
	int state_fd = change->control->host->state_fd;
	plug_err err = runtime_file_commit(state_fd, plugin_name(change->plugin), change->runtime);

	if (err)
		note_not_kept(change, err);
	return err;
}

/* In force for all who share what is in force, and for those to come. */
void
change_apply(struct change *change)
{
	plugin_set_values(change->plugin, change->spec);
	remake_next(change);
	done_well(change);
}

/* ---- by a reload ---- */

static plug_err
begin_reload(struct change *change)
{
	struct plugin *plugin = change->plugin;
	struct version *running, *target;
	plug_err err = runtime_file_prepare(change->control->host->state_fd, plugin_name(plugin),
					    change->runtime);

	if (err) {
		note_not_kept(change, err);
		change_done_badly(change);
		return PLUG_OK;
	}
	running = rollout_in_force(plugin);
	/* What was read of the disk since would be started by any restart: it is the base then. */
	if (plugin->next_spec || !running)
		target = version_new(change->spec);
	else
		target = version_with(running, change->spec);
	version_unref(running);
	if (target) {
		spec_free(change->spec);
		change->spec = NULL;
		change->phase = CHANGE_RELOADING;
	}
	err = target ? rollout_begin_with(plugin, target, false) : PLUG_ENOMEM;
	if (err)
		runtime_file_discard(change->control->host->state_fd, plugin_name(plugin));
	return err;
}

void
change_on_settled(struct plugin *plugin)
{
	struct change *change = plugin->change;
	const struct rollout_result *reloaded = &plugin->reloaded;

	if (!change || change->phase != CHANGE_RELOADING || plugin->rollout)
		return;
	if (reloaded->outcome) {
		runtime_file_discard(change->control->host->state_fd, plugin_name(plugin));
		change->outcome = reloaded->outcome;
		snprintf(change->why, sizeof(change->why), "%s",
			 reloaded->text ? reloaded->text : plug_err_text(reloaded->outcome));
		change_done_badly(change);
		return;
	}
	snprintf(change->detail, sizeof(change->detail), "applied by a reload: %s",
		 reloaded->text ? reloaded->text : "done");
	remake_next(change);
	if (keep_prepared(change))
		snprintf(change->detail, sizeof(change->detail),
			 "in force until plugd ends: %.200s", change->why);
	change->outcome = PLUG_OK;
	done_well(change);
}

/* ---- the beginning ---- */

static bool
can_be_asked(const struct plugin *plugin)
{
	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		if (change_concerns(in) && (!in->takes_config || in->spec != plugin->spec))
			return false;
	return true;
}

/* The values of `change` as if they came from nowhere yet, for messages. */
static struct spec *
check(const struct plugin *plugin, struct runtime *runtime, struct diags *diags)
{
	AUTO_FREE struct runtime_value *values = calloc(runtime->value_count + 1, sizeof(*values));
	const struct spec *base = plugin->next_spec ? plugin->next_spec : plugin->spec;
	struct spec_layers layers = spec_layers_of(base);
	struct spec *spec;

	for (size_t i = 0; values && i < runtime->value_count; i++) {
		values[i] = runtime->values[i];
		if (values[i].number == runtime->last_number)
			values[i].number = 0;
	}
	layers.runtime = values;
	layers.runtime_count = values ? runtime->value_count : 0;
	spec = spec_with(base, &layers, diags);
	if (!spec)
		return NULL;
	spec_free(spec);
	return change_spec(base, runtime, diags);
}

/* Of those that run; where nothing else was read of the disk that is the same. */
static struct spec *
spec_for_now(const struct change *change, struct diags *diags)
{
	if (!change->plugin->next_spec)
		return spec_ref(change->spec);
	return change_spec(change->plugin->spec, change->runtime, diags);
}

static plug_err
apply_now(struct change *change, const char *detail)
{
	snprintf(change->detail, sizeof(change->detail), "%s", detail);
	if (change_store(change))
		change_done_badly(change);
	else
		change_apply(change);
	return PLUG_OK;
}

/* A slot that would start what was in force once starts what is. */
static void
forget_older_versions(struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->version && slot->version->spec != plugin->spec)
			slot_set_version(slot, NULL);
}

static plug_err
begin(struct change *change, struct spec *now)
{
	struct plugin *plugin = change->plugin;
	bool all_live;
	size_t changed = spec_changed_keys(plugin->spec, now, &all_live);

	if (changed && !list_empty(&plugin->instances) && (!all_live || !can_be_asked(plugin)))
		return begin_reload(change);
	spec_ref(now);
	spec_free(change->spec);
	change->spec = now;
	if (list_empty(&plugin->instances)) {
		forget_older_versions(plugin);
		return apply_now(change, "in force from its next start");
	}
	if (!changed)
		return apply_now(change, "kept; the value in force is the same");
	change->phase = CHANGE_ASKING;
	change_step(change);
	return PLUG_OK;
}

plug_err
change_begin(struct control *control, struct plugin *plugin, struct runtime *runtime,
	     char text[CONTROL_ERRORS_BYTES])
{
	struct change *change = change_alloc(control, plugin);
	struct spec *now = NULL;
	struct diags diags;
	plug_err err = PLUG_ENOMEM;

	*text = '\0';
	if (!change) {
		runtime_free(runtime);
		return err;
	}
	change->runtime = runtime;
	change->since_ms = clock_mono_ms();
	diags_init(&diags);
	change->spec = check(plugin, runtime, &diags);
	now = change->spec ? spec_for_now(change, &diags) : NULL;
	if (now) {
		plugin->change = change;
		err = begin(change, now);
	} else {
		diags_each(&diags, control_join_error, text);
		err = PLUG_EINVAL;
	}
	diags_fini(&diags);
	spec_free(now);
	if (!err)
		return PLUG_OK; /* `change` may be gone */
	plugin->change = NULL;
	change_free(change);
	return err;
}
