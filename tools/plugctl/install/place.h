/*
 * Putting a version into the store, whole or not at all, whenever this process is killed: see
 * store/layout.h for what is where.  Everything blocks on the disk.
 */
#ifndef PLUGCTL_INSTALL_PLACE_H
#define PLUGCTL_INSTALL_PLACE_H

#include "core/diag.h"
#include "install/fetch.h"
#include "store/layout.h"

struct progress;

struct install_order {
	struct store *store; /* locked */
	const char *source;  /* archive or folder */
	int source_fd;       /* of the archive; -1: a folder */
	uint64_t max_bytes;
	const char *sha256; /* that it must have; NULL: any */
	const char *name;   /* of the plugin that it must be; NULL: any */
	struct fetch_policy policy;
	struct progress *progress; /* may be NULL */
};

struct placed {
	char name[STORE_NAME_BYTES], version[STORE_VERSION_BYTES];
	char sha256[STORE_HEX_BYTES];
	char signed_by[MINISIGN_ID_BYTES]; /* "": nobody */
	bool already;                      /* it was installed before, from the same bytes */
	bool chosen;                       /* it is the chosen version now: there was none */
	bool environment;                  /* one was made */
	unsigned files;
	uint64_t bytes;
};

/*
 * Install it.  On failure the store is as it was; `diags` says what is wrong with the manifest, if
 * it is that, and else `why`.  PLUG_EEXIST is PLUG_ESTATE: that version is installed from other
 * bytes.
 */
plug_err place_version(const struct install_order *place, struct placed *ret, struct diags *diags,
		       struct reason *why);

/* The record of an installed version, to be freed; NULL with the reason. */
struct store_record *place_record(const struct store *store, const char *name, const char *version,
				  struct reason *why);

/* Is it as it was installed, every file of it?  `strict`: and nothing was added.  PLUG_EDENIED,
 * with the first difference. */
plug_err place_verify(const struct store *store, const char *name, const char *version, bool strict,
		      struct reason *why);

#endif
