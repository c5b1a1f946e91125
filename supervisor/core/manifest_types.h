/* The field types that only a manifest has. */
#ifndef PLUGD_MANIFEST_TYPES_H
#define PLUGD_MANIFEST_TYPES_H

#include "core/fields.h"

extern const struct field_type field_version;      /* struct manifest_version */
extern const struct field_type field_priority;     /* int64_t */
extern const struct field_type field_host;         /* struct manifest_host */
extern const struct field_type field_requirements; /* struct manifest_requirements */
extern const struct field_type field_provides;     /* struct manifest_provides */
extern const struct field_type field_date;         /* const char * */
extern const struct field_type field_url;          /* const char * */

extern const struct field_names field_programs;  /* a program: a name for PATH, or a path */
extern const struct field_names field_env_names; /* of environment variables */

#endif
