/* How many active slots an operator wants of a plugin: kept in the state directory. */
#ifndef PLUGD_SCALE_H
#define PLUGD_SCALE_H

#include <plug/error.h>

#define SCALE_MAX 64 /* as of run.instances */

/* 0: nobody said anything, or what is kept cannot be read, which is logged. */
unsigned scale_load(int state_fd, const char *plugin);

/* 0: as the manifest says.  Waits for the disk.  PLUG_ESYS: it is not kept; errno says why. */
plug_err scale_store(int state_fd, const char *plugin, unsigned instances);

#endif
