#include "core/bounds.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool
bounds_refuse(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, BOUNDS_ERR_BYTES, format, args);
	va_end(args);
	return false;
}

static enum bounds_op
scan_operator(const char **text)
{
	/* the longer ones before those they begin with */
	static const struct {
		const char *text;
		enum bounds_op op;
	} operators[] = {
		{"~=", BOUNDS_COMPATIBLE}, {">=", BOUNDS_GE},   {"<=", BOUNDS_LE},
		{"==", BOUNDS_EXACT},      {"!=", BOUNDS_NOT},  {">", BOUNDS_GT},
		{"<", BOUNDS_LT},          {"=", BOUNDS_EXACT}, {"^", BOUNDS_CARET},
		{"~", BOUNDS_TILDE},
	};

	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		size_t length = strlen(operators[i].text);

		if (!strncmp(*text, operators[i].text, length)) {
			*text += length;
			return operators[i].op;
		}
	}
	return BOUNDS_EXACT;
}

static void
skip(const char **text, const char *characters)
{
	*text += strspn(*text, characters);
}

bool
bounds_scan(const char *text, bounds_take take, void *context, char *why)
{
	bool comma = false;

	skip(&text, " \t");
	if (!*text)
		return bounds_refuse(why, "it is empty; * stands for any version");
	do {
		enum bounds_op op = scan_operator(&text);

		skip(&text, " \t");
		if (!take(context, op, &text, why))
			return false;
		if (*text && !strchr(", \t", *text) && !strchr("<>=!^~", *text))
			return bounds_refuse(why, "\"%.16s\" is neither a bound nor a separator",
					     text);
		skip(&text, " \t");
		comma = *text == ',';
		text += comma;
		skip(&text, " \t");
	} while (*text);
	return !comma || bounds_refuse(why, "a bound is missing after the last comma");
}
