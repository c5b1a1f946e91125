/*
 * The socket on which plugd offers channels.  Of the tick thread.
 */
#ifndef PLUG_SDK_BROKER_H
#define PLUG_SDK_BROKER_H

#include <stdbool.h>

struct channel;
struct plug_plugin;

struct broker {
	int fd;                 /* -1: plugd offers none */
	struct channel *unsaid; /* closed, to be reported */
};

/* Takes the descriptor that the environment names. */
void plugp_broker_init(struct broker *broker);
void plugp_broker_fini(struct broker *broker);

static inline bool
plugp_broker_is_there(const struct broker *broker)
{
	return broker->fd >= 0;
}

/* Take what plugd offers and answer it, and report channels of which nothing is left.  Never
 * blocks. */
void plugp_broker_tick(struct plug_plugin *plugin);

#endif
