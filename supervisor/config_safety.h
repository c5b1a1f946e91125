/* Who else decides what plugd runs.  Main thread; looks at files, reads none. */
#ifndef PLUGD_CONFIG_SAFETY_H
#define PLUGD_CONFIG_SAFETY_H

#include "core/settings.h"
#include "plugin/spec.h"

/*
 * A plugin is unsafe when everybody may write to its folder, its manifest, its program or a file
 * among its arguments.  False after an error was added for each; with allow_unsafe of the settings
 * a warning takes the place of the error.
 */
bool config_is_safe(const struct spec *spec, const struct settings *settings, struct diags *diags);

#endif
