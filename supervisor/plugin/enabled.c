#include "plugin/enabled.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "os/statedir.h"

#define FILE_BYTES 16
#define NAME_BYTES 96

static const char *const words[ENABLED_COUNT] = {
	[ENABLED_UNSAID] = "", [ENABLED_YES] = "enabled\n", [ENABLED_NO] = "disabled\n"};

static void
file_name(const char *plugin, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "enable.%s", plugin);
}

enum enabled
enabled_load(int state_fd, const char *plugin)
{
	AUTO_FREE char *text = NULL;
	char name[NAME_BYTES];
	size_t size;
	plug_err err;

	file_name(plugin, name);
	err = statedir_read(state_fd, name, FILE_BYTES, &text, &size);
	if (err == PLUG_ENOTFOUND)
		return ENABLED_UNSAID;
	for (int one = ENABLED_YES; !err && one < ENABLED_COUNT; one++)
		if (!strcmp(text, words[one]))
			return (enum enabled)one;
	log_warn("%s in the state directory: %s; expected enabled or disabled; %s is treated as if "
		 "nobody had said anything, until plugctl enable or disable",
		 name, err == PLUG_ESYS ? strerror(errno) : "cannot be used", plugin);
	return ENABLED_UNSAID;
}

plug_err
enabled_store(int state_fd, const char *plugin, enum enabled enabled)
{
	char name[NAME_BYTES];

	file_name(plugin, name);
	if (enabled == ENABLED_UNSAID)
		return statedir_remove(state_fd, name);
	return statedir_write(state_fd, name, words[enabled], strlen(words[enabled]));
}
