/* What of a version is checked at every start: its manifest, its program, arguments that are files.
 */
#ifndef PLUGCTL_INSTALL_PIN_H
#define PLUGCTL_INSTALL_PIN_H

#include "core/manifest.h"
#include "os/reason.h"
#include "store/record.h"

#define PIN_MAX            128
#define PIN_ARGUMENT_BYTES (INT64_C(64) << 20) /* an argument that is larger is data */

struct pins {
	char *items[PIN_MAX]; /* "DIGEST  PATH" */
	size_t count;
};

/*
 * Of the plugin in `folder` (absolute, links resolved), whose manifest is in `file` there.
 * PLUG_EINVAL, with the reason: what it executes is outside its folder through a link; an
 * environment's own links are meant to be.
 */
plug_err pin_files(const struct manifest *manifest, const char *folder, const char *file,
		   struct pins *ret, struct reason *why);
void pins_fini(struct pins *pins);

#endif
