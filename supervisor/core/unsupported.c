#include "core/unsupported.h"

const struct field_unsupported unsupported_in_manifest[] = {
	{"run.instances", "1", "more than one instance of a plugin"},
	{"run.standby", "0", "standby instances"},
	{"run.watch", "false", "reload when a file changes"},
	{"run.user", NULL, "running as another user"},
	{"resources", NULL, "resource limits"},
	{"probe", NULL, "health probes"},
	{"provides.exclusive", NULL, "exclusive capabilities"},
	{"conflicts", NULL, "conflicts between plugins"},
	{"permissions", NULL, "permissions of instances"},
	{0},
};

const struct field_unsupported unsupported_in_settings[] = {
	{"watch", "false", "watching plugin directories"},
	{"load_order", NULL, "a start order by type"},
	{"allow_unsafe", "false", "running plugins that fail validation"},
	{"metrics", "false", "a metrics endpoint"},
	{"models", NULL, "the model table"},
	{0},
};
