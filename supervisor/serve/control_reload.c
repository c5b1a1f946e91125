/* reload: the same plugin from what is on disk now. */
#include <stdio.h>
#include <string.h>

#include "plugin/registry_check.h"
#include "serve/answer.h"
#include "serve/control_private.h"

/* Adds errors where what is on disk cannot take the place of what runs. */
static struct spec *
read_fresh(struct control *control, const struct plugin *plugin, const char *version,
	   struct diags *diags)
{
	const struct control_daemon *daemon = &control->daemon;
	struct spec *spec = daemon->reread_plugin(daemon->user, plugin->spec, version, diags);

	if (!spec)
		return NULL;
	if (!strcmp(spec->name, plugin_name(plugin)))
		registry_accepts(control->registry, spec, diags);
	else
		diag_error(diags, manifest_origin(spec->manifest, "plugin"),
			   "plugin: the name was \"%s\" and is \"%s\" now: that is another plugin; "
			   "for this, plugctl reread",
			   plugin_name(plugin), spec->name);
	if (!diags->errors)
		return spec;
	spec_free(spec);
	return NULL;
}

plug_err
control_begin_reload(struct control *control, struct plugin *plugin, const char *version,
		     bool in_place, char text[CONTROL_ERRORS_BYTES])
{
	bool chooses = version && *version;
	struct diags diags;
	struct spec *spec;
	plug_err err;

	*text = '\0';
	diags_init(&diags);
	diags.in_force = "what was in force before goes on";
	spec = read_fresh(control, plugin, chooses ? version : NULL, &diags);
	if (!spec)
		diags_each(&diags, control_join_error, text);
	diags_fini(&diags);
	if (!spec)
		return PLUG_EINVAL;
	if (chooses) /* first: it may be over when it has begun */
		plugin->choosing = PLUGIN_CHOOSING;
	err = rollout_begin(plugin, spec, in_place);
	if (err)
		plugin->choosing = PLUGIN_CHOSEN;
	return err;
}

void
control_fill_reloaded(Plug__Response *response, Plug__ActResult *result,
		      const struct plugin *plugin)
{
	const struct rollout_result *reloaded = &plugin->reloaded;

	response->outcome = reloaded->outcome;
	if (!reloaded->text)
		return;
	result->detail = reloaded->text;
	if (reloaded->outcome)
		response->message = reloaded->text;
}
