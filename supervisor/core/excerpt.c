#include "core/excerpt.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

#define SHOWN_BYTES (EXCERPT_BYTES + 64)

/* The line of this number, from 1; its length in *ret_length.  NULL: there is none. */
static const char *
find_line(const char *text, size_t length, unsigned number, size_t *ret_length)
{
	const char *end = text + length;

	for (unsigned i = 1; text < end; i++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end;

		if (i == number) {
			*ret_length = (size_t)(stop - text);
			return text;
		}
		text = newline ? newline + 1 : end;
	}
	return NULL;
}

/* Bytes before the column, which counts characters. */
static size_t
bytes_before(const char *line, size_t length, unsigned column)
{
	size_t at = 0;

	while (at < length && column-- > 1) {
		size_t bytes = utf8_sequence(line + at, length - at);

		at += bytes ? bytes : 1;
	}
	return at;
}

static bool
looks_secret(const char *line, size_t length)
{
	static const char *const words[] = {"key",   "secret",     "token",
					    "passw", "credential", "auth"};

	for (size_t i = 0; i < length; i++)
		for (size_t j = 0; j < sizeof(words) / sizeof(*words); j++)
			if (length - i >= strlen(words[j]) &&
			    !strncasecmp(line + i, words[j], strlen(words[j])))
				return true;
	return false;
}

/* The end of a key that begins there; the same place: none does. */
static size_t
end_of_key(const char *line, size_t length, size_t at)
{
	size_t end = at;

	while (end < length && (isalnum((unsigned char)line[end]) || strchr("_-.", line[end])))
		end++;
	return end < length && line[end] == ':' ? end + 1 : at;
}

void
excerpt_keep(struct diags *diags, const char *file, const char *text, size_t length,
	     bool holds_values)
{
	for (struct diag *diag = diags->first; diag; diag = (struct diag *)(uintptr_t)diag->next) {
		size_t size, shown;
		const char *line;

		if (!diag->pos.line || diag->excerpt || strcmp(diag->pos.file, file))
			continue;
		line = find_line(text, length, diag->pos.line, &size);
		if (!line || (holds_values && !diag->hidden && looks_secret(line, size)))
			continue;
		shown = size < EXCERPT_BYTES ? size : EXCERPT_BYTES;
		if (diag->hidden) {
			size_t at = bytes_before(line, size, diag->pos.column);

			shown = end_of_key(line, size, at);
		}
		diag->excerpt = arena_printf(&diags->arena, "%.*s%s", (int)shown, line,
					     diag->hidden   ? " ***"
					     : shown < size ? "…"
							    : "");
	}
}

/* Blanks up to the column; a tab stays one, so that the caret stands right. */
static void
draw_caret(const struct diag *diag, char *buffer, size_t size)
{
	size_t length = strlen(diag->excerpt), used = 0;
	size_t stop = bytes_before(diag->excerpt, length, diag->pos.column);

	used = (size_t)snprintf(buffer, size, "      | ");
	for (size_t at = 0; at < stop && used + 2 < size;) {
		size_t bytes = utf8_sequence(diag->excerpt + at, length - at);

		buffer[used++] = diag->excerpt[at] == '\t' ? '\t' : ' ';
		at += bytes ? bytes : 1;
	}
	buffer[used++] = '^';
	buffer[used] = '\0';
}

static void
show(const struct diag *diag, void (*line)(void *context, const char *text), void *context)
{
	char buffer[SHOWN_BYTES];

	snprintf(buffer, sizeof(buffer), "%5u | %s", diag->pos.line, diag->excerpt);
	utf8_clean(buffer, strlen(buffer));
	for (char *at = buffer; *at; at++)
		if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f)
			*at = '?';
	line(context, buffer);
	draw_caret(diag, buffer, sizeof(buffer));
	line(context, buffer);
}

void
excerpt_each(const struct diags *diags, void (*line)(void *context, const char *text),
	     void *context)
{
	char buffer[DIAG_LINE_BYTES];
	size_t dropped = diags->errors + diags->warnings - diags->kept;

	for (const struct diag *diag = diags->first; diag; diag = diag->next) {
		diag_format(diag, buffer, sizeof(buffer));
		line(context, buffer);
		if (diag->excerpt)
			show(diag, line, context);
	}
	if (dropped) {
		snprintf(buffer, sizeof(buffer), "and %zu more", dropped);
		line(context, buffer);
	}
}
