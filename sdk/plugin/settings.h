/* The effective config as WELCOME brought it.  Written once before on_start, read by any thread. */
#ifndef PLUG_SDK_SETTINGS_H
#define PLUG_SDK_SETTINGS_H

#include <plug/error.h>
#include <stddef.h>

#include "plug.pb-c.h"

struct settings {
	struct setting *entries;
	size_t count;
};

/* Copies everything.  PLUG_ENOMEM. */
plug_err plugp_settings_load(struct settings *settings, Plug__ConfigEntry *const *entries,
			     size_t count);

void plugp_settings_fini(struct settings *settings);

#endif
