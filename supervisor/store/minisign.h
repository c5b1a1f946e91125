/*
 * Signatures and keys in minisign's format: text files of Ed25519, as `minisign -S` and
 * `signify` write them.
 *
 * Pure: no I/O, nothing is allocated.  The text may be anybody's, of any length.
 */
#ifndef PLUGD_STORE_MINISIGN_H
#define PLUGD_STORE_MINISIGN_H

#include <stdbool.h>
#include <stddef.h>

#include <plug/error.h>

#include "os/reason.h"

#define MINISIGN_TEXT_BYTES    ((size_t)16 * 1024) /* of a file that is accepted */
#define MINISIGN_COMMENT_BYTES 1024                /* of a trusted comment, NUL included */
#define MINISIGN_ID_BYTES      17                  /* of an id as text, NUL included */
#define MINISIGN_HASH_BYTES    64                  /* BLAKE2b-512 */

struct minisign_key {
	unsigned char id[8], key[32];
};

struct minisign_signature {
	unsigned char id[8], bytes[64], global[64];
	bool prehashed; /* over the BLAKE2b-512 of the file, not over the file */
	char comment[MINISIGN_COMMENT_BYTES]; /* bytes that the signature covers; no NUL inside */
};

/* What was signed: `hash` is needed for a prehashed signature, the bytes for one that is not. */
struct minisign_message {
	const unsigned char *hash; /* MINISIGN_HASH_BYTES */
	const unsigned char *bytes;
	size_t size;
};

/*
 * A public key: the file, or its second line alone.  PLUG_EINVAL, with the reason; *ret is then
 * untouched.
 */
plug_err minisign_parse_key(const char *text, size_t size, struct minisign_key *ret,
			    struct reason *why);

/* A .minisig file, as minisign_parse_key(). */
plug_err minisign_parse_signature(const char *text, size_t size, struct minisign_signature *ret,
				  struct reason *why);

/*
 * Is it this key's signature of this message, and its trusted comment as it was signed?
 * PLUG_EDENIED, with the reason.
 */
plug_err minisign_verify(const struct minisign_signature *signature, const struct minisign_key *key,
			 const struct minisign_message *message, struct reason *why);

/* As minisign shows it: 16 hex digits in capitals. */
void minisign_id_text(const unsigned char id[8], char text[MINISIGN_ID_BYTES]);

#endif
