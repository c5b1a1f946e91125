#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/embedded.h"

static const char *const prefixes[] = {"#", "//", "--"};

#define PREFIX_COUNT (sizeof(prefixes) / sizeof(prefixes[0]))

struct line {
	const char *text;
	size_t length; /* without its newline, and without blanks at its end */
};

struct script {
	const char *at, *end;
	unsigned number; /* of the line that was read last, from 1 */
};

static bool
next_line(struct script *script, struct line *ret)
{
	const char *newline;
	size_t length;

	if (script->at == script->end)
		return false;
	newline = memchr(script->at, '\n', (size_t)(script->end - script->at));
	length = (size_t)((newline ? newline : script->end) - script->at);
	*ret = (struct line){script->at, length};
	while (ret->length && strchr(" \t\r", ret->text[ret->length - 1]))
		ret->length--;
	script->at += length + (newline != NULL);
	script->number++;
	return true;
}

static bool
begins_with(const struct line *line, const char *prefix)
{
	size_t length = strlen(prefix);

	return line->length >= length && !memcmp(line->text, prefix, length);
}

/* "PREFIX word" and nothing else. */
static bool
is_mark(const struct line *line, const char *prefix, const char *word)
{
	size_t before = strlen(prefix), length = strlen(word);

	return line->length == before + 1 + length && begins_with(line, prefix) &&
	       line->text[before] == ' ' && !memcmp(line->text + before + 1, word, length);
}

static bool
is_comment(const struct line *line)
{
	for (size_t i = 0; i < PREFIX_COUNT; i++)
		if (begins_with(line, prefixes[i]))
			return true;
	return !line->length;
}

static const char *
prefix_of_begin(const struct line *line)
{
	for (size_t i = 0; i < PREFIX_COUNT; i++)
		if (is_mark(line, prefixes[i], EMBEDDED_BEGIN))
			return prefixes[i];
	return NULL;
}

/* The marker of the beginning was read.  NULL: there is none in the comment at the head. */
static const char *
find_begin(struct script *script)
{
	struct line line;

	if (!next_line(script, &line) || !begins_with(&line, "#!"))
		return NULL;
	while (next_line(script, &line) && is_comment(&line)) {
		const char *prefix = prefix_of_begin(&line);

		if (prefix)
			return prefix;
	}
	return NULL;
}

/* Its text where it is in its line, the prefix as spaces.  False: it is no line of the block. */
static bool
put_line(char **out, const struct line *line, const char *prefix)
{
	size_t before = strlen(prefix);

	if (!begins_with(line, prefix) || (line->length > before && line->text[before] != ' '))
		return false;
	if (line->length > before) {
		memset(*out, ' ', before);
		memcpy(*out + before, line->text + before, line->length - before);
		*out += line->length;
	}
	*(*out)++ = '\n';
	return true;
}

static plug_err
take_block(struct script *script, const char *prefix, bool more, char **out, char *why)
{
	unsigned begin = script->number;
	struct line line;

	while (next_line(script, &line)) {
		if (is_mark(&line, prefix, EMBEDDED_END))
			return PLUG_OK;
		if (put_line(out, &line, prefix))
			continue;
		snprintf(
			why, EMBEDDED_WHY_BYTES,
			"line %u is inside the manifest that begins in line %u; expected \"%s\", a "
			"space and YAML, or \"%s " EMBEDDED_END "\"",
			script->number, begin, prefix, prefix);
		return PLUG_EINVAL;
	}
	if (more)
		snprintf(why, EMBEDDED_WHY_BYTES,
			 "the manifest that begins in line %u does not end within the first %u KiB "
			 "of the file; expected a line \"%s " EMBEDDED_END "\"",
			 begin, EMBEDDED_BYTES / 1024, prefix);
	else
		snprintf(why, EMBEDDED_WHY_BYTES,
			 "the manifest that begins in line %u has no end; expected a line "
			 "\"%s " EMBEDDED_END "\"",
			 begin, prefix);
	return more ? PLUG_ETOOLARGE : PLUG_EINVAL;
}

plug_err
script_manifest(const char *text, size_t size, bool more, char **ret_text, size_t *ret_size,
		char why[EMBEDDED_WHY_BYTES])
{
	struct script script = {.at = text, .end = text + size};
	const char *prefix = find_begin(&script);
	char *manifest, *out;
	plug_err err;

	if (!prefix)
		return PLUG_ENOTFOUND;
	out = manifest = malloc(size + 2); /* no line becomes longer; the last may lack its end */
	if (!manifest)
		return PLUG_ENOMEM;
	memset(out, '\n', script.number);
	out += script.number;
	err = take_block(&script, prefix, more, &out, why);
	if (err) {
		free(manifest);
		return err;
	}
	*out = '\0';
	*ret_text = manifest;
	*ret_size = (size_t)(out - manifest);
	return PLUG_OK;
}
