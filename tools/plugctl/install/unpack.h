/*
 * An archive or a folder into an empty folder, by libarchive.  What comes out is regular files,
 * folders, and links that stay inside; everything else is refused, and so is an archive that
 * unpacks to more than its limits.  Blocks on the disk.
 *
 * Tar (ustar, pax, GNU) and zip; plain or with gzip, bzip2, xz, lzma or zstd.
 */
#ifndef PLUGCTL_INSTALL_UNPACK_H
#define PLUGCTL_INSTALL_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "os/reason.h"

#define UNPACK_ENTRIES     20000
#define UNPACK_BYTES       (UINT64_C(8) << 30)
#define UNPACK_PATH_BYTES  1024 /* of a name, NUL included */
#define UNPACK_DEPTH       32
#define UNPACK_RATIO       200                  /* of what comes out to what was read, … */
#define UNPACK_RATIO_BYTES (UINT64_C(64) << 20) /* … from so many bytes on */

struct unpack_limits {
	uint64_t bytes;
	unsigned entries;
};

struct unpacked {
	uint64_t bytes;
	unsigned entries;
};

/*
 * From an archive that is read from its current position, into the folder `tree_fd`.  On failure
 * what was unpacked is still there, and *ret untouched.
 *
 * PLUG_EINVAL    it is no archive, is damaged, or holds what is refused
 * PLUG_ETOOLARGE above a limit
 * PLUG_ESYS      the disk
 */
plug_err unpack_archive(int archive_fd, int tree_fd, const struct unpack_limits *limits,
			struct unpacked *ret, struct reason *why);

/* The same from a folder.  Left out: .git, .venv, __pycache__. */
plug_err unpack_folder(const char *folder, int tree_fd, const struct unpack_limits *limits,
		       struct unpacked *ret, struct reason *why);

/* A link's target that cannot lead out of the tree from a folder at this depth (0: the tree
 * itself): relative, with ".." only at its beginning, and not more of them than the depth. */
bool unpack_link_stays(const char *target, unsigned depth);

#endif
