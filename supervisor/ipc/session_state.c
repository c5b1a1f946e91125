#include <string.h>

#include "ipc/link_saved.h"
#include "ipc/session_private.h"
#include "ipc/session_saved.h"

static void
save_unacked(struct session *s, Plugd__SavedSession *saved, struct state_out *out)
{
	bool handed = true;

	LIST_FOREACH (kept, &s->unacked, struct kept, node) {
		Plugd__SavedMessage *message =
			state_out_message(out, &plugd__saved_message__descriptor);

		message->seq = kept->seq;
		message->bytes = state_out_bytes(kept->bytes, kept->size);
		state_out_append(out, &saved->n_unacked, &saved->unacked, message);
		handed = handed && kept != s->unsent;
		saved->handed += handed;
	}
}

Plugd__SavedSession *
session_save(struct session *s, struct state_out *out)
{
	Plugd__SavedSession *saved = state_out_message(out, &plugd__saved_session__descriptor);

	saved->link = link_save(s->link, out);
	saved->generation = s->config.generation;
	saved->token = state_out_bytes(s->config.token, sizeof(s->config.token));
	saved->unacked_bytes = s->config.unacked_bytes;
	saved->live = s->live;
	saved->welcomed = s->welcomed;
	saved->broken = s->broken;
	saved->protocol = s->protocol;
	saved->nonce = state_out_bytes(s->nonce, sizeof(s->nonce));
	saved->sent = s->sent;
	saved->peer_acked = s->peer_acked;
	save_unacked(s, saved, out);
	saved->received = s->received;
	saved->acked = s->acked;
	saved->unacked_theirs = s->unacked_theirs;
	saved->ping_waits = s->ping_waits;
	saved->ping_stamp = s->ping_stamp;
	return saved;
}

static bool
restore_unacked(struct session *s, const Plugd__SavedSession *saved)
{
	for (size_t i = 0; i < saved->n_unacked; i++) {
		const Plugd__SavedMessage *message = saved->unacked[i];
		struct kept *kept = malloc(sizeof(*kept) + message->bytes.len);

		if (!kept)
			return false;
		kept->seq = message->seq;
		kept->size = message->bytes.len;
		if (kept->size)
			memcpy(kept->bytes, message->bytes.data, kept->size);
		list_append(&s->unacked, &kept->node);
		s->unacked_size += kept->size;
		if (i == saved->handed && s->live)
			s->unsent = kept;
	}
	return true;
}

static void
restore_numbers(struct session *s, const Plugd__SavedSession *saved)
{
	s->config.generation = saved->generation;
	s->config.unacked_bytes = (size_t)saved->unacked_bytes;
	s->live = saved->live;
	s->welcomed = saved->welcomed;
	s->broken = saved->broken;
	s->protocol = saved->protocol;
	s->sent = saved->sent;
	s->peer_acked = saved->peer_acked;
	s->received = saved->received;
	s->acked = saved->acked;
	s->unacked_theirs = (size_t)saved->unacked_theirs;
	s->ping_waits = saved->ping_waits;
	s->ping_stamp = saved->ping_stamp;
}

struct session *
session_restore(const struct session_config *config, const Plugd__SavedSession *saved,
		struct state_in *in)
{
	struct session *s = saved ? calloc(1, sizeof(*s)) : NULL;
	struct link_config link = {
		.loop = config->loop,
		.max_bytes = PLUG_RECV_BYTES,
		.ops = &session_link_ops,
		.user = s,
	};

	if (!s) {
		state_in_fail(in, "a process without a session, or out of memory");
		return NULL;
	}
	s->config = *config;
	s->config.path = NULL;
	list_init(&s->unacked);
	restore_numbers(s, saved);
	state_in_copy(in, "a token", s->config.token, sizeof(s->config.token), &saved->token);
	state_in_copy(in, "a nonce", s->nonce, sizeof(s->nonce), &saved->nonce);
	if (!restore_unacked(s, saved))
		state_in_fail(in, "out of memory for messages that wait to be acknowledged");
	s->link = link_restore(&link, saved->link, in);
	return s;
}
