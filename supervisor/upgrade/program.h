/* The file that this program was started from, by the name that it was started with. */
#ifndef PLUGD_UPGRADE_PROGRAM_H
#define PLUGD_UPGRADE_PROGRAM_H

#include <stddef.h>

/*
 * An absolute path: argv0, or what it stands for in PATH, if that leads to what is executed, with
 * its symbolic links, for these may be turned to a newer one; else where the kernel has found it.
 * "" when it is not known.
 */
void program_find(const char *argv0, char *path, size_t size);

#endif
