/* Which store: plugd's, or one that is named, without a plugd. */
#ifndef PLUGCTL_INSTALL_WHERE_H
#define PLUGCTL_INSTALL_WHERE_H

#include "store/layout.h"
#include "verb.h"

struct where {
	struct store store;
	char path[PATH_MAX], keys[PATH_MAX];
	bool only_signed; /* plugd runs only what a trusted key has signed */
	bool has_plugd;   /* it uses this store */
};

#define WHERE_INIT                  \
	{                           \
		.store = STORE_INIT \
	}

/* --store and --keys, for the tables of options. */
#define WHERE_OPTIONS                                                                          \
	{"store", 0, "DIR", "this store, without asking plugd", COMPLETE_DIR},                 \
	{                                                                                      \
		"keys", 0, "DIR", "trusted keys of --store (DIR/keys beside it)", COMPLETE_DIR \
	}

enum where_access {
	WHERE_LOOK,   /* it need not be there: store.fd is then -1 */
	WHERE_READ,   /* it has to be there */
	WHERE_CHANGE, /* the same, locked and swept */
	WHERE_CREATE, /* made if it is missing, locked and swept */
};

/*
 * CTL_DONE, or the exit status after the reason was printed.  As root everything is done as the
 * store's owner from here on.  where_close() in any case.
 */
int where_open(struct ctl *ctl, const struct args *args, enum where_access access,
	       struct where *ret);
void where_close(struct where *where);

/* Is this path below the store? */
bool where_holds(const struct where *where, const char *path);

/* Others may change it from here on; plugd, above all. */
void where_unlock(struct where *where);

#endif
