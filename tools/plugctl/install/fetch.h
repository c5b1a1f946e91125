/*
 * An archive as it is to be installed: a private copy, so that what was checked is what is
 * unpacked, whoever writes to the original meanwhile; its digests; and who signed it.
 */
#ifndef PLUGCTL_INSTALL_FETCH_H
#define PLUGCTL_INSTALL_FETCH_H

#include "os/reason.h"
#include "store/keys.h"
#include "store/record.h"

struct fetched {
	int fd; /* of the copy, which has no name; read from its beginning */
	uint64_t size;
	unsigned char sha256[STORE_DIGEST_BYTES];
	unsigned char blake2b[MINISIGN_HASH_BYTES];
};

struct fetched_signer {
	char id[MINISIGN_ID_BYTES]; /* "": nobody */
	char comment[MINISIGN_COMMENT_BYTES];
};

/* Copy `archive_fd` into a nameless file in `dir_fd`.  PLUG_ETOOLARGE: more than max_bytes.
 * PLUG_ESYS.  The caller closes ret->fd. */
plug_err fetch_archive(int archive_fd, int dir_fd, uint64_t max_bytes, struct fetched *ret,
		       struct reason *why);

/* Whose signature, and which keys. */
struct fetch_policy {
	const char *archive;   /* its path: ARCHIVE.minisig is looked for beside it */
	const char *signature; /* a file; NULL: that one */
	const char *key;       /* a file or base64: only this key; NULL: the trusted ones */
	const char *keys_dir;  /* of the trusted ones */
	bool required;         /* by a trusted key: plugd accepts no other */
	bool ignored;          /* do not look at signatures */

	/* Of fetch_read(). */
	bool has_signature, has_key;
	struct minisign_signature its_signature;
	struct minisign_key the_key;
};

/* Read the signature and the key that are named, as whoever has asked.  PLUG_EINVAL, PLUG_ESYS. */
plug_err fetch_read(struct fetch_policy *policy, struct reason *why);

/* After fetch_read().  PLUG_EDENIED: refused.  PLUG_ESYS. */
plug_err fetch_check_signature(const struct fetched *fetched, const struct fetch_policy *policy,
			       struct fetched_signer *ret, struct reason *why);

#endif
