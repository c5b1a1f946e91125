/*
 * Answers, and what a handler may ask about its call.
 *
 * A payload that has begun is always ended, because the messages of one call may not mix: when the
 * call is cancelled in the middle, with an empty last Chunk.  A final payload is not ended early
 * for a deadline alone, since nobody could tell it from a whole one: plugd cancels at the deadline,
 * and that is waited for.  When the process stops it is left unfinished and plugd ends the call.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "state.h"

#define MESSAGE_BYTES 1024

/* ---- the call ---- */

const char *
plug_call_method(const struct plug_call *call)
{
	return call->method->name;
}

const char *
plug_call_content_type(const struct plug_call *call)
{
	return call->content_type;
}

const void *
plug_call_payload(const struct plug_call *call, size_t *ret_size)
{
	if (ret_size)
		*ret_size = call->size;
	return call->payload;
}

uint64_t
plug_call_id(const struct plug_call *call)
{
	return call->id;
}

struct plug_plugin *
plug_call_plugin(const struct plug_call *call)
{
	return call->plugin;
}

plug_err
plug_call_status(const struct plug_call *call)
{
	int cancel = atomic_load_explicit(&call->cancel, memory_order_relaxed);

	if (cancel)
		return (plug_err)cancel;
	if (atomic_load_explicit(&call->plugin->stopping, memory_order_relaxed))
		return PLUG_ECANCELLED;
	if (call->deadline_ns != UINT64_MAX && clock_ns() >= call->deadline_ns)
		return PLUG_ETIMEOUT;
	return PLUG_OK;
}

bool
plug_call_cancelled(const struct plug_call *call)
{
	return plug_call_status(call) != PLUG_OK;
}

uint64_t
plug_call_remaining_ms(const struct plug_call *call)
{
	uint64_t now;

	if (call->deadline_ns == UINT64_MAX)
		return UINT64_MAX;
	now = clock_ns();
	return now < call->deadline_ns ? (call->deadline_ns - now) / NS_PER_MS : 0;
}

plug_err
plug_call_sleep(struct plug_call *call, uint64_t ms)
{
	struct work *work = &call->plugin->work;
	uint64_t now = clock_ns();
	uint64_t until = ms < (UINT64_MAX - now) / NS_PER_MS ? now + ms * NS_PER_MS : UINT64_MAX;
	uint64_t wake = until < call->deadline_ns ? until : call->deadline_ns;
	plug_err err;

	plugp_work_will_block(call);
	pthread_mutex_lock(&work->lock);
	while ((err = plug_call_status(call)) == PLUG_OK && clock_ns() < until)
		clock_cond_wait(&call->wake, &work->lock, wake);
	pthread_mutex_unlock(&work->lock);
	return err;
}

plug_err
plug_fail(struct plug_call *call, plug_err err, const char *format, ...)
{
	char text[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	free(call->message);
	call->message = strdup(text);
	return err;
}

/* ---- sending ---- */

static bool
window_full(const struct plug_call *call)
{
	uint64_t credit = call->credit < call->sent ? call->credit : call->sent;

	return call->sent - credit >= call->plugin->session.window_bytes;
}

static bool
gives_up(const struct plug_call *call, plug_err status, bool despite_deadline)
{
	if (status == PLUG_OK)
		return false;
	return !despite_deadline || atomic_load(&call->cancel) ||
	       atomic_load(&call->plugin->stopping);
}

/* Wait until a message may be sent.  The caller's reason for not waiting any more otherwise. */
static plug_err
wait_window(struct plug_call *call, bool despite_deadline)
{
	struct work *work = &call->plugin->work;
	uint64_t wake = despite_deadline ? UINT64_MAX : call->deadline_ns;
	plug_err status;

	pthread_mutex_lock(&work->lock);
	status = plug_call_status(call);
	if (window_full(call) && !gives_up(call, status, despite_deadline)) {
		pthread_mutex_unlock(&work->lock);
		plugp_work_will_block(call);
		pthread_mutex_lock(&work->lock);
		while (status = plug_call_status(call),
		       window_full(call) && !gives_up(call, status, despite_deadline))
			clock_cond_wait(&call->wake, &work->lock, wake);
	}
	pthread_mutex_unlock(&work->lock);
	return gives_up(call, status, despite_deadline) ? status : PLUG_OK;
}

static plug_err
push(struct plug_plugin *plugin, Plug__Envelope *env)
{
	plug_err err = plugp_outbox_push(&plugin->outbox, env);

	/* An answer that cannot be given breaks the promise of exactly one. */
	if (err != PLUG_OK)
		plugp_fault(plugin, "cannot answer call %llu: %s", (unsigned long long)env->id,
			    plug_err_text(err));
	return err;
}

static plug_err
push_chunk(struct plug_call *call, const uint8_t *data, size_t size, bool last)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Chunk chunk = PLUG__CHUNK__INIT;

	chunk.data = (ProtobufCBinaryData){size, (uint8_t *)data};
	chunk.last = last;
	env.id = call->id;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	call->sent += size;
	return push(call->plugin, &env);
}

