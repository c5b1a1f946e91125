/* File systems that others change without this kernel's knowing. */
#ifndef PLUGD_REMOTE_H
#define PLUGD_REMOTE_H

#include <stdbool.h>

/* True for network and user-space file systems: inotify does not tell of all that changes there. */
bool remote_is(const char *path);

#endif
