/* Which plugins a list is about. */
#include <string.h>

#include "serve/control_private.h"

static bool
is_within(const char *text, const char *wanted)
{
	return text && strcasestr(text, wanted);
}

static bool
any_within(const struct field_strings *texts, const char *wanted)
{
	for (size_t i = 0; i < texts->count; i++)
		if (is_within(texts->items[i], wanted))
			return true;
	return false;
}

static bool
has_text(const struct manifest *m, const char *wanted)
{
	return is_within(m->plugin, wanted) || is_within(m->description, wanted) ||
	       is_within(m->provider, wanted) || any_within(&m->tags, wanted) ||
	       any_within(&m->provides.shared, wanted) ||
	       any_within(&m->provides.exclusive, wanted) || any_within(&m->models, wanted);
}

const char *
control_category(const struct control *control, const struct plugin *plugin, struct place *place)
{
	const char *own = plugin->spec->manifest->category;

	control->daemon.place(control->daemon.user, plugin, place);
	return own ? own : place->category;
}

static bool
is_placed(const struct control *control, const struct plugin *plugin,
	  const Plug__ListRequest *request)
{
	const char *category = plug_str(request->category), *store = plug_str(request->store);
	struct place place;
	const char *its;

	if (!*category && !*store)
		return true;
	its = control_category(control, plugin, &place);
	return (!*category || !strcmp(category, its)) &&
	       (!*store || !strcmp(store, place_store_name(place.store)));
}

bool
control_matches(const struct control *control, const struct plugin *plugin,
		const Plug__ListRequest *request)
{
	const struct manifest *m = plugin->spec->manifest;
	const char *type = plug_str(request->type), *tag = plug_str(request->tag),
		   *capability = plug_str(request->capability), *model = plug_str(request->model),
		   *provider = plug_str(request->provider), *text = plug_str(request->text);

	if ((*type && strcmp(plugin->spec->type, type)) ||
	    (*tag && !field_strings_have(&m->tags, tag)) ||
	    (*model && !field_strings_have(&m->models, model)))
		return false;
	if (*capability && !field_strings_have(&m->provides.shared, capability) &&
	    !field_strings_have(&m->provides.exclusive, capability))
		return false;
	if (*provider && strcmp(m->provider ? m->provider : "", provider))
		return false;
	return (!*text || has_text(m, text)) && (!request->only_new || plugin_is_new(plugin)) &&
	       is_placed(control, plugin, request);
}
