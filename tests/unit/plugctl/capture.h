/* What a function prints to stdout, as a file or a terminal would see it. */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stddef.h>

/* Run fn with stdout a file, or a terminal of so many columns (0: a file).  The text is the
 * caller's. */
char *capture(void (*fn)(void *), void *arg, unsigned columns, size_t *ret_size);

#endif
