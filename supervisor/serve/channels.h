/*
 * Channels: shared memory between a client and an instance.  plugd checks, brokers and steps aside:
 * once a channel is granted it keeps a number and no descriptor of it.  Loop's thread only.
 *
 *   OFFERED --answer--> OPEN --ChannelClosed--> forgotten
 *      |                  ^
 *      +--deadline, client cancels or goes--> ABANDONED --answer--+
 *
 * A channel counts for its client as long as the client is there, and for its instance until that
 * says that nothing is left of it, or is dead.
 */
#ifndef PLUGD_CHANNELS_H
#define PLUGD_CHANNELS_H

#include "plugin/registry.h"
#include "serve/ticket.h"

struct channels_limits {
	unsigned per_client, per_instance;
	uint64_t region_bytes;    /* largest */
	uint64_t call_timeout_ms; /* where the method has no deadline of its own */
};

struct channels {
	struct host *host;
	struct registry *registry;
	struct channels_limits limits;
	struct idmap by_number;
	uint64_t last_number;
};

void channels_init(struct channels *channels, struct host *host, struct registry *registry);
/* Every client and every instance must be gone. */
void channels_fini(struct channels *channels);

/* From a client; its descriptor is client->given_fd. */
void channels_request(struct channels *channels, struct client *client, uint64_t id,
		      const Plug__ChannelRequest *request);

/* doorman_ops.on_gone, after the client's tickets were closed. */
void channels_on_client_gone(struct client *client);

/* host_ops */
void channels_on_message(struct channels *channels, struct instance *in, const Plug__Envelope *env,
			 int fd);
void channels_on_gone(struct instance *in);

#endif
