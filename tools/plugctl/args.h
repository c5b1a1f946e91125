/* The command line of one verb, checked against its table. */
#ifndef PLUGCTL_ARGS_H
#define PLUGCTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGS_OPTIONS_MAX 64 /* options given in one command */

struct option_spec;
struct verb;

/* How the value of an option is checked. */
enum args_kind {
	ARGS_TEXT,
	ARGS_COUNT,          /* decimal, 0..2^31-1 */
	ARGS_DURATION,       /* "500ms", "1m30s"; a bare number is seconds */
	ARGS_MAYBE_DURATION, /* the same, which may be left out: then its number is 0 */
};

struct args_given {
	const struct option_spec *option;
	const char *text;
	uint64_t number; /* of ARGS_COUNT; of ARGS_DURATION in ms */
};

struct args {
	const struct verb *verb; /* NULL: none was named */
	const char **words;      /* positional, without the verb */
	size_t word_count;
	struct args_given given[ARGS_OPTIONS_MAX];
	size_t given_count;
};

/*
 * Parse argv[1..argc-1].  The first word is the verb.  words points into argv, which is reordered.
 * False after the reason was written to `why`.  An unknown verb is not an error here unless options
 * follow that only it could explain: `verb` is then NULL and words[0] is its name.
 */
bool args_parse(int argc, char **argv, struct args *ret, char *why, size_t why_size);

bool args_flag(const struct args *args, const char *name);

/* Of the last one given, or the fallback. */
const char *args_text(const struct args *args, const char *name, const char *fallback);
uint64_t args_number(const struct args *args, const char *name, uint64_t fallback);

/* "1m30s" or a bare number of seconds; false when it is neither. */
bool args_duration_ms(const char *text, uint64_t *ret_ms);

#endif
