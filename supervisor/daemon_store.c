/* Which version of the store is the chosen one follows what came of a reload to it. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon_private.h"
#include "store/layout.h"

#define SWEEP_WAIT_MS 0 /* who holds the lock is at work, and what is there is his */

static struct store
open_store(const struct daemon *d)
{
	struct store store = STORE_INIT;
	struct reason why = {""};
	plug_err err = store_open(d->dirs.store, false, &store, &why);

	if (err && err != PLUG_ENOTFOUND)
		log_warn("%s", why.text);
	return store;
}

void
daemon_store_sweep(const struct daemon *d)
{
	struct store store = open_store(d);
	unsigned swept;

	if (store.fd >= 0 && !store_lock(&store, SWEEP_WAIT_MS, NULL)) {
		swept = store_sweep(&store);
		if (swept)
			log_info("%u leftovers of an install or uninstall that did not come to its "
				 "end were removed from %s",
				 swept, store.path);
	}
	store_close(&store);
}

static bool
is_settling(const struct plugin *plugin)
{
	LIST_FOREACH (slot, &plugin->slots, struct slot, node)
		if (slot->reload != RS_IDLE)
			return true;
	return false;
}

static void
choose(struct plugin *plugin, const struct store *store, const char *version)
{
	if (!store_choose(store->fd, plugin_name(plugin), version))
		events_add(&plugin->host->events, plugin_name(plugin), "chosen",
			   plugin->last_generation, 0, "version %s", version);
	else
		log_line(LOG_ERROR, plugin_name(plugin), 0,
			 "version %s is in force, and could not be made the chosen one: the other "
			 "will be at the next start of plugd; then: plugctl use %s %s",
			 version, plugin_name(plugin), version);
}

/* What was to be chosen could not be started: the next start is of what is chosen. */
static void
return_to_chosen(struct daemon *d, struct plugin *plugin)
{
	struct diags diags;
	struct spec *spec;

	diags_init(&diags);
	spec = config_reread(d->options, plugin->spec, NULL, d->host.state_fd, &diags);
	if (spec)
		plugin_update(plugin, spec);
	diags_fini(&diags);
}

static void
follow(struct daemon *d, struct plugin *plugin, const struct store *store, const char *running,
       const char *chosen)
{
	bool same = !strcmp(running, chosen);

	if (plugin->choosing == PLUGIN_CHOOSING && plugin->reloaded.outcome) {
		plugin->choosing = PLUGIN_CHOSEN;
		if (!same)
			return_to_chosen(d, plugin);
		return;
	}
	if (!same)
		choose(plugin, store, running);
	plugin->choosing = is_settling(plugin) ? PLUGIN_CHOICE_SETTLES : PLUGIN_CHOSEN;
}

void
daemon_store_settled(struct daemon *d, struct plugin *plugin)
{
	char name[STORE_NAME_BYTES], running[STORE_VERSION_BYTES], chosen[STORE_VERSION_BYTES] = "";
	struct store store = STORE_INIT;

	if (plugin->choosing == PLUGIN_CHOSEN || plugin->rollout)
		return;
	store = open_store(d);
	if (store.fd >= 0 && store_parse_folder(store.path, plugin->spec->folder, name, running)) {
		store_current(store.fd, name, chosen);
		follow(d, plugin, &store, running, chosen);
	}
	store_close(&store);
}
