/*
 * One of the two processes of the stress: posts, takes and sleeps until it is done, or the other
 * one is gone.
 */
#ifndef HALF_H
#define HALF_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "region.h"
#include "ring.h"

#define SMALL   64   /* bytes of a record: three in four, the others are up to `large` */
#define LOST_MS 3000 /* nothing for so long although something is to be done */

struct mode {
	const char *name;
	unsigned window; /* calls in flight */
	uint32_t large;  /* longest record */
	bool edge;  /* the plugin waits on an epoll set, for edges, and empties the socket late */
	bool tight; /* wake sockets that hold a few bytes only */
	unsigned looks; /* before sleeping: up to so many */
	unsigned batch; /* a reply comes after so many calls: what is posted is not what wakes for
			   room */
};

enum { CALLER, PLUGIN };

enum end { END_DONE = 0, END_PEER_GONE = 3, END_LOST = 4, END_WRONG = 5 };

/* What the two have in common beside the channel, to be looked at when they have ended. */
struct board {
	volatile uint64_t done, slept[2], roomy[2];
};

struct half {
	const struct mode *mode;
	struct board *board;
	int side;
	bool forever; /* until the other one dies */
	struct plugs_region own, peer;
	struct plugs_poster poster;
	struct plugs_taker taker;
	int wake_fd, epoll_fd;
	uint64_t sent, got;
	time_t until;
	bool woken, eof;
};

/* Live to the end; exits with an enum end where it is not END_DONE. */
void half_live(struct half *half);

/* A random number; of each process another series once it has been seeded. */
uint64_t chance(void);
void chance_seed(uint64_t seed);

/* For delays.h: mostly nothing, now and then a few nanoseconds up to some 100 µs. */
void delay(void);

#endif
