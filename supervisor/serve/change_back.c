/* A change that came by a reload, which was told as done and is taken back: what is kept follows.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "plugin/runtime_file.h"
#include "serve/change.h"

/* What the version that came back has, of this key. */
static const struct runtime_value *
value_of(const struct spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->runtime_count; i++)
		if (!strcmp(spec->runtime[i].key, key))
			return &spec->runtime[i];
	return NULL;
}

static size_t
fill_back(const struct spec *spec, const struct runtime *kept, struct runtime_edit *edits)
{
	size_t count = 0;

	for (size_t i = 0; i < kept->value_count; i++) {
		const struct runtime_value *value = value_of(spec, kept->values[i].key);
		const struct schema_key *key =
			schema_find(&spec->manifest->config, kept->values[i].key);

		edits[count++] = (struct runtime_edit){.key = kept->values[i].key,
						       .after = value ? value->text : NULL,
						       .secret = !key || key->secret};
	}
	for (size_t i = 0; i < spec->runtime_count; i++) {
		const struct schema_key *key =
			schema_find(&spec->manifest->config, spec->runtime[i].key);

		if (!runtime_find(kept, spec->runtime[i].key))
			edits[count++] = (struct runtime_edit){.key = spec->runtime[i].key,
							       .after = spec->runtime[i].text,
							       .secret = !key || key->secret};
	}
	return count;
}

static struct runtime *
taken_back(const struct plugin *plugin, const struct runtime *kept, struct diags *diags)
{
	const struct spec *spec = plugin->spec;
	AUTO_FREE struct runtime_edit *edits =
		calloc(kept->value_count + spec->runtime_count + 1, sizeof(*edits));
	struct runtime_change change = {.time_ms = clock_wall_ms(),
					.uid = (uint32_t)geteuid(),
					.what = "taken back: the plugin failed after its reload"};

	if (!edits)
		return NULL;
	change.edits = edits;
	change.count = fill_back(spec, kept, edits);
	return runtime_apply(kept, &change, diags);
}

void
change_on_gone_back(struct plugin *plugin, const char *why)
{
	int state_fd = plugin->host->state_fd;
	struct runtime *kept, *back = NULL;
	struct diags diags;

	diags_init(&diags);
	kept = runtime_file_load(state_fd, plugin_name(plugin), &diags);
	if (kept)
		back = taken_back(plugin, kept, &diags);
	if (back && back->last_number != kept->last_number) {
		plug_err err = runtime_file_store(state_fd, plugin_name(plugin), back);

		events_add(&plugin->host->events, plugin_name(plugin), "config",
			   plugin->last_generation, 0,
			   "change %u: the values from before are in force again%s: %s",
			   (unsigned)back->last_number,
			   err ? ", until plugd ends, for that cannot be kept" : "", why);
	}
	runtime_free(kept);
	runtime_free(back);
	diags_fini(&diags);
}
