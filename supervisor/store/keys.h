/*
 * Public keys that are trusted: files *.pub in a directory, as minisign -G writes them.  Who may
 * write there decides what may be installed.  Reads the directory; small.
 */
#ifndef PLUGD_STORE_KEYS_H
#define PLUGD_STORE_KEYS_H

#include "store/minisign.h"

#define STORE_KEYS_MAX 256

struct store_keys {
	struct minisign_key *items;
	size_t count;
	char trouble[256]; /* "" or a file that is no key; it is left out */
};

/* A directory that is not there holds none.  PLUG_EDENIED: others may write to it, or own it.
 * PLUG_ENOMEM, PLUG_ESYS, with the reason. */
plug_err store_keys_read(const char *dir, struct store_keys *ret, struct reason *why);
void store_keys_fini(struct store_keys *keys);

/* NULL: no key with this id. */
const struct minisign_key *store_keys_find(const struct store_keys *keys,
					   const unsigned char id[8]);
/* The same by the id's text. */
bool store_keys_have(const struct store_keys *keys, const char *id_text);

#endif
