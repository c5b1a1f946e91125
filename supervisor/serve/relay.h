/*
 * One call on its way through plugd: from a client to an instance and back.  Loop's thread only.
 *
 *   RECEIVING --last chunk--> QUEUED --instance--> SENT --final reply--> ended
 *
 * The client gets exactly one outcome.  When it has it before the plugin has answered (deadline,
 * cancel, client gone), the relay stays, without a client, until the plugin answers or dies: that
 * is how a hung handler is seen.
 */
#ifndef PLUGD_RELAY_H
#define PLUGD_RELAY_H

#include "core/poison.h"
#include "plugin/plugin.h"
#include "serve/ticket.h"

struct relay;
struct router;

/* What plugd's own call came to. */
typedef void relay_outcome(struct relay *relay, plug_err outcome, const char *message);

enum relay_state { RELAY_RECEIVING, RELAY_QUEUED, RELAY_SENT };

/* One message to the plugin. */
struct relay_part {
	struct list node;
	size_t size, capacity;
	uint8_t bytes[];
};

struct relay {
	struct list node; /* of plugin->incoming, a list of calls that wait, or in->calls, by its
			     state */
	struct ticket ticket;
	relay_outcome *on_outcome; /* of plugd's own, which has no client; NULL once it was told */
	struct router *router;
	enum relay_state state;
	uint64_t id; /* plugd's, of the plugin session */
	struct plugin *plugin;
	struct instance *instance; /* in SENT */
	char method[PLUG_NAME_BYTES + 1];
	char *content_type;
	struct list parts; /* of the payload; once sent, for another time or a look; may be empty */
	size_t bytes, messages; /* payload, and how many it goes in */
	ev_timer deadline_w;
	uint64_t started_ns, deadline_ns, sent_ms;

	struct list
		kept_node; /* of router->kept, while parts are there only to be looked at later */
	uint32_t uid;      /* of the client, where has_user */
	uint64_t died_channel, died_number; /* as the client says; 0: nothing */
	uint32_t
		held_for; /* QUEUED: until plugd knows of the end of this generation, too; 0: not */
	uint32_t suspect_since; /* the generation whose death made it one; 0: it was known */
	uint8_t digest[POISON_DIGEST];

	bool has_user;        /* plugd's own have none */
	bool suspect;         /* a process may have died of it: not beside another one */
	bool patience_over;   /* it was held, and is not again */
	bool digested;        /* digest is set */
	bool condemned;       /* it is refused from now on */
	bool idempotent;      /* as the method says when it is sent */
	bool replayed;        /* was sent to another generation before, by plugd or by the client */
	bool answering;       /* some of its answer has reached the client */
	bool hung;            /* its deadline is long over and the handler still runs */
	bool in_chunks;       /* a REPLY's chunks are coming */
	bool last_reply;      /* and it is the last REPLY */
	plug_err outcome;     /* of that */
	uint64_t reply_bytes; /* of the message in hand */
	uint64_t uncredited;  /* payload that has left for the client since the last CREDIT */
	uint64_t ahead;       /* payload that came and was not credited: the window bounds it */
};

#define RELAY_OF_TICKET(t) CONTAINER_OF(t, struct relay, ticket)

/* Copies what it needs of `call`.  PLUG_ENOMEM */
plug_err relay_new(struct router *router, struct plugin *plugin, const Plug__Call *call,
		   struct relay **ret);

/* One with this id, which is not in use, and nothing else.  NULL when memory is short. */
struct relay *relay_make(struct router *router, struct plugin *plugin, uint64_t id,
			 const char *method, const char *content_type);

/* Off every list and map, and freed.  Sends nothing. */
void relay_free(struct relay *relay);

/*
 * More of the payload.  However the client cuts it, it is kept, and sent, in messages of
 * PLUG_CHUNK_BYTES; the first one, that of CALL, may be smaller.
 *
 * PLUG_ENOMEM, PLUG_ETOOLARGE (above `limit`)
 */
plug_err relay_add_part(struct relay *relay, const void *data, size_t size, uint64_t limit);
void relay_drop_parts(struct relay *relay);
/* One more, for at most `capacity` bytes; NULL when memory is short. */
struct relay_part *relay_add_empty_part(struct relay *relay, size_t capacity);
/* They are not sent again, but a process may die of them: kept as long as there is room. */
void relay_keep_parts(struct relay *relay);

/* What relay_send() will add to the session, at most. */
size_t relay_packed_bytes(const struct relay *relay);

/* Send CALL and CHUNKs to its instance.  Errors of instance_send(); *ret_begun tells whether a part
 * has been sent all the same. */
plug_err relay_send(struct relay *relay, bool *ret_begun);

/* Does anybody still want the outcome? */
bool relay_is_awaited(const struct relay *relay);

/* Milliseconds since it was sent, or while it waits, since it came; for people. */
uint64_t relay_age_ms(const struct relay *relay);

/* Tell whoever waits the outcome; `message` may be NULL.  Its ticket is closed; statistics are
 * counted. */
void relay_answer(struct relay *relay, plug_err outcome, const char *message);

/* Ask the plugin to stop working on it. */
void relay_cancel(struct relay *relay, plug_err reason);

/* The deadline timer, for `seconds`. */
void relay_arm(struct relay *relay, double seconds);

#endif
