/*
 * Layout of a channel: what a caller and an instance share, and how they wake each other.
 *
 * A channel is two regions and one SOCK_SEQPACKET pair.  Each side makes one region (a memfd), maps
 * it, fills in the head's constants and then seals it SHRINK|GROW|FUTURE_WRITE|SEAL, so that the
 * other side can only read it and its size cannot change.  A region is one page of head and a ring
 * of records that its owner posts.  What the owner has taken from the other side's ring, whether it
 * sleeps, and where it closed, it says in its own head.
 *
 * Nothing in a region is believed: every word is loaded once, copied and checked by the reader.
 * All words are little-endian and naturally aligned; those that change are accessed atomically.
 * docs/data-plane.md has the state machines and why they are right.
 */
#ifndef PLUG_CHANNEL_H
#define PLUG_CHANNEL_H

#include <stdint.h>

#define PLUG_REGION_MAGIC     0x31474552474c5021ull /* "!PLGREG1" */
#define PLUG_REGION_VERSION   1u
#define PLUG_REGION_HEAD      4096u         /* bytes before the ring */
#define PLUG_REGION_BYTES     (128u * 1024) /* default size, head and ring together */
#define PLUG_REGION_BYTES_MIN (64u * 1024)  /* multiples of 4096 */
#define PLUG_REGION_BYTES_MAX (16u * 1024 * 1024)
#define PLUG_RECORD_BYTES_MAX (56u * 1024) /* body of a record; at most a third of the ring */

#define PLUG_CHANNEL_LINE     64 /* bytes that travel between caches together, at least */

enum plug_region_side { PLUG_SIDE_CALLER = 1, PLUG_SIDE_PLUGIN = 2 };

/* Bits of plug_region_head.sleeping. */
#define PLUG_SLEEP_RECORDS 1u /* wake me when you post a record, or close */
#define PLUG_SLEEP_ROOM    2u /* wake me when you have taken records of mine */

/* Each group that one side changes has a line of its own. */
struct plug_region_head {
	/* Constants, written before the region is sealed. */
	uint64_t magic;
	uint32_t version;
	uint32_t side;         /* enum plug_region_side */
	uint64_t region_bytes; /* head and ring */
	uint64_t channel;      /* plugd's number of it; 0 in the caller's region, made before */
	uint8_t pad0[32];

	/* How many bytes of the other side's ring the owner has taken; only grows. */
	_Alignas(PLUG_CHANNEL_LINE) uint64_t taken;

	/* PLUG_SLEEP_* while the owner waits on the socket, else 0. */
	_Alignas(PLUG_CHANNEL_LINE) uint32_t sleeping;

	/* Of the plugin's region: 0 while it takes calls, then for ever the first sequence number
	 * (Envelope.id of a Call) that it did not take. */
	_Alignas(PLUG_CHANNEL_LINE) uint64_t closed_at;
};

_Static_assert(sizeof(struct plug_region_head) <= PLUG_REGION_HEAD, "the head fits its page");

/*
 * A record: a header word, then `size` bytes of body, then up to 7 bytes of padding.  Positions
 * count bytes from 0 and only grow; the place in the ring is position % ring bytes.  The low half
 * of the header is the size (1 .. PLUG_RECORD_BYTES_MAX), the high half the low 32 bits of
 * position / 8 + 1.  A header of 0 means: nothing posted yet.  Before the owner stores a header it
 * writes the body and a 0 to the place of the next header, so a stale byte is never a header.
 *
 * The body is a packed Envelope: Call, Chunk, Cancel, Credit and Release from the caller; Reply and
 * Chunk from the plugin.  The ids of Calls on a channel are 1, 2, 3, … in the order of posting.
 */
#define PLUG_RECORD_HEADER 8u

/*
 * The wake socket.  One byte PLUG_WAKE_BYTE means "look": it is sent, never blocking, after a
 * change that the other side's `sleeping` asks to hear of.  A longer message is a struct
 * plug_wake_arena: with one descriptor an arena that tensors will name from now on, without one an
 * arena that they name no more.  End of file is the death of the other side, or that it is done
 * with the channel.
 *
 * An arena's number stands at the place (number - 1) % PLUG_ARENAS_MAX, where it replaces what
 * stood there, and is never given to another: records are read before what was sent on the socket
 * ahead of them, so a number that is not the one at its place says that the socket has to be read
 * first.
 */
#define PLUG_WAKE_BYTE   1u

#define PLUG_WAKE_ARENA  2u
#define PLUG_WAKE_FORGET 3u

struct plug_wake_arena {
	uint32_t kind;  /* PLUG_WAKE_ARENA, PLUG_WAKE_FORGET */
	uint32_t arena; /* the sender's number of it on this channel, from 1 on */
	uint64_t bytes; /* size of the memfd */
};

#define PLUG_ARENAS_MAX 64 /* shown by one side on one channel at a time */

/*
 * The status page: plugd's word on a process that has channels.  One memfd of PLUG_STATUS_BYTES a
 * generation, written by plugd only.  Its size is sealed; callers get it for reading only, and
 * another user cannot open it for writing.  It has no seal against new writers, for plugd maps it
 * again after an upgrade in place.  The word only grows.
 */
#define PLUG_STATUS_BYTES 4096u

enum plug_status {
	PLUG_STATUS_LIVE = 1,  /* takes calls */
	PLUG_STATUS_MOVED = 2, /* new calls belong to another process: ask for a channel again */
	PLUG_STATUS_ENDED = 3, /* drained and ended in order: its closed_at is true */
	PLUG_STATUS_DEAD = 4   /* died: what it had not answered may have been executed */
};

struct plug_status_page {
	uint64_t magic; /* PLUG_STATUS_MAGIC */
	uint32_t status;
	uint32_t generation;
};

#define PLUG_STATUS_MAGIC 0x3154534154534c50ull /* "PLSTATS1" */

/*
 * A packet of one byte on the broker socket, from the instance: a fault signal of this number has
 * hit it, and it is about to die.  (No Envelope is as short.)  plugd ends its own direction of the
 * socket (SHUT_WR) when another process has taken over, or none can, and when it has looked at the
 * memory of the one that dies; that one waits for this, but not longer than PLUG_DYING_HEARD_MS.
 */
#define PLUG_DYING_BYTES    1
#define PLUG_DYING_HEARD_MS 50

/*
 * The keeper: one end of a socket pair, given to an instance that others can stand in for.  Nothing
 * is written into it.  libplug gives it to a process that shares the instance's memory and outlives
 * it until plugd ends it or closes the other end, so that the instance is dead for everybody before
 * its memory is given back.  Its
 * end tells plugd that this is done: no other process is started in its place before, for what it
 * may need.  An instance that keeps it to itself is waited for no longer than it lives.
 */

/* Environment */
#define PLUG_ENV_BROKER_FD  "PLUG_BROKER_FD"  /* of an instance: where plugd offers channels */
#define PLUG_ENV_KEEPER_FD  "PLUG_KEEPER_FD"  /* of an instance */
#define PLUG_ENV_SPIN_US    "PLUG_SPIN_US"    /* longest spin before sleeping; 0: never spin */
#define PLUG_ENV_DATA_PLANE "PLUG_DATA_PLANE" /* of a caller: auto (default) or off */

#endif
