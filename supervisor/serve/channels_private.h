/* Shared by channels.c (from clients) and channels_answer.c (from instances). */
#ifndef PLUGD_CHANNELS_PRIVATE_H
#define PLUGD_CHANNELS_PRIVATE_H

#include "serve/channels.h"

enum channel_state { CHANNEL_OFFERED, CHANNEL_ABANDONED, CHANNEL_OPEN };

struct channel {
	struct list of_instance, of_client;
	struct ticket ticket; /* in OFFERED */
	struct channels *channels;
	struct instance *instance;
	struct client *client; /* NULL: gone */
	uint64_t number, region_bytes;
	enum channel_state state;
	bool overdue; /* in ABANDONED: the deadline passed */
	int wake_fd;  /* the client's end, in OFFERED */
	ev_timer deadline_w;

	/* of the client, for logs */
	uint64_t client_number;
	pid_t pid;
	uid_t uid;
	char name[64];
};

/* ChannelGrant without a channel. */
void channels_refuse(struct client *client, uint64_t id, plug_err code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same with PLUG_EUNAVAILABLE: there is no process that the channel could be opened to.  Says
 * whether to ask again, which is where a call over plugd would wait. */
void channels_refuse_for_now(struct channels *channels, struct plugin *plugin,
			     struct client *client, uint64_t id, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Nobody waits for the answer any more. */
void channel_abandon(struct channel *channel);

/* Off every list and map, and freed.  Sends nothing. */
void channel_free(struct channel *channel);

/* One with this number, which is not in use, and nothing else.  `client` NULL: it is gone.  NULL
 * when memory is short. */
struct channel *channel_make(struct channels *channels, struct instance *in, struct client *client,
			     uint64_t number);

extern const struct ticket_ops channel_ticket_ops;

#endif
