/* The type of requires.packages: ["numpy >=1.26,<3", pyyaml]. */
#ifndef PLUGD_MANIFEST_PACKAGES_H
#define PLUGD_MANIFEST_PACKAGES_H

#include "core/fields.h"

extern const struct field_type field_packages; /* struct manifest_packages */

#endif
