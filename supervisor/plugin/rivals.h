/* Plugins that must not run side by side: conflicts, and capabilities that one of them holds alone.
 */
#ifndef PLUGD_RIVALS_H
#define PLUGD_RIVALS_H

#include "plugin/spec.h"

#define RIVALS_TEXT_BYTES 512

/*
 * True when `spec` must not run beside `other`; `text` then says why and names both, as in "it
 * conflicts with b, which is ready; stop that first: plugctl stop b".  `word` is the state of
 * `other`.
 */
bool rivals_text(const struct spec *spec, const struct spec *other, const char *word,
		 char text[RIVALS_TEXT_BYTES]);

#endif
