/*
 * What a parser has to say, with the line it is about, as compilers show it:
 *
 *   plugd.yaml:4:14: error: plugins.gpt2.config.size: expected …
 *       4 |       size: 1000
 *         |             ^
 *
 * Values that may be secret are not shown.  Pure.
 */
#ifndef PLUGD_EXCERPT_H
#define PLUGD_EXCERPT_H

#include <stdbool.h>

#include "core/diag.h"

#define EXCERPT_BYTES 200 /* of a line that is shown */

/*
 * Keep the lines of this text that the entries about `file` are about.  `holds_values`: it may hold
 * values of plugins, so a line that looks as if one of them were secret is left out.
 */
void excerpt_keep(struct diags *diags, const char *file, const char *text, size_t length,
		  bool holds_values);

/* As diags_each(), and for an entry whose line was kept two lines more. */
void excerpt_each(const struct diags *diags, void (*line)(void *context, const char *text),
		  void *context);

#endif
