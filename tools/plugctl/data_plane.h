/* Calls through channels, as status and stats show them. */
#ifndef PLUGCTL_DATA_PLANE_H
#define PLUGCTL_DATA_PLANE_H

#include <jansson.h>
#include <stdbool.h>

#include "codec.h"

/* Nothing for a plugin that never had a channel and offers none; NULL is allowed.  `details` adds
 * outcomes and times. */
void data_plane_show(const Plug__DataPlane *data, bool details);

/* NULL is allowed: all is 0. */
json_t *data_plane_json(const Plug__DataPlane *data);

#endif