static plug_err
push_reply(struct plug_plugin *plugin, uint64_t id, Plug__Reply *reply)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_REPLY;
	env.reply = reply;
	return push(plugin, &env);
}

/* What follows the first message of a long payload. */
static plug_err
send_rest(struct plug_call *call, const uint8_t *data, size_t size, bool final)
{
	for (size_t at = PLUG_CHUNK_BYTES; at < size; at += PLUG_CHUNK_BYTES) {
		size_t n = size - at < PLUG_CHUNK_BYTES ? size - at : PLUG_CHUNK_BYTES;
		plug_err err = wait_window(call, final);

		if (err != PLUG_OK) {
			if (!final || atomic_load(&call->cancel))
				push_chunk(call, NULL, 0, true);
			return err;
		}
		err = push_chunk(call, data + at, n, at + n == size);
		if (err != PLUG_OK)
			return err;
	}
	return PLUG_OK;
}

static void
count_answer(struct plug_plugin *plugin, uint32_t outcome)
{
	struct plug_vitals *vitals = plugin->page.vitals;

	page_add(&vitals->in_flight, (uint64_t)-1);
	page_add(outcome == PLUG_OK ? &vitals->replies_ok : &vitals->replies_error, 1);
	if (outcome == PLUG_ECANCELLED)
		page_add(&vitals->cancelled, 1);
}

static plug_err
send_payload(struct plug_call *call, const char *content_type, const uint8_t *data, size_t size,
	     bool partial)
{
	Plug__Reply reply = PLUG__REPLY__INIT;
	size_t first = size < PLUG_CHUNK_BYTES ? size : PLUG_CHUNK_BYTES;
	plug_err err;

	if (call->answered)
		return PLUG_ESTATE;
	if (size > call->plugin->session.call_bytes) {
		plug_fail(call, PLUG_ETOOLARGE, "the reply has %zu bytes, more than %llu", size,
			  (unsigned long long)call->plugin->session.call_bytes);
		return PLUG_ETOOLARGE;
	}
	err = wait_window(call, false);
	if (err != PLUG_OK)
		return atomic_load(&call->plugin->stopping) == STOP_GONE ? PLUG_EGONE : err;
	reply.content_type = (char *)(content_type ? content_type : call->content_type);
	reply.payload = (ProtobufCBinaryData){first, (uint8_t *)data};
	reply.more = size > first;
	reply.partial = partial;
	call->sent += first;
	if (!partial) {
		call->answered = true;
		count_answer(call->plugin, PLUG_OK);
	}
	err = push_reply(call->plugin, call->id, &reply);
	return err == PLUG_OK ? send_rest(call, data, size, !partial) : err;
}

plug_err
plug_reply(struct plug_call *call, const char *content_type, const void *data, size_t size)
{
	return send_payload(call, content_type, data, size, false);
}

plug_err
plug_reply_piece(struct plug_call *call, const char *content_type, const void *data, size_t size)
{
	if (!(call->method->flags & PLUG_METHOD_STREAM))
		return PLUG_ESTATE;
	return send_payload(call, content_type, data, size, true);
}

static void
send_failure(struct plug_plugin *plugin, uint64_t id, plug_err code, const char *message)
{
	Plug__Reply reply = PLUG__REPLY__INIT;

	reply.outcome = (uint32_t)code;
	reply.message = (char *)message;
	count_answer(plugin, reply.outcome);
	push_reply(plugin, id, &reply);
}

void
plugp_reply_refuse(struct plug_plugin *plugin, uint64_t id, plug_err code, const char *format, ...)
{
	char text[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_failure(plugin, id, code, text);
}

static bool
known(plug_err err)
{
	return strcmp(plug_err_name(err), "PLUG_E?") != 0;
}

void
plugp_reply_finish(struct plug_call *call, plug_err err)
{
	plug_err status;

	if (call->answered) {
		if (err != PLUG_OK)
			plug_call_log(call, PLUG_LOG_WARNING,
				      "%s answered and then returned %s; the answer stands",
				      call->method->name, plug_err_name(err));
		return;
	}
	status = plug_call_status(call);
	if (err == PLUG_OK && status == PLUG_OK)
		err = plug_reply(call, NULL, NULL, 0);
	else if (err == PLUG_OK)
		err = status;
	if (call->answered)
		return;
	if (!known(err))
		plugp_reply_refuse(call->plugin, call->id, PLUG_EPLUGIN,
				   "%s returned %d, which is no plug_err%s%s", call->method->name,
				   (int)err, call->message ? "; " : "",
				   call->message ? call->message : "");
	else
		send_failure(call->plugin, call->id, err,
			     call->message ? call->message : plug_err_text(err));
}
