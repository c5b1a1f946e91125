#include "config_safety.h"

#include <string.h>
#include <sys/stat.h>

#include "plugin/version.h"

/* In a folder with the sticky bit everybody may write, but not replace what others own. */
static bool
everybody_may_change(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !(st.st_mode & S_IWOTH))
		return false;
	return S_ISREG(st.st_mode) || (S_ISDIR(st.st_mode) && !(st.st_mode & S_ISVTX));
}

struct look {
	const struct spec *spec;
	const struct settings *settings;
	struct diags *diags;
};

static void
look_at(void *context, const char *path)
{
	static const char text[] =
		"%s: found that everybody may write to it, and so decide what plugd runs; expected "
		"that only its owner may: chmod o-w it%s";
	const struct look *look = context;
	const struct diag_pos pos = {.file = look->spec->path, .line = 1, .column = 1};

	if (!everybody_may_change(path))
		return;
	if (look->settings->allow_unsafe)
		diag_warning(look->diags, &pos, text, path,
			     "; it is run all the same: allow_unsafe");
	else
		diag_error(look->diags, &pos, text, path,
			   ", or say allow_unsafe: true in plugd.yaml");
}

bool
config_is_safe(const struct spec *spec, const struct settings *settings, struct diags *diags)
{
	struct look look = {spec, settings, diags};
	size_t errors = diags->errors;

	look_at(&look, spec->folder);
	if (strcmp(spec->program, spec->path) != 0) /* a plugin in one file is its program */
		look_at(&look, spec->path);
	version_each_file(spec, look_at, &look);
	return diags->errors == errors;
}
