/*
 * The floors of the data plane: this process and another with nothing between them but shared
 * memory and a word in it to spin on, or a Unix socket.
 *
 * The other side sleeps except while a round of it runs.  Main thread only.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include "bench.h"
#include "process.h"

#define FLOOR_BYTES_MAX (1024u * 1024) /* each way */

enum floor_way {
	FLOOR_SPIN,   /* the bytes are written, echoed and read in shared memory, both sides spin */
	FLOOR_TOUCH,  /* the same; the other side reads all bytes and writes others, as a user of
		       * tensors would that fills and reads them */
	FLOOR_SIGNAL, /* no bytes: only the words that say that there are some */
	FLOOR_SOCKET, /* a stream socket pair, both sides block in read() */
	FLOOR_PACKET, /* the same with SOCK_SEQPACKET, up to 64 KiB */
};

struct floor {
	const struct bench *bench;
	pid_t pid;
	int order_fd, socket_fd, packet_fd;
	struct floor_memory *memory;
	uint8_t *own; /* what is sent and received, FLOOR_BYTES_MAX of each */
	uint64_t turn;
};

/* Pinned like the two sides of a call.  Ends the process on failure. */
void floor_open(const struct bench *bench, struct floor *ret);
void floor_close(struct floor *floor);

/* `count` times there and back with `size` bytes each way; the latencies in nanoseconds. */
void floor_round(struct floor *floor, enum floor_way way, size_t size, size_t count,
		 struct histogram *ret);

/* The other side's process: argv after "--other floor". */
int floor_other_main(int argc, char **argv);

#endif
