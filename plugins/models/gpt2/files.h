/* The files of a model directory, read whole. */
#ifndef GPT2_FILES_H
#define GPT2_FILES_H

#include "failure.h"

#include <jansson.h>
#include <stddef.h>

/* `dir`/`name` in memory that the caller frees; NULL without memory. */
char *path_join(const char *dir, const char *name);

/*
 * Read a regular file of at most `limit` bytes.  *ret_data ends with a NUL that *ret_size does not
 * count; the caller frees it.
 */
int file_read(const char *path, size_t limit, char **ret_data, size_t *ret_size,
	      struct failure *failure);

/*
 * Parse `path` as one JSON object of at most `limit` bytes; a key given twice is refused.
 * The caller owns *ret_object.
 */
int file_read_json(const char *path, size_t limit, json_t **ret_object, struct failure *failure);

#endif
