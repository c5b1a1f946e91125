/* Installing, as `install` and `upgrade` do it. */
#ifndef PLUGCTL_INSTALL_H
#define PLUGCTL_INSTALL_H

#include "install/place.h"
#include "install/where.h"

/* Of both verbs, for their tables. */
#define INSTALL_OPTIONS                                                                     \
	{"sha256", 0, "HEX", "refuse it if the archive's SHA-256 is another one"},          \
		{"key", 0, "KEY",                                                           \
		 "only if this key has signed it: a minisign .pub file, or its base64",     \
		 COMPLETE_FILE},                                                            \
		{"signature", 0, "FILE", "its signature (ARCHIVE.minisig)", COMPLETE_FILE}, \
		{"no-signature", 0, NULL, "take it as one that is not signed"},             \
	{                                                                                   \
		"max-size", 0, "SIZE", "the most that it may unpack to (8GiB)"              \
	}

/*
 * Install `source` into the store of the options, which is locked afterwards.  `name`: only this
 * plugin; NULL: any.  CTL_DONE, or the exit status after the reason was printed.  where_close() in
 * any case.
 */
int install_take(struct ctl *ctl, const struct args *args, const char *source, const char *name,
		 struct where *where, struct placed *ret);

/* What was done, for people, and as a document; the caller's. */
void install_say(const struct placed *placed);
json_t *install_json(const struct placed *placed, const struct where *where);

#endif
