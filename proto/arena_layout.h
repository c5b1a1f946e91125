/*
 * Layout of an arena: memory for tensors that its owner writes and the other side only reads.
 *
 * A memfd whose memory is taken when it is made, sealed SHRINK|GROW|FUTURE_WRITE|SEAL like a
 * region. It begins with this head, then the generations, then from `data` on the buffers.  What is
 * free and what is in use stands in the owner's private memory only.
 *
 * A buffer has an offset from the beginning of the memfd, a multiple of PLUG_ARENA_GRAIN, and a
 * generation.  The low 16 bits of a generation are a place in generations[]; the rest counts the
 * buffers that the arena has given out, from 1, so a generation never comes again.  While the
 * buffer is in use that place holds its generation; before its memory is given out anew, something
 * else. A reader who finds the generation of a descriptor there, after it has read, has read what
 * was meant; all this is the owner's word.
 */
#ifndef PLUG_ARENA_LAYOUT_H
#define PLUG_ARENA_LAYOUT_H

#include <stdint.h>

#define PLUG_ARENA_MAGIC   0x31304e5241474c50ull /* "PLGARN01" */
#define PLUG_ARENA_VERSION 1u
#define PLUG_ARENA_GRAIN   64u

struct plug_arena_head {
	uint64_t magic;
	uint32_t version;
	uint32_t slots; /* in generations[], 1 … 65536 */
	uint64_t bytes; /* of the memfd */
	uint64_t data;  /* offset of the first buffer; a multiple of 4096 */
	uint8_t pad[32];
	uint64_t generations[]; /* changed atomically; 0: not in use */
};

#define PLUG_ARENA_SLOT_BITS        16
#define PLUG_ARENA_SLOTS_MAX        (1u << PLUG_ARENA_SLOT_BITS)
#define PLUG_ARENA_SLOT(generation) ((uint32_t)((generation) & (PLUG_ARENA_SLOTS_MAX - 1)))

/* Of an instance: bytes of reply tensors that one channel may have at a time. */
#define PLUG_ENV_TENSOR_BYTES "PLUG_TENSOR_BYTES"
#define PLUG_TENSOR_BYTES     (64ull * 1024 * 1024) /* without it */

#endif
