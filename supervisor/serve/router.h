/* Which call goes where.  Loop's thread only. */
#ifndef PLUGD_ROUTER_H
#define PLUGD_ROUTER_H

#include "core/poison.h"
#include "plugin/registry.h"
#include "serve/relay.h"

struct router_limits {
	size_t tickets_per_client;
	size_t queue_calls;   /* calls that wait for one plugin */
	uint64_t queue_bytes; /* payload in all: what waits, or may be replayed, or as long as there
				 is room, is kept for a look after a death */
	uint64_t call_bytes;
	uint64_t call_timeout_ms; /* where neither the caller nor the method says */
};

/* A call that a process was executing for a channel when it died of what it executed. */
struct router_died {
	uint64_t channel, number; /* 0: none, or it was claimed */
	uint32_t uid, generation;
};

#define ROUTER_DIED 128 /* remembered; the oldest gives way */

struct router {
	struct host *host;
	struct registry *registry;
	struct router_limits limits;
	struct idmap by_id; /* plugd's call ids -> relay */
	uint64_t last_id, held_bytes;
	struct list kept; /* relays whose payload is kept for a look after a death, oldest first */
	uint64_t kept_bytes;
	struct poison poison;
	struct router_died died[ROUTER_DIED];
	size_t next_died;
	uint64_t calls; /* since the start */
};

void router_init(struct router *router, struct host *host, struct registry *registry);
void router_fini(struct router *router);

/* From a client. */
void router_call(struct router *router, struct client *client, uint64_t id, const Plug__Call *call);

/* host_ops */
void router_on_ready(struct router *router, struct instance *in);
void router_on_reply(struct router *router, struct instance *in, const Plug__Envelope *env);
void router_on_left(struct router *router, struct instance *in);
void router_on_replaced(struct router *router, struct instance *in);
void router_on_ended(struct router *router, struct instance *in);
void router_on_gone(struct router *router, struct instance *in, const char *why);
void router_on_abandon(struct router *router, struct plugin *plugin);
void router_on_forget(struct router *router, struct plugin *plugin);
size_t router_describe_calls(struct instance *in, struct crash_call *calls, size_t max);

/* doorman_ops.on_sent */
void router_on_sent(struct router *router, const struct client_origin *origin);

/* For relay.c: the deadline of a relay passed. */
void router_on_deadline(struct relay *relay);

#endif
