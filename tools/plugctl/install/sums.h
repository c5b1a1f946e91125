/*
 * Digests of files and of whole folders, as `sha256sum` writes them.  Blocks on the disk.
 */
#ifndef PLUGCTL_INSTALL_SUMS_H
#define PLUGCTL_INSTALL_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/reason.h"
#include "store/record.h"

/* SHA-256 of a file from its beginning.  PLUG_ESYS */
plug_err sums_file(int fd, unsigned char digest[STORE_DIGEST_BYTES]);

/* The same of `path` below `dir_fd`, opened without following it.  PLUG_ESYS; PLUG_EINVAL: it is no
 * regular file. */
plug_err sums_path(int dir_fd, const char *path, unsigned char digest[STORE_DIGEST_BYTES]);

struct sums {
	char *text; /* a line a regular file, sorted by path; the caller's */
	size_t size, written;
	unsigned char digest[STORE_DIGEST_BYTES]; /* of the text */
	unsigned files;
	uint64_t bytes;
};

/*
 * All that is below a folder.  Each path begins with `prefix` and a slash ("": nothing).  Refuses
 * what is neither file, folder nor a link that stays inside.  On failure *ret is untouched.
 */
plug_err sums_tree(int tree_fd, const char *prefix, struct sums *ret, struct reason *why);

/*
 * Is a folder as its SHA256SUMS says?  PLUG_OK, or the first difference: changed, missing, or
 * with `strict` more than there was, other than .venv and __pycache__.
 */
plug_err sums_verify(int dir_fd, const char *text, const char *prefix, bool strict,
		     struct reason *why);

#endif
