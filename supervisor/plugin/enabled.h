/* Whether an operator wants a plugin: plugctl enable and disable, kept in the state directory. */
#ifndef PLUGD_ENABLED_H
#define PLUGD_ENABLED_H

#include <plug/error.h>

/* Goes over an upgrade as a number: append only. */
enum enabled { ENABLED_UNSAID, ENABLED_YES, ENABLED_NO, ENABLED_COUNT };

/* ENABLED_UNSAID: nobody said anything, or what is kept cannot be read, which is logged. */
enum enabled enabled_load(int state_fd, const char *plugin);

/* Waits for the disk.  PLUG_ESYS: it is not kept; errno says why. */
plug_err enabled_store(int state_fd, const char *plugin, enum enabled enabled);

#endif
