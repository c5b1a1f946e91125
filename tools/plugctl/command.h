/*
 * Commands that plugins add: asked of plugd, and each made into a verb, so that options, help and
 * errors are those of any other verb.
 */
#ifndef PLUGCTL_COMMAND_H
#define PLUGCTL_COMMAND_H

#include "ctl.h"
#include "verb.h"

struct command_list {
	Plug__Command **items; /* by plugin */
	size_t count;
};

/*
 * Those of this name or alias (NULL: all) and plugin (NULL: of all).  CTL_DONE, or the exit status
 * after the failure was printed.  *ret is released with command_list_fini() in any case.
 */
int command_list_ask(struct ctl *ctl, const char *word, const char *plugin,
		     struct command_list *ret);

/* The same where it is no failure that there is no plugd: false, and nothing is printed. */
bool command_list_try(struct ctl *ctl, const char *word, struct command_list *ret);

void command_list_fini(struct command_list *list);

/* The command as a verb, which runs it.  It refers to `command`, and is the caller's: free it with
 * command_verb_free(), which takes NULL, too. */
const struct verb *command_verb(const Plug__Command *command);
void command_verb_free(const struct verb *verb);

/* The first line of its help, at most `size` - 1 bytes. */
void command_summary(const Plug__Command *command, char *text, size_t size);

/* "commands of plugins:", for `plugctl help`; nothing where there are none or plugd is not there.
 */
void command_help_all(struct ctl *ctl, FILE *to);

#endif
