/*
 * The store, as plugd sees it: which directory it is, what was pinned for a plugin of it, which
 * version is to be read.  Main thread; reads small files.
 */
#ifndef PLUGD_CONFIG_STORE_H
#define PLUGD_CONFIG_STORE_H

#include <limits.h>

#include "core/settings.h"
#include "plugin/spec.h"
#include "store/keys.h"

struct options;

struct config_store {
	char dir[PATH_MAX], keys_dir[PATH_MAX]; /* absolute; neither need be there */
	bool require_signature;
	char unsafe[PATH_MAX + 128]; /* why nothing of it may be run; "": it may */
	struct store_keys keys;      /* read when one is needed */
	bool keys_known;
};

/* config_store_fini() in any case. */
void config_store_init(struct config_store *store, const struct options *options,
		       const struct settings *settings);
void config_store_fini(struct config_store *store);

/*
 * If this spec's plugin is in the store, what was pinned is its own from now on; `text` is its
 * manifest as it was read.  False after an error was added: it was not installed, or changed since,
 * or nobody who is trusted has signed it.
 */
bool config_store_pin(struct config_store *store, struct spec *spec, const char *text, size_t size,
		      struct diags *diags);

/*
 * The folder from which a plugin is to be read anew: its own, or in the store that of the version
 * asked for; NULL: of the chosen one.  False after an error was added.
 */
bool config_store_folder(const struct config_store *store, const struct spec *spec,
			 const char *version, char folder[PATH_MAX], struct diags *diags);

#endif
