/*
 * What the manifest and plugd.yaml may say one day, and must not say yet.
 *
 * A later milestone that builds such a thing deletes its row, and nothing else.
 */
#ifndef PLUGD_UNSUPPORTED_H
#define PLUGD_UNSUPPORTED_H

#include "core/fields.h"

/* Paths from the root of a manifest, also of what plugd.yaml lays over one.  Ends with a NULL path.
 */
extern const struct field_unsupported unsupported_in_manifest[];

/* Paths from the root of plugd.yaml. */
extern const struct field_unsupported unsupported_in_settings[];

#endif
