/* What happened: a bounded memory of events, and those who follow them.  Loop's thread only. */
#ifndef PLUGD_EVENTS_H
#define PLUGD_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define EVENTS_KEPT 512

struct event {
	struct list node;
	uint64_t seq; /* from 1, without gaps */
	uint64_t time_ms;
	char plugin[64]; /* "" for plugd itself */
	char kind[24];   /* "started" "ready" "crashed" … */
	uint32_t generation;
	int64_t pid;
	char detail[]; /* one sentence, or "" */
};

struct events_follower {
	struct list node;
	void (*on_event)(struct events_follower *follower, const struct event *event);
};

struct events {
	struct list ring, followers;
	size_t count;
	uint64_t last_seq;
};

void events_init(struct events *events);
void events_fini(struct events *events);

/* `plugin` NULL means plugd itself.  Tells the followers, and plugd's own log.  A `kind` of plugin
 * trouble is logged as a warning, the others as information. */
void events_add(struct events *events, const char *plugin, const char *kind, uint32_t generation,
		int64_t pid, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* `follower` is the caller's; it may be removed, also from within its callback, but not another
 * one. */
void events_follow(struct events *events, struct events_follower *follower);
void events_unfollow(struct events_follower *follower);

#endif
