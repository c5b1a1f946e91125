/* plugd as a whole over an upgrade in place: everything that daemon.c makes, made anew. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/turn.h"
#include "daemon_private.h"
#include "os/spawn.h"
#include "os/tree.h"
#include "serve/saved.h"

/* ---- writing ---- */

static Plugd__SavedRundir *
save_rundir(const struct rundir *rundir, struct state_out *out)
{
	Plugd__SavedRundir *saved = state_out_message(out, &plugd__saved_rundir__descriptor);

	saved->path = state_out_text(rundir->path);
	saved->fd = state_out_fd(out, rundir->fd);
	saved->lock_fd = state_out_fd(out, rundir->lock_fd);
	saved->sessions_fd = state_out_fd(out, rundir->sessions_fd);
	return saved;
}

static Plugd__SavedCgroup *
save_cgroup(const struct cgroup *cgroup, struct state_out *out)
{
	Plugd__SavedCgroup *saved = state_out_message(out, &plugd__saved_cgroup__descriptor);

	saved->rung = cgroup->rung;
	saved->fd = state_out_fd(out, cgroup->fd);
	saved->path = state_out_text(cgroup->path);
	saved->why = state_out_text(cgroup->why.text);
	saved->untidy = cgroup->untidy;
	saved->controllers = cgroup->controllers;
	saved->born_outside = !spawn_cgroup_found();
	return saved;
}

static Plugd__SavedText *
save_models(const struct kept_text *text, struct state_out *out)
{
	Plugd__SavedText *saved = state_out_message(out, &plugd__saved_text__descriptor);

	saved->file = text->file;
	saved->text = state_out_bytes(text->bytes, text->size);
	return saved;
}

static void
save_lists(const struct daemon *d, Plugd__SavedDaemon *saved, struct state_out *out)
{
	for (size_t i = 0; i < d->found.added.count; i++)
		state_out_append(out, &saved->n_added_dirs, &saved->added_dirs,
				 d->found.added.items[i]);
	for (size_t i = 0; i < d->found.loaded.count; i++)
		state_out_append(out, &saved->n_loaded, &saved->loaded, d->found.loaded.items[i]);
}

static Plugd__SavedDaemon *
save_daemon(struct daemon *d, struct plugins_out *po)
{
	struct state_out *out = po->out;
	Plugd__SavedDaemon *saved = state_out_message(out, &plugd__saved_daemon__descriptor);

	for (char *const *word = d->options->argv; *word; word++)
		state_out_append(out, &saved->n_argv, &saved->argv, *word);
	saved->state_dir = d->state_dir;
	saved->containment = d->containment;
	saved->config_error = d->config_error;
	saved->settings = plugins_out_settings(po, d->settings->text);
	if (d->settings->models_text)
		saved->models = save_models(d->settings->models_text, out);
	saved->started_ms = d->started_ms;
	saved->guardian_pid = d->guardian->pid;
	saved->guardian_fd = state_out_fd(out, d->guardian->fd);
	saved->state_fd = state_out_fd(out, d->host.state_fd);
	saved->log_dir_fd = state_out_fd(out, d->host.log_dir_fd);
	saved->nofile_soft = d->host.nofile_soft;
	saved->socket_path = d->host.socket_path;
	saved->spec_changes = d->host.spec_changes;
	saved->refused_yaml = d->watch.refused_yaml;
	saved->rundir = save_rundir(&d->rundir, out);
	saved->cgroup = save_cgroup(&d->cgroup, out);
	saved->log_dropped = log_dropped();
	save_lists(d, saved, out);
	vigil_end(&d->host.vigil); /* what waits for that is told */
	events_save(&d->host.events, saved, out);
	graves_save(&d->host.graves, saved, out);
	return saved;
}

void
daemon_save(void *user, struct state_out *out, Plugd__Saved *saved)
{
	struct daemon *d = user;
	struct plugins_out po;

	ev_now_update(d->loop);
	plugins_out_init(&po, out, saved);
	saved->daemon = save_daemon(d, &po);
	registry_save(&d->registry, &po);
	plugins_out_fini(&po);
	saved->doorman = doorman_save(d->doorman, out);
	saved->router = router_save(&d->router, out);
	saved->channels = channels_save(&d->channels, out);
	saved->control = control_save(&d->control, out);
}

/* ---- reading ---- */

static void
restore_rundir(struct rundir *rundir, const Plugd__SavedRundir *saved, struct state_in *in)
{
	if (!saved) {
		state_in_fail(in, "no runtime directory");
		return;
	}
	snprintf(rundir->path, sizeof(rundir->path), "%s", saved->path);
	rundir->fd = state_in_fd(in, saved->fd);
	rundir->lock_fd = state_in_fd(in, saved->lock_fd);
	rundir->sessions_fd = state_in_fd(in, saved->sessions_fd);
	if (rundir->fd < 0 || rundir->lock_fd < 0 || rundir->sessions_fd < 0)
		state_in_fail(in, "a runtime directory that is not open");
}

