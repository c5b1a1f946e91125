/*
 * What a parser has to say: errors and warnings, each with the place it is about.
 *
 * A list keeps the first DIAG_KEPT entries and counts the rest.  It copies everything it is given,
 * so it outlives the text that was parsed.  One thread at a time; nothing blocks.  When memory runs
 * out an entry may lose its text, never its count: `errors` decides whether something was accepted.
 */
#ifndef PLUGD_DIAG_H
#define PLUGD_DIAG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

#define DIAG_KEPT       100
#define DIAG_LINE_BYTES 1024 /* a formatted line is never longer, NUL included */

enum diag_severity {
	DIAG_ERROR,
	DIAG_WARNING,
	DIAG_NOTE, /* more about the one before */
};

/* line and column count from 1; the column counts characters.  Line 0: no place in a file. */
struct diag_pos {
	const char *file; /* a path, or a name such as "environment PLUGD_ECHO_SIZE" */
	unsigned line;
	unsigned column;
};

struct diag {
	enum diag_severity severity;
	struct diag_pos pos;
	const char *message;
	const struct diag *next;
	const char *excerpt; /* excerpt.h; NULL: the line was not kept */
	bool hidden;         /* what stands there may be a secret */
};

struct diags {
	struct arena arena;
	/* What goes on all the same, behind each error that is added from now on: "the settings
	 * before stay in force".  NULL: nothing is said.  The caller's, while errors are added. */
	const char *in_force;
	struct diag *first, *last;
	size_t kept;
	size_t errors;   /* all that were added, kept or not */
	size_t warnings; /* likewise */
	size_t notes;    /* kept ones */
};

void diags_init(struct diags *diags);
void diags_fini(struct diags *diags);

/* Say what was found, what was expected and, where there is one, what was probably meant. */
void diag_error(struct diags *diags, const struct diag_pos *pos, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void diag_warning(struct diags *diags, const struct diag_pos *pos, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

void diag_note(struct diags *diags, const struct diag_pos *pos, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The last one is about a value that may be a secret: no excerpt shows it. */
void diag_hide(struct diags *diags);

/*
 * "path/plugin.yaml:12:5: error: …" without a newline, cut at the end of the buffer.  It is UTF-8:
 * what is not, and control characters that came with the text, are shown as '?'.
 */
void diag_format(const struct diag *diag, char *buffer, size_t size);

/* Call `line` once per kept entry, formatted, and once more if others were dropped. */
void diags_each(const struct diags *diags, void (*line)(void *context, const char *text),
		void *context);

#endif
