/* A plugin that is one executable file, with its manifest inside. */
#ifndef PLUGCTL_INSTALL_SINGLE_H
#define PLUGCTL_INSTALL_SINGLE_H

#include <stdbool.h>

#include "os/reason.h"

/* Is it a program or a script, rather than an archive? */
bool single_file_is(int fd);

/* Copy it, from its beginning, into the folder `tree_fd` under a name, so that it can be executed.
 * PLUG_ESYS */
plug_err single_file_take(int fd, const char *name, int tree_fd, struct reason *why);

#endif