static void
restore_cgroup(struct daemon *d, const Plugd__SavedCgroup *saved, struct state_in *in)
{
	struct cgroup *cgroup = &d->cgroup;

	if (!saved || saved->rung > CGROUP_KILL) {
		state_in_fail(in, "no word on cgroups, or one that is not known to this plugd");
		return;
	}
	cgroup->rung = (enum cgroup_rung)saved->rung;
	cgroup->fd = state_in_fd(in, saved->fd);
	snprintf(cgroup->path, sizeof(cgroup->path), "%s", saved->path);
	snprintf(cgroup->why.text, sizeof(cgroup->why.text), "%s", saved->why);
	cgroup->untidy = saved->untidy;
	cgroup->controllers = saved->controllers;
	spawn_set_cgroup_found(!saved->born_outside);
	d->has_cgroup = true;
	d->host.cgroup = cgroup;
}

static void
restore_list(struct kept_list *list, char *const *texts, size_t count, size_t max,
	     struct state_in *in)
{
	for (size_t i = 0; i < count; i++)
		if (kept_list_add(list, texts[i], max))
			state_in_fail(in, "a plugin directory that is no path, or too many");
}

static void
restore_daemon(struct daemon *d, const Plugd__SavedDaemon *saved, struct state_in *in)
{
	snprintf(d->state_dir, sizeof(d->state_dir), "%s", saved->state_dir);
	snprintf(d->containment, sizeof(d->containment), "%s", saved->containment);
	snprintf(d->config_error, sizeof(d->config_error), "%s", saved->config_error);
	snprintf(d->host.socket_path, sizeof(d->host.socket_path), "%s", saved->socket_path);
	d->started_ms = saved->started_ms;
	d->host.state_fd = state_in_fd(in, saved->state_fd);
	d->host.log_dir_fd = state_in_fd(in, saved->log_dir_fd);
	d->host.nofile_soft = (rlim_t)saved->nofile_soft;
	d->host.spec_changes = saved->spec_changes;
	d->watch.refused_yaml = saved->refused_yaml;
	restore_rundir(&d->rundir, saved->rundir, in);
	restore_cgroup(d, saved->cgroup, in);
	log_add_dropped(saved->log_dropped);
	restore_list(&d->found.added, saved->added_dirs, saved->n_added_dirs, CONFIG_DIRS, in);
	restore_list(&d->found.loaded, saved->loaded, saved->n_loaded, CONFIG_LOADED, in);
	events_restore(&d->host.events, saved, in);
	graves_restore(&d->host.graves, saved, in);
}

static void
fail_with(void *context, const char *text)
{
	state_in_fail(context, "what is in force is not accepted by this plugd: %s", text);
}

static struct kept_text *
restore_text(const Plugd__SavedText *saved)
{
	return kept_text_new(saved->file, (const char *)saved->text.data, saved->text.len);
}

static struct settings *
restore_settings(const Plugd__SavedText *saved, const Plugd__SavedText *models, struct state_in *in)
{
	struct kept_text *kept = restore_text(saved);
	struct kept_text *more = models ? restore_text(models) : NULL;
	struct settings *settings;
	struct diags diags;

	diags_init(&diags);
	settings = kept ? settings_from_text(kept, &diags) : NULL;
	if (settings && models && (!more || !settings_add_models(settings, more, &diags))) {
		settings_free(settings);
		settings = NULL;
	}
	kept_text_unref(kept);
	kept_text_unref(more);
	if (!settings)
		diags_each(&diags, fail_with, in);
	diags_fini(&diags);
	return settings;
}

struct settings *
daemon_saved_settings(struct state_in *in)
{
	const Plugd__SavedDaemon *saved = in->saved->daemon;
	struct settings *settings = NULL;
	int index = state_in_index(in, "plugd.yaml", saved->settings, in->saved->n_settings);

	if (index >= 0)
		settings = restore_settings(in->saved->settings[index], saved->models, in);
	else if (!in->failed)
		settings = settings_default();
	if (!settings)
		state_in_fail(in, "the settings in force cannot be made anew");
	return settings;
}

static void
restore_door(struct daemon *d, struct state_in *in)
{
	struct doorman_config config = daemon_door_config(d);

	d->doorman = doorman_restore(&config, in->saved->doorman, in);
}

bool
daemon_restore(struct daemon *d, struct state_in *in)
{
	const Plugd__Saved *saved = in->saved;
	struct serve_in si = {in, NULL, &d->registry};
	struct plugins_in pi;

	restore_daemon(d, saved->daemon, in);
	if (!in->failed) {
		plugins_in_init(&pi, in, &d->host);
		if (!in->failed)
			registry_restore(&d->registry, &pi);
		plugins_in_fini(&pi);
	}
	if (!in->failed)
		restore_door(d, in);
	if (in->failed)
		return false;
	si.doorman = d->doorman;
	router_restore(&d->router, saved->router, &si);
	channels_restore(&d->channels, saved->channels, &si);
	control_restore(&d->control, saved->control, &si);
	upgrade_restore(&d->upgrade, saved->daemon->upgrade, &si);
	return !in->failed;
}

static bool
is_known(void *context, pid_t pid)
{
	struct daemon *d = context;

	return registry_has_pid(&d->registry, pid);
}

/* From here on this plugd has effects. */
void
daemon_take_over(struct daemon *d, struct state_in *in, struct handover *handover)
{
	const struct tree_callbacks strangers = {.is_known = is_known, .context = d};

	state_in_commit(in);
	daemon_set_dirs(d);
	tree_reap_strangers(&strangers); /* whose signal came in between, if any */
	turn_offer();
	daemon_watch_look(d);
	turn_offer();
	registry_changed(&d->registry);
	upgrade_tell(&d->upgrade, in->saved->daemon->upgrade, handover->refused);
	handover_done(handover);
}
