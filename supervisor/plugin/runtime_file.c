#include "plugin/runtime_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "os/statedir.h"

#define NAME_BYTES 96

static void
file_name(const char *plugin, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "config.%s", plugin);
}

struct runtime *
runtime_file_load(int state_fd, const char *plugin, struct diags *diags)
{
	AUTO_FREE char *text = NULL;
	char name[NAME_BYTES];
	struct diag_pos pos = {.file = name};
	struct runtime *empty;
	size_t size;
	plug_err err = PLUG_ENOTFOUND;

	file_name(plugin, name);
	if (state_fd >= 0)
		err = statedir_read(state_fd, name, RUNTIME_BYTES, &text, &size);
	if (err == PLUG_ENOTFOUND) {
		empty = runtime_new();
		if (!empty)
			diag_error(diags, &pos, "out of memory");
		return empty;
	}
	if (!err)
		return runtime_parse(&(struct yaml_source){name, text, size}, diags);
	diag_error(diags, &pos, "%s; expected a file in the state directory that plugd can read",
		   err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
	return NULL;
}

plug_err
runtime_file_store(int state_fd, const char *plugin, const struct runtime *runtime)
{
	AUTO_FREE char *text = NULL;
	char name[NAME_BYTES];
	size_t size;

	file_name(plugin, name);
	if (!runtime->last_number)
		return statedir_remove(state_fd, name);
	text = runtime_format(runtime, &size);
	return text ? statedir_write(state_fd, name, text, size) : PLUG_ENOMEM;
}

plug_err
runtime_file_prepare(int state_fd, const char *plugin, const struct runtime *runtime)
{
	AUTO_FREE char *text = NULL;
	char name[NAME_BYTES];
	size_t size;

	file_name(plugin, name);
	text = runtime_format(runtime, &size);
	return text ? statedir_prepare(state_fd, name, text, size) : PLUG_ENOMEM;
}

plug_err
runtime_file_commit(int state_fd, const char *plugin, const struct runtime *runtime)
{
	char name[NAME_BYTES];

	file_name(plugin, name);
	if (!statedir_commit(state_fd, name))
		return PLUG_OK;
	return runtime_file_store(state_fd, plugin, runtime);
}

void
runtime_file_discard(int state_fd, const char *plugin)
{
	char name[NAME_BYTES];

	file_name(plugin, name);
	statedir_discard(state_fd, name);
}
