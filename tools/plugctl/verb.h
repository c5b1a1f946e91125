/*
 * What plugctl can do, as data.  Usage, --help, completion and the manual page are all made from
 * these tables, so an option that is in none of them does not exist.
 */
#ifndef PLUGCTL_VERB_H
#define PLUGCTL_VERB_H

#include "args.h"
#include "ctl.h"

/* What a word on the command line may be completed to. */
enum complete {
	COMPLETE_NOTHING,
	COMPLETE_PLUGIN,  /* one plugin */
	COMPLETE_PLUGINS, /* any number of plugins */
	COMPLETE_CALL,    /* a plugin, then one of its methods */
	COMPLETE_FILE,
	COMPLETE_DIR,
	COMPLETE_TYPE, /* of a plugin */
	COMPLETE_VERB,
	COMPLETE_CONFIG, /* a subcommand of config, then a plugin */
};

/* A list of these ends with an entry whose name is NULL. */
struct option_spec {
	const char *name; /* without the dashes */
	char letter;      /* 0: none */
	const char *arg;  /* what is to be given, in capitals; NULL: a flag */
	const char *help; /* one line, lower case, no full stop */
	enum complete complete;
	enum args_kind kind;
};

/* Its value is the next word, always. */
static inline bool
option_takes_word(const struct option_spec *option)
{
	return option->arg && option->kind != ARGS_MAYBE_DURATION;
}

/* A list of these ends with an entry whose command is NULL. */
struct verb_example {
	const char *command, *text;
};

struct verb {
	const char *name;
	const char *args;                  /* "NAME…", as in the usage line; NULL: none */
	const char *summary;               /* one line, lower case, no full stop */
	const char *help;                  /* paragraphs, parted by empty lines */
	const struct option_spec *options; /* may be NULL */
	const struct verb_example *examples;
	enum complete complete; /* of the arguments */
	size_t min_args, max_args;
	bool paged; /* what it prints may be long: through $PAGER on a terminal */

	/* The exit status.  Everything it prints to stdout is through out.h. */
	int (*run)(struct ctl *ctl, const struct args *args);
};

#define VERB_ANY SIZE_MAX /* of max_args */

/* A plugin's command, which is a verb of this run, under the name or alias that was typed; or NULL.
 */
extern const struct verb *verb_added;
extern const char *verb_added_as;

/* In the order in which help shows them; ends with NULL. */
extern const struct verb *const verbs[];

/* Understood before and after every verb. */
extern const struct option_spec global_options[];

extern const char *const plugin_types[]; /* ends with NULL */

const struct verb *verb_named(const char *name);

/* The verb that was probably meant, or NULL. */
const char *verb_near(const char *name);

const struct option_spec *option_find(const struct option_spec *options, const char *name,
				      size_t length);
const struct option_spec *option_by_letter(const struct option_spec *options, char letter);

/* Exit statuses, for help and the manual page; ends with text NULL. */
struct exit_text {
	int status;
	const char *text;
};
extern const struct exit_text exit_texts[];

#endif
