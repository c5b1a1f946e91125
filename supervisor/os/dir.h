/* Reading a directory without allocating. */
#ifndef PLUGD_DIR_H
#define PLUGD_DIR_H

#include <stdbool.h>

/* `type` is a DT_* of dirent.h, DT_UNKNOWN on some file systems.  false ends the listing. */
typedef bool (*dir_on_entry)(void *context, int dir_fd, const char *name, int type);

/*
 * Call for each entry but "." and "..", in no order.  `path` is relative to dir_fd ("." is dir_fd
 * itself, whose offset is left alone) and not followed if a link; the descriptor given to the
 * callback is the directory's and closed afterwards.  Entries may be removed meanwhile.  -1 with
 * errno when it cannot be read.
 */
int dir_each(int dir_fd, const char *path, dir_on_entry on_entry, void *context);

#endif
