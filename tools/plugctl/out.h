/*
 * What goes to stdout.  Nothing here blocks other than stdout itself.
 *
 * Text that plugins or files supplied is written with out_text(), which shows control characters
 * and invalid UTF-8 as \xNN when stdout is a terminal, so that no plugin can drive it.
 */
#ifndef PLUGCTL_OUT_H
#define PLUGCTL_OUT_H

#include <jansson.h>
#include <plug/error.h>
#include <plug/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum out_color { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_GREEN, OUT_YELLOW, OUT_RED };

/* Colour only on a terminal, and not with --no-color or NO_COLOR. */
void out_init(bool no_color);

bool out_is_terminal(void);
size_t out_width(void); /* of the terminal; SIZE_MAX when it is none */

void out_start(enum out_color color);
void out_end(enum out_color color);

/* Newlines and tabs are kept. */
void out_text(const char *text, size_t size);
void out_line(const char *text); /* and a newline */

/* The same to stderr. */
void out_error_text(const char *text, size_t size);

/* `memory`, unless it is NULL: then the program says that there is none and ends with 1, for half
 * an output is none.  What jansson allocates goes this way, too. */
void *out_must(void *memory);

/* out_text() into memory, always escaped, newlines too.  The caller frees it; never NULL. */
char *out_escape(const char *text, size_t size);

/* How a state is shown. */
enum out_color out_state_color(const char *state);

/* "  key           value", the value made safe; continuation lines align with it. */
void out_field(const char *key, const char *format, ...) PLUG_PRINTF(2, 3);

/* One document and a newline.  Takes it.  NULL: memory ran out, which ends the program. */
void out_json(json_t *document);

/* One line of a stream of documents, flushed.  Takes it. */
void out_json_line(json_t *document);

/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. */
json_t *out_json_text(const char *text);

/* Flush; false when something could not be written. */
bool out_finish(void);

#endif
