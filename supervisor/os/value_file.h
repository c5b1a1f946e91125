/* A value of a configuration that is in a file of its own: a secret, mostly. */
#ifndef PLUGD_VALUE_FILE_H
#define PLUGD_VALUE_FILE_H

#include "base/arena.h"

#define VALUE_FILE_BYTES (48u * 1024)

/*
 * What it holds, without one newline at its end, in the arena.  Links are followed, as
 * orchestrators use them for secrets; anything but a regular file is refused.  NULL, with `why` of
 * `size` bytes.
 */
const char *value_file_read(const char *path, struct arena *arena, char *why, size_t size);

#endif
