#include "out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/utf8.h"

#define FIELD_INDENT 2
#define FIELD_WIDTH  14

static bool is_terminal, colored;

void *
out_must(void *memory)
{
	if (memory)
		return memory;
	fputs("plugctl: out of memory\n", stderr);
	exit(1);
}

static void *
json_memory(size_t size)
{
	return out_must(malloc(size));
}

void
out_init(bool no_color)
{
	const char *unwanted = getenv("NO_COLOR"), *term = getenv("TERM");

	is_terminal = isatty(STDOUT_FILENO);
	colored = is_terminal && !no_color && !(unwanted && *unwanted) &&
		  !(term && strcmp(term, "dumb") == 0);
	json_set_alloc_funcs(json_memory, free);
}

bool
out_is_terminal(void)
{
	return is_terminal;
}

size_t
out_width(void)
{
	struct winsize size;

	if (!is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return SIZE_MAX;
	return size.ws_col;
}

void
out_start(enum out_color color)
{
	static const char *const codes[] = {"", "1", "2", "32", "33", "31"};

	if (colored && color != OUT_PLAIN)
		printf("\033[%sm", codes[color]);
}

void
out_end(enum out_color color)
{
	if (colored && color != OUT_PLAIN)
		fputs("\033[0m", stdout);
}

enum out_color
out_state_color(const char *state)
{
	static const struct {
		const char *state;
		enum out_color color;
	} colors[] = {
		{"ready", OUT_GREEN},     {"starting", OUT_YELLOW}, {"draining", OUT_YELLOW},
		{"stopping", OUT_YELLOW}, {"backoff", OUT_YELLOW},  {"failed", OUT_RED},
		{"quarantined", OUT_RED}, {"stuck", OUT_RED},       {"stopped", OUT_DIM},
		{"disabled", OUT_DIM},    {"disabled", OUT_DIM},
	};

	for (size_t i = 0; i < sizeof(colors) / sizeof(*colors); i++)
		if (strcmp(colors[i].state, state) == 0)
			return colors[i].color;
	return OUT_PLAIN;
}

/* ---- text ---- */

/* Bytes at `text` that can be shown as they are; 0: the first byte cannot. */
static size_t
harmless(const char *text, size_t left, bool newlines)
{
	size_t length = utf8_sequence(text, left);
	unsigned char first = (unsigned char)text[0];

	if (length == 1 && (first == '\n' || first == '\t'))
		return newlines || first == '\t';
	if ((length == 1 && (first < ' ' || first == 0x7f)) ||
	    (length == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0))
		return 0; /* C0, DEL, C1 */
	return length;
}

static void
escape_to(FILE *to, const char *text, size_t size, bool newlines)
{
	size_t at = 0, length;

	while (at < size) {
		length = harmless(text + at, size - at, newlines);
		if (length)
			fwrite(text + at, 1, length, to);
		else
			fprintf(to, "\\x%02x", (unsigned char)text[at]);
		at += length ? length : 1;
	}
}

char *
out_escape(const char *text, size_t size)
{
	char *escaped = NULL;
	size_t escaped_size;
	FILE *to = out_must(open_memstream(&escaped, &escaped_size));

	escape_to(to, text, size, false);
	return out_must(fclose(to) ? NULL : escaped);
}

void
out_text(const char *text, size_t size)
{
	if (is_terminal)
		escape_to(stdout, text, size, true);
	else
		fwrite(text, 1, size, stdout);
}

void
out_error_text(const char *text, size_t size)
{
	if (isatty(STDERR_FILENO))
		escape_to(stderr, text, size, true);
	else
		fwrite(text, 1, size, stderr);
}

void
out_line(const char *text)
{
	out_text(text, strlen(text));
	putchar('\n');
}

void
out_field(const char *key, const char *format, ...)
{
	char *value = NULL;
	const char *line, *end;
	va_list args;

	va_start(args, format);
	value = out_must(vasprintf(&value, format, args) < 0 ? NULL : value);
	va_end(args);
	for (line = value; line; line = end ? end + 1 : NULL) {
		end = strchr(line, '\n');
		printf("%*s", FIELD_INDENT, "");
		out_start(OUT_DIM);
		printf("%-*s", FIELD_WIDTH, line == value ? key : "");
		out_end(OUT_DIM);
		putchar(' ');
		out_text(line, end ? (size_t)(end - line) : strlen(line));
		putchar('\n');
	}
	free(value);
}

/* ---- JSON ---- */

static void
dump(json_t *document, size_t flags)
{
	if (!document || json_dumpf(document, stdout, flags | JSON_ENCODE_ANY) != 0) {
		fputs("plugctl: no memory for the JSON document\n", stderr);
		exit(1);
	}
	putchar('\n');
	json_decref(document);
}

void
out_json(json_t *document)
{
	dump(document, is_terminal ? JSON_INDENT(2) : JSON_COMPACT);
}

void
out_json_line(json_t *document)
{
	dump(document, JSON_COMPACT);
	fflush(stdout);
}

json_t *
out_json_text(const char *text)
{
	json_t *json = json_string(text);
	size_t size = strlen(text), at = 0, length, used = 0;
	char *repaired;

	if (json)
		return json;
	repaired = out_must(malloc(3 * size + 1));
	while (at < size) {
		length = utf8_sequence(text + at, size - at);
		memcpy(repaired + used, length ? text + at : "\xef\xbf\xbd", length ? length : 3);
		used += length ? length : 3;
		at += length ? length : 1;
	}
	json = json_stringn(repaired, used);
	free(repaired);
	return json;
}

bool
out_finish(void)
{
	return fflush(stdout) == 0 && !ferror(stdout);
}
