/* The type of permissions: [observe, admin, call: NAME, call: [A, B]]. */
#ifndef PLUGD_MANIFEST_PERMISSIONS_H
#define PLUGD_MANIFEST_PERMISSIONS_H

#include "core/fields.h"

extern const struct field_type field_permissions; /* struct manifest_permissions */

#endif
