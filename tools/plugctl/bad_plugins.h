/* Plugins and directories that plugd cannot use. */
#ifndef PLUGCTL_BAD_PLUGINS_H
#define PLUGCTL_BAD_PLUGINS_H

#include <jansson.h>

/* An array of bad_plugin_json(), to stderr: their errors, and what to do; nothing of an empty one.
 */
void bad_plugins_warn(const json_t *bad);

#endif
