#include "bad_plugins.h"

#include <stdio.h>
#include <stdlib.h>

#include "out.h"

static void
warn_line(const json_t *text)
{
	char *safe = out_escape(json_string_value(text), json_string_length(text));

	fprintf(stderr, "%s\n", safe ? safe : "");
	free(safe);
}

void
bad_plugins_warn(const json_t *bad)
{
	size_t i, j;
	json_t *one, *error;

	json_array_foreach(bad, i, one)
	{
		json_array_foreach(json_object_get(one, "errors"), j, error) warn_line(error);
		if (j == 0)
			warn_line(json_object_get(one, "path"));
	}
	if (i)
		fprintf(stderr,
			"plugctl: %zu %s cannot be used; correct what is named above and run "
			"`plugctl reread`\n",
			i, i == 1 ? "plugin or directory" : "plugins or directories");
}
