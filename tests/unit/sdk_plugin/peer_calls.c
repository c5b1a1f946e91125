/* Calls from plugd's side: sent in chunks, answered in pieces, credited, cancelled. */
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec.h"

void
peer_call(struct peer *peer, uint64_t id, const char *method, const void *data, size_t size,
	  uint64_t timeout_ms)
{
	size_t first = size < PLUG_CHUNK_BYTES ? size : PLUG_CHUNK_BYTES;
	Plug__Call call = PLUG__CALL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	call.method = (char *)method;
	call.content_type = (char *)"application/json";
	call.payload = (ProtobufCBinaryData){first, (uint8_t *)data};
	call.more = size > first;
	call.timeout_us = timeout_ms * 1000;
	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CALL;
	env.call = &call;
	peer_send(peer, &env);
	for (size_t at = first; at < size; at += PLUG_CHUNK_BYTES) {
		size_t n = size - at < PLUG_CHUNK_BYTES ? size - at : PLUG_CHUNK_BYTES;
		Plug__Chunk chunk = PLUG__CHUNK__INIT;

		chunk.data = (ProtobufCBinaryData){n, (uint8_t *)data + at};
		chunk.last = at + n == size;
		env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
		env.chunk = &chunk;
		peer_send(peer, &env);
	}
}

void
peer_cancel(struct peer *peer, uint64_t id)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Cancel cancel = PLUG__CANCEL__INIT;

	cancel.reason = PLUG_ECANCELLED;
	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CANCEL;
	env.cancel = &cancel;
	peer_send(peer, &env);
}

void
peer_stop(struct peer *peer)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Stop stop = PLUG__STOP__INIT;

	stop.timeout_ms = 5000;
	env.body_case = PLUG__ENVELOPE__BODY_STOP;
	env.stop = &stop;
	peer_send(peer, &env);
}

static void
give_credit(struct peer *peer, uint64_t id, size_t bytes)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Credit credit = PLUG__CREDIT__INIT;

	if (peer->no_credit || bytes == 0)
		return;
	credit.bytes = bytes;
	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CREDIT;
	env.credit = &credit;
	peer_send(peer, &env);
}

static void
append(struct peer_answer *answer, const ProtobufCBinaryData *data)
{
	answer->data = realloc(answer->data, answer->size + data->len + 1);
	assert_non_null(answer->data);
	if (data->len)
		memcpy(answer->data + answer->size, data->data, data->len);
	answer->size += data->len;
	answer->data[answer->size] = '\0';
}

bool
peer_answered(struct peer *peer, uint64_t id, int timeout_ms, struct peer_answer *ret)
{
	Plug__Envelope *env = peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, id, timeout_ms);
	bool more;

	memset(ret, 0, sizeof(*ret));
	if (!env)
		return false;
	ret->outcome = env->reply->outcome;
	ret->partial = env->reply->partial;
	snprintf(ret->message, sizeof(ret->message), "%s", env->reply->message);
	snprintf(ret->content_type, sizeof(ret->content_type), "%s", env->reply->content_type);
	append(ret, &env->reply->payload);
	more = env->reply->more;
	give_credit(peer, id, env->reply->payload.len);
	plug_envelope_free(env);
	while (more) {
		env = peer_expect(peer, PLUG__ENVELOPE__BODY_CHUNK, id);
		append(ret, &env->chunk->data);
		more = !env->chunk->last;
		give_credit(peer, id, env->chunk->data.len);
		plug_envelope_free(env);
	}
	return true;
}

struct peer_answer
peer_answer(struct peer *peer, uint64_t id)
{
	struct peer_answer answer;

	if (!peer_answered(peer, id, PEER_WAIT_MS, &answer))
		fail_msg("call %llu was not answered", (unsigned long long)id);
	return answer;
}

void
peer_answer_free(struct peer_answer *answer)
{
	free(answer->data);
	answer->data = NULL;
}
