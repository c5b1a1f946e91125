/*
 * What there is once in a process: the arenas that it knows, its channels' exchanges, the counts.
 *
 * A plugin that calls others may have this code twice, in two shared libraries, and tensors go from
 * one to the other.  So it is one exported symbol, of which the dynamic linker takes the first.
 */
#ifndef PLUGS_TENSOR_PROCESS_H
#define PLUGS_TENSOR_PROCESS_H

#include <plug/export.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#define PLUGS_ARENA_BUCKETS 64

struct plug_arena;
struct plugs_exchange;

struct plugs_counts {
	_Atomic uint64_t copies, bytes_copied, sent, received, refused, strays;
	_Atomic uint64_t own_arenas, own_bytes, seen_arenas, seen_bytes, buffers;
};

struct plugs_process {
	pthread_mutex_t arenas_lock;
	LIST_HEAD(, plug_arena) arenas[PLUGS_ARENA_BUCKETS]; /* by inode */
	pthread_mutex_t exchanges_lock;                      /* before an exchange's */
	LIST_HEAD(, plugs_exchange) exchanges;
	struct plugs_counts counts;
};

extern PLUG_API struct plugs_process plug_tensor_process;

#define plugs_counts (plug_tensor_process.counts)

#endif
