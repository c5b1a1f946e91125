#include "plugin/scale.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "os/statedir.h"

#define FILE_BYTES 16
#define NAME_BYTES 96

static void
file_name(const char *plugin, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "scale.%s", plugin);
}

unsigned
scale_load(int state_fd, const char *plugin)
{
	AUTO_FREE char *text = NULL;
	char name[NAME_BYTES], *end;
	unsigned long instances;
	size_t size;
	plug_err err;

	file_name(plugin, name);
	err = statedir_read(state_fd, name, FILE_BYTES, &text, &size);
	if (err == PLUG_ENOTFOUND)
		return 0;
	instances = err ? 0 : strtoul(text, &end, 10);
	if (!err && instances >= 1 && instances <= SCALE_MAX && !strcmp(end, "\n"))
		return (unsigned)instances;
	log_warn("%s in the state directory: %s; expected a number from 1 to %d; %s runs as many "
		 "instances as its manifest says, until plugctl scale",
		 name, err == PLUG_ESYS ? strerror(errno) : "cannot be used", SCALE_MAX, plugin);
	return 0;
}

plug_err
scale_store(int state_fd, const char *plugin, unsigned instances)
{
	char name[NAME_BYTES], text[FILE_BYTES];
	int length = snprintf(text, sizeof(text), "%u\n", instances);

	file_name(plugin, name);
	if (!instances)
		return statedir_remove(state_fd, name);
	return statedir_write(state_fd, name, text, (size_t)length);
}
