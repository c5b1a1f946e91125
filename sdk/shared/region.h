/*
 * Regions: shared memory that one side makes and the other side only reads.
 *
 * A region is sealed before anybody else sees it, so a reader can neither be cut short (SIGBUS) nor
 * write, and its memory is charged to its maker.  The ring is mapped twice in a row, so a record is
 * contiguous wherever it begins.  No function here blocks or logs; all are safe in any thread.
 */
#ifndef PLUGS_REGION_H
#define PLUGS_REGION_H

#include <plug/error.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"

struct plugs_region {
	struct plug_region_head *head; /* NULL: no region */
	uint8_t *ring;                 /* ring_bytes, and the same memory once more behind */
	uint64_t ring_bytes;
	uint64_t region_bytes;
};

/*
 * Make a region of `region_bytes` (a multiple of 4096, PLUG_REGION_BYTES_MIN to _MAX) with all its
 * memory taken, map it for writing, and seal it.  *ret_fd is the caller's, close-on-exec; it is
 * only needed to be passed on.
 *
 * PLUG_EINVAL  region_bytes is not such a size
 * PLUG_ENOMEM  no memory for it, or a limit on memory or on shared memory is in the way
 * PLUG_ESYS    errno says why
 */
plug_err plugs_region_make(enum plug_region_side side, uint64_t channel, uint64_t region_bytes,
			   struct plugs_region *ret, int *ret_fd);

/*
 * Map a region that came from the other side, for reading.  `fd` stays the caller's.  The size is
 * taken from the descriptor and must be `region_bytes`; seals and the head's constants are checked.
 *
 * PLUG_EPROTO  not a sealed region of that size and side; *ret_why (static text) says what is wrong
 * PLUG_ENOMEM PLUG_ESYS
 */
plug_err plugs_region_map(int fd, enum plug_region_side side, uint64_t region_bytes,
			  struct plugs_region *ret, const char **ret_why);

/* Unmap.  A region that was never made is allowed. */
void plugs_region_fini(struct plugs_region *region);

/*
 * The checks alone, for a memfd of any layout: sealed against shrinking, growing, new writers and
 * further seals, exactly `bytes` long and without holes.  NULL, or static text that says what is
 * wrong.
 */
const char *plugs_sealed(int fd, uint64_t bytes);

/* The same without the seal against new writers: of plugd's pages, which it maps again after an
 * upgrade in place. */
const char *plugs_size_sealed(int fd, uint64_t bytes);

/* A memfd of `bytes`, memory taken, not yet sealed; -1 with errno (ENOMEM, ENOSPC, EFBIG, …). */
int plugs_memfd(const char *name, uint64_t bytes);

/* Add the seals; 0, or -1 with errno. */
int plugs_seal(int fd);

#endif
