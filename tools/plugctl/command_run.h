/* A plugin's command: its words become a call, and pieces of the answer output. */
#ifndef PLUGCTL_COMMAND_RUN_H
#define PLUGCTL_COMMAND_RUN_H

#include "base/arena.h"
#include "command.h"

/* That of the verb that was made last. */
extern const Plug__Command *command_run_this;

/* The function of that verb. */
int command_run(struct ctl *ctl, const struct args *args);

/* Check the words and options against what the command declares, and fill the call with them; all
 * of it lives in the arena.  False after the reason was written to `why`. */
bool command_values(const Plug__Command *command, const struct args *args, struct arena *arena,
		    Plug__CommandCall *call, char *why, size_t why_size);

#endif
