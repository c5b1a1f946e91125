#include "core/unsupported.h"

const struct field_unsupported unsupported_in_manifest[] = {
	{0},
};

const struct field_unsupported unsupported_in_settings[] = {
	{"metrics", "false", "a metrics endpoint"},
	{0},
};
