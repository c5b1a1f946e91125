/* What only several values of a manifest together can get wrong. */
#ifndef PLUGD_MANIFEST_CHECK_H
#define PLUGD_MANIFEST_CHECK_H

#include "core/fields.h"

/* The check of manifest_table; `dest` is a struct manifest. */
void manifest_check_together(struct field_ctx *ctx, const struct yaml_node *node, void *dest);

#endif
