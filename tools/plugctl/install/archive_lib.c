#include "install/archive_lib.h"

#include <dlfcn.h>
#include <stdbool.h>

/* Of libarchive 3. */
#define SONAME "libarchive.so.13"

_Static_assert(ARCHIVE_VERSION_NUMBER / 1000000 == 3, "another libarchive has another name");

static plug_err
find(void *library, void *function, const char *name, struct reason *why)
{
	void *found = dlsym(library, name);

	if (!found)
		return reason_set(why, PLUG_EUNAVAILABLE,
				  "this machine's " SONAME
				  " has no %s: expected that of libarchive "
				  "%s or later (Debian: libarchive13)",
				  name, ARCHIVE_VERSION_ONLY_STRING);
	*(void **)function = found;
	return PLUG_OK;
}

const struct archive_lib *
archive_lib_load(struct reason *why)
{
	static struct archive_lib lib;
	static bool loaded;
	void *library = loaded ? NULL : dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	plug_err err = PLUG_OK;

	if (loaded)
		return &lib;
	if (!library) {
		reason_set(why, PLUG_EUNAVAILABLE,
			   "plugins are unpacked and copied by libarchive (Debian: libarchive13), "
			   "which cannot be loaded; nothing was changed: install it: %s",
			   dlerror());
		return NULL;
	}
#define CALL(name) err = err ? err : find(library, &lib.name, #name, why);
	ARCHIVE_LIB_CALLS(CALL)
#undef CALL
	if (err) {
		dlclose(library);
		return NULL;
	}
	loaded = true;
	return &lib;
}
