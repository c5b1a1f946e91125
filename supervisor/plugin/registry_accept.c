/* One plugin anew, beside those that are there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/registry.h"
#include "plugin/registry_check.h"
#include "plugin/rivals.h"

static void
refuse(const struct spec *spec, const struct diag_pos *pos, struct diags *diags, const char *text)
{
	struct diag_pos start = {.file = spec->path, .line = 1, .column = 1};

	diag_error(diags, pos ? pos : &start, "%s", text);
}

static void
check_requirement(const struct registry *registry, const struct spec *spec,
		  const struct manifest_requirement *wanted, struct diags *diags)
{
	const struct plugin *other = registry_find(registry, wanted->name);
	char text[768];

	if (!other)
		snprintf(text, sizeof(text), "requires.plugins: there is no plugin \"%s\"",
			 wanted->name);
	else if (!semver_range_matches(&wanted->range, &other->spec->manifest->version.number))
		snprintf(text, sizeof(text), "requires.plugins: found %s %s, expected \"%s\"",
			 wanted->name, other->spec->version, wanted->text);
	else if (!plugin_takes_calls(other))
		snprintf(text, sizeof(text), "requires.plugins: %s is %s; start it first",
			 wanted->name, plugin_word(other));
	else
		return;
	refuse(spec, &wanted->pos, diags, text);
}

/* One that runs has to provide it, as one that runs has to be there above. */
static void
check_capabilities(const struct registry *registry, const struct spec *spec, struct diags *diags)
{
	const struct field_strings *wanted = &spec->manifest->requires.capabilities;
	char text[256];

	for (size_t i = 0; i < wanted->count; i++) {
		bool found = false;

		LIST_FOREACH (other, &registry->plugins, struct plugin, node)
			found = found ||
				(plugin_takes_calls(other) &&
				 strcmp(plugin_name(other), spec->name) &&
				 manifest_provides(other->spec->manifest, wanted->items[i]));
		if (found)
			continue;
		snprintf(text, sizeof(text),
			 "requires.capabilities: no plugin that takes calls provides \"%s\"; start "
			 "one first",
			 wanted->items[i]);
		refuse(spec, manifest_origin(spec->manifest, "requires.capabilities"), diags, text);
	}
}

static void
check_rival(const struct plugin *other, const struct spec *spec, struct diags *diags)
{
	const struct manifest *m = spec->manifest;
	const struct diag_pos *pos = manifest_origin(m, "conflicts");
	char text[RIVALS_TEXT_BYTES];

	if (!strcmp(plugin_name(other), spec->name) ||
	    !rivals_text(spec, other->spec, plugin_word(other), text))
		return;
	refuse(spec, pos ? pos : manifest_origin(m, "provides.exclusive"), diags, text);
}

/* Also of those that are down: their commands are there all the same. */
static void
check_commands(const struct plugin *other, const struct spec *spec, struct diags *diags)
{
	const char *word =
		commands_clash(&spec->manifest->commands, &other->spec->manifest->commands);
	char text[256];

	if (!word || !strcmp(plugin_name(other), spec->name))
		return;
	snprintf(text, sizeof(text),
		 "commands: \"%s\" of %s is a command of %s already, which keeps it; expected "
		 "another name",
		 word, spec->name, plugin_name(other));
	refuse(spec, manifest_command_origin(spec->manifest, word), diags, text);
}

static void
check_dependent(const struct plugin *other, const struct spec *spec, struct diags *diags)
{
	const struct manifest_requirements *requires = &other->spec->manifest->requires.plugins;

	for (size_t i = 0; i < requires->count; i++) {
		const struct manifest_requirement *wanted = &requires->items[i];
		char text[768];

		if (strcmp(wanted->name, spec->name) ||
		    semver_range_matches(&wanted->range, &spec->manifest->version.number))
			continue;
		snprintf(text, sizeof(text), "version: %s requires \"%s\"; found %s",
			 plugin_name(other), wanted->text, spec->version);
		refuse(spec, manifest_origin(spec->manifest, "version"), diags, text);
	}
}

/* Every plugin once, so that what goes round elsewhere ends. */
struct reached {
	const struct plugin **items;
	size_t count;
};

static void
reach(const struct registry *registry, const struct spec *from, struct reached *reached)
{
	const struct manifest_requirements *requires = &from->manifest->requires.plugins;

	for (size_t i = 0; i < requires->count; i++) {
		const struct plugin *other = registry_find(registry, requires->items[i].name);
		bool known = false;

		for (size_t k = 0; k < reached->count; k++)
			known = known || reached->items[k] == other;
		if (other && !known)
			reached->items[reached->count++] = other;
	}
}

/* Does what it requires require it, at whatever distance? */
static bool
is_in_cycle(const struct registry *registry, const struct spec *spec)
{
	struct reached reached = {
		.items = calloc(registry->count + 1, sizeof(const struct plugin *))};
	bool found = false;

	if (reached.items)
		reach(registry, spec, &reached);
	for (size_t i = 0; i < reached.count && !found; i++) {
		found = !strcmp(plugin_name(reached.items[i]), spec->name);
		if (!found)
			reach(registry, reached.items[i]->spec, &reached);
	}
	free(reached.items);
	return found;
}

bool
registry_accepts(const struct registry *registry, const struct spec *spec, struct diags *diags)
{
	const struct manifest_requirements *requires = &spec->manifest->requires.plugins;
	size_t errors = diags->errors;

	for (size_t i = 0; i < requires->count; i++)
		check_requirement(registry, spec, &requires->items[i], diags);
	check_capabilities(registry, spec, diags);
	LIST_FOREACH (other, &registry->plugins, struct plugin, node) {
		check_commands(other, spec, diags);
		if (plugin_is_down(other))
			continue;
		check_dependent(other, spec, diags);
		check_rival(other, spec, diags);
	}
	if (is_in_cycle(registry, spec))
		refuse(spec, manifest_origin(spec->manifest, "requires.plugins"), diags,
		       "requires.plugins: what it requires requires it");
	return diags->errors == errors;
}
