#include "core/diag.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define ARENA_BYTES ((size_t)512 * 1024)

static const char no_memory[] = "out of memory while reporting this";

void
diags_init(struct diags *diags)
{
	*diags = (struct diags){0};
	arena_init(&diags->arena, ARENA_BYTES);
}

void
diags_fini(struct diags *diags)
{
	arena_fini(&diags->arena);
	diags_init(diags);
}

static const char *
keep_file(struct diags *diags, const char *file)
{
	const char *copy;

	if (diags->last && file && !strcmp(diags->last->pos.file, file))
		return diags->last->pos.file;
	copy = arena_strdup(&diags->arena, file);
	return copy ? copy : "";
}

/* A message that fills the line loses its end rather than this. */
static void
say_in_force(char *message, size_t size, const char *in_force)
{
	size_t used = strlen(message), length = strlen(in_force) + sizeof("; ");
	size_t most = size / 2 > length ? size / 2 - length : 0; /* the place takes room, too */

	used = used > most ? most : used;
	snprintf(message + used, size - used, "; %s", in_force);
}

static void
add(struct diags *diags, enum diag_severity severity, const struct diag_pos *pos,
    const char *format, va_list args)
{
	struct diag *diag;
	char message[DIAG_LINE_BYTES];

	if (severity == DIAG_NOTE
		    ? diags->notes >= DIAG_KEPT || diags->errors + diags->warnings > diags->kept
		    : diags->kept >= DIAG_KEPT)
		return;
	diag = arena_alloc(&diags->arena, sizeof(*diag));
	if (!diag)
		return;
	vsnprintf(message, sizeof(message), format, args);
	if (severity == DIAG_ERROR && diags->in_force)
		say_in_force(message, sizeof(message), diags->in_force);
	diag->severity = severity;
	diag->pos = *pos;
	diag->pos.file = keep_file(diags, pos->file);
	diag->message = arena_strdup(&diags->arena, message);
	if (!diag->message)
		diag->message = no_memory;
	if (diags->last)
		diags->last->next = diag;
	else
		diags->first = diag;
	diags->last = diag;
	if (severity == DIAG_NOTE)
		diags->notes++;
	else
		diags->kept++;
}

void
diag_error(struct diags *diags, const struct diag_pos *pos, const char *format, ...)
{
	va_list args;

	diags->errors++;
	va_start(args, format);
	add(diags, DIAG_ERROR, pos, format, args);
	va_end(args);
}

void
diag_warning(struct diags *diags, const struct diag_pos *pos, const char *format, ...)
{
	va_list args;

	diags->warnings++;
	va_start(args, format);
	add(diags, DIAG_WARNING, pos, format, args);
	va_end(args);
}

void
diag_note(struct diags *diags, const struct diag_pos *pos, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(diags, DIAG_NOTE, pos, format, args);
	va_end(args);
}

void
diag_hide(struct diags *diags)
{
	if (diags->last)
		diags->last->hidden = true;
}

/* Whoever reads this may be a terminal: what a file or an option holds must not steer it.  And a
 * name may have been cut in the middle of a character, or never have been text. */
static void
make_printable(char *text)
{
	utf8_clean(text, strlen(text));
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void
diag_format(const struct diag *diag, char *buffer, size_t size)
{
	static const char *const words[] = {
		[DIAG_ERROR] = "error", [DIAG_WARNING] = "warning", [DIAG_NOTE] = "note"};
	const char *word = words[diag->severity];

	if (!size)
		return;
	if (diag->pos.line)
		snprintf(buffer, size, "%s:%u:%u: %s: %s", diag->pos.file, diag->pos.line,
			 diag->pos.column, word, diag->message);
	else
		snprintf(buffer, size, "%s: %s: %s", diag->pos.file, word, diag->message);
	make_printable(buffer);
}

void
diags_each(const struct diags *diags, void (*line)(void *context, const char *text), void *context)
{
	char buffer[DIAG_LINE_BYTES];
	size_t dropped = diags->errors + diags->warnings - diags->kept;

	for (const struct diag *diag = diags->first; diag; diag = diag->next) {
		diag_format(diag, buffer, sizeof(buffer));
		line(context, buffer);
	}
	if (dropped) {
		snprintf(buffer, sizeof(buffer), "and %zu more", dropped);
		line(context, buffer);
	}
}
