/*
 * A hostile owner of a region: random damage to what the other side reads, from a seed.
 */
#ifndef SCRIBBLE_H
#define SCRIBBLE_H

#include "region.h"

/*
 * One random change of a region that this process has mapped for writing.  `peer` is the other
 * side's head: what it says to have taken is where it looks, and most damage is done there.  A torn
 * record changes for some microseconds while it may be read; nothing here takes longer.
 */
void scribble(const struct plugs_region *own, const struct plug_region_head *peer,
	      uint64_t *random);

/* One message on the wake socket that is none of ours, or too many, or with what descriptors. */
void scribble_wake(int wake_fd, uint64_t *random);

#endif
