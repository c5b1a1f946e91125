#include "plugin/rivals.h"

#include <stdio.h>
#include <string.h>

/* What `left` wants to hold alone and `right` provides as well, however. */
static const char *
contested(const struct manifest *left, const struct manifest *right)
{
	const struct field_strings *alone = &left->provides.exclusive;

	for (size_t i = 0; i < alone->count; i++)
		if (manifest_provides(right, alone->items[i]))
			return alone->items[i];
	return NULL;
}

bool
rivals_text(const struct spec *spec, const struct spec *other, const char *word,
	    char text[RIVALS_TEXT_BYTES])
{
	const struct manifest *ours = spec->manifest, *theirs = other->manifest;
	const char *capability;
	int used = 0;

	if (!strcmp(word, "starting"))
		word = "running"; /* this is read later */
	if (field_strings_have(&ours->conflicts, other->name))
		used = snprintf(text, RIVALS_TEXT_BYTES, "%s conflicts with %s, which is %s",
				spec->name, other->name, word);
	else if (field_strings_have(&theirs->conflicts, spec->name))
		used = snprintf(text, RIVALS_TEXT_BYTES,
				"%s, which is %s, conflicts with %s by its manifest", other->name,
				word, spec->name);
	else if ((capability = contested(theirs, ours)))
		used = snprintf(
			text, RIVALS_TEXT_BYTES,
			"the capability \"%s\" of %s is held exclusively by %s, which is %s",
			capability, spec->name, other->name, word);
	else if ((capability = contested(ours, theirs)))
		used = snprintf(text, RIVALS_TEXT_BYTES,
				"%s wants the capability \"%s\" exclusively, and %s, which is %s, "
				"provides it",
				spec->name, capability, other->name, word);
	else
		return false;
	if (used > 0 && used < RIVALS_TEXT_BYTES)
		snprintf(text + used, RIVALS_TEXT_BYTES - (size_t)used,
			 "; that stays in force: first plugctl stop %s", other->name);
	return true;
}
