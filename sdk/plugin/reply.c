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
#include "exchange.h"
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
	return plugp_call_number(call->channel, call->id);
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

/* ---- waiting until something may be sent ---- */

static bool
window_full(const struct plug_call *call)
{
	uint64_t sent = atomic_load(&call->sent);
	uint64_t credit = call->credit < sent ? call->credit : sent;

	return sent - credit >= call->plugin->session.window_bytes;
}

/* Reasons to wait; called with work.lock held. */
static bool
held_up(const struct plug_call *call, bool spilling)
{
	return spilling ? plugp_channel_is_full(call->channel) : window_full(call);
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
wait_until_free(struct plug_call *call, bool spilling, bool despite_deadline)
{
	struct work *work = &call->plugin->work;
	uint64_t wake = despite_deadline ? UINT64_MAX : call->deadline_ns;
	plug_err status;

	pthread_mutex_lock(&work->lock);
	status = plug_call_status(call);
	if (held_up(call, spilling) && !gives_up(call, status, despite_deadline)) {
		pthread_mutex_unlock(&work->lock);
		plugp_work_will_block(call);
		pthread_mutex_lock(&work->lock);
		while (status = plug_call_status(call),
		       held_up(call, spilling) && !gives_up(call, status, despite_deadline))
			clock_cond_wait(&call->wake, &work->lock, wake);
	}
	pthread_mutex_unlock(&work->lock);
	return gives_up(call, status, despite_deadline) ? status : PLUG_OK;
}

/* A handler that the plane's holder runs, and that nobody took the role from, has begun less than
 * two of the watcher's looks ago: a deadline that was far then has not passed. */
static bool
surely_in_time(const struct plug_call *call)
{
	return call->led && !call->near_deadline && plugp_plane_is_led(call) &&
	       !atomic_load_explicit(&call->cancel, memory_order_relaxed) &&
	       !atomic_load_explicit(&call->plugin->stopping, memory_order_relaxed);
}

static plug_err
wait_window(struct plug_call *call, bool despite_deadline)
{
	if (atomic_load_explicit(&call->sent, memory_order_relaxed) == 0 && surely_in_time(call))
		return PLUG_OK;
	return wait_until_free(call, false, despite_deadline);
}

/* ---- sending ---- */

static plug_err
push_session(struct plug_plugin *plugin, const struct plugs_message *msg)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Reply reply = PLUG__REPLY__INIT;
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	plug_err err;

	env.id = msg->id;
	if (msg->kind == PLUGS_CHUNK) {
		chunk.data = (ProtobufCBinaryData){msg->payload.size, (uint8_t *)msg->payload.data};
		chunk.last = msg->last;
		env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
		env.chunk = &chunk;
	} else {
		reply.outcome = msg->code;
		reply.content_type = (char *)msg->content_type.data;
		reply.payload =
			(ProtobufCBinaryData){msg->payload.size, (uint8_t *)msg->payload.data};
		reply.more = msg->more;
		reply.partial = msg->partial;
		reply.message = (char *)msg->text.data;
		env.body_case = PLUG__ENVELOPE__BODY_REPLY;
		env.reply = &reply;
	}
	err = plugp_outbox_push(&plugin->outbox, &env);
	/* An answer that cannot be given breaks the promise of exactly one. */
	if (err != PLUG_OK)
		plugp_fault(plugin, "cannot answer call %llu: %s", (unsigned long long)env.id,
			    plug_err_text(err));
	return err;
}

/* Texts in `msg` are terminated. */
static plug_err
push(struct plug_call *call, const struct plugs_message *msg, bool despite_deadline)
{
	plug_err err;

	if (!call->channel)
		return push_session(call->plugin, msg);
	while ((err = plugp_channel_send(call->channel, msg)) == PLUG_EOVERLOADED) {
		err = wait_until_free(call, true, despite_deadline);
		if (err != PLUG_OK)
			return err;
	}
	return err;
}

/* Only the handler's thread changes it. */
static void
count_sent(struct plug_call *call, size_t size)
{
	uint64_t sent = atomic_load_explicit(&call->sent, memory_order_relaxed);

	atomic_store_explicit(&call->sent, sent + size, memory_order_relaxed);
}

static struct plugs_bytes
text_bytes(const char *text)
{
	return (struct plugs_bytes){(const uint8_t *)text, strlen(text)};
}

static plug_err
push_chunk(struct plug_call *call, const uint8_t *data, size_t size, bool last,
	   bool despite_deadline)
{
	struct plugs_message msg = {.kind = PLUGS_CHUNK, .id = call->id, .last = last};

	msg.payload = (struct plugs_bytes){data, size};
	count_sent(call, size);
	return push(call, &msg, despite_deadline);
}

/* Longest payload in one message of this call. */
static size_t
piece_bytes(const struct plug_call *call, const struct plugs_message *msg)
{
	return call->channel ? plugp_channel_piece(call->channel, msg) : PLUG_CHUNK_BYTES;
}

/* What follows the first message of a long payload. */
static plug_err
send_rest(struct plug_call *call, const uint8_t *data, size_t size, size_t piece, bool final)
{
	for (size_t at = piece; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		plug_err err = wait_window(call, final);

		if (err == PLUG_OK)
			err = push_chunk(call, data + at, n, at + n == size, final);
		if (err == PLUG_OK)
			continue;
		if (!final || atomic_load(&call->cancel))
			push_chunk(call, NULL, 0, true, final);
		return err;
	}
	return PLUG_OK;
}

void
plugp_reply_count(struct plug_plugin *plugin, const struct channel *channel, uint32_t outcome)
{
	struct plug_vitals *vitals = plugin->page.vitals;

	if (channel) {
		page_add(outcome == PLUG_OK ? &vitals->channel_ok : &vitals->channel_errors, 1);
		if (outcome == PLUG_ECANCELLED)
			page_add(&vitals->channel_cancelled, 1);
		return;
	}
	page_add(&vitals->in_flight, (uint64_t)-1);
	page_add(outcome == PLUG_OK ? &vitals->replies_ok : &vitals->replies_error, 1);
	if (outcome == PLUG_ECANCELLED)
		page_add(&vitals->cancelled, 1);
}

static void
count_answer(struct plug_call *call, uint32_t outcome)
{
	call->answered = true;
	call->outcome = outcome;
	if (!call->led) /* else when its handler has returned */
		plugp_reply_count(call->plugin, call->channel, outcome);
}

/* Push the first message of a payload, with the tensors that are in it. */
static plug_err
push_first(struct plug_call *call, const struct plugs_message *msg, struct plugs_pins *pins)
{
	plug_err err;

	/* A channel's caller may be too slow to be answered: then there is another answer. */
	if (!msg->partial && !call->channel)
		count_answer(call, PLUG_OK);
	err = push(call, msg, false);
	if (!msg->partial && call->channel && err == PLUG_OK)
		count_answer(call, PLUG_OK);
	if (err == PLUG_OK) {
		plugs_pins_leave(pins);
	} else if (pins) {
		call->unanswerable = err; /* its tensors are gone */
		plugs_pins_end(pins);
	}
	return err;
}

static plug_err
send_payload(struct plug_call *call, const char *content_type, const uint8_t *data, size_t size,
	     bool partial, const struct plug_tensor *tensors, size_t count)
{
	struct plugs_message msg = {.kind = PLUGS_REPLY, .id = call->id, .partial = partial};
	struct plugs_tensor wire[PLUGS_TENSORS_MAX];
	struct plugs_pins *pins = NULL;
	size_t piece;
	plug_err err;

	if (call->answered)
		return PLUG_ESTATE;
	if (call->unanswerable)
		return call->unanswerable;
	if (size > call->plugin->session.call_bytes) {
		plug_fail(call, PLUG_ETOOLARGE, "the reply has %zu bytes, more than %llu", size,
			  (unsigned long long)call->plugin->session.call_bytes);
		return PLUG_ETOOLARGE;
	}
	err = wait_window(call, false);
	if (err != PLUG_OK)
		return atomic_load(&call->plugin->stopping) == STOP_GONE ? PLUG_EGONE : err;
	msg.content_type = content_type ? text_bytes(content_type)
					: (struct plugs_bytes){(const uint8_t *)call->content_type,
							       call->content_type_size};
	if (msg.content_type.size > CALL_TYPE_BYTES)
		return plug_fail(call, PLUG_EINVAL,
				 "the content type has %zu bytes, expected at most %d",
				 msg.content_type.size, CALL_TYPE_BYTES);
	err = plugp_tensors_send(call, tensors, count, wire, &msg, &pins);
	if (err != PLUG_OK)
		return err;
	piece = piece_bytes(call, &msg);
	msg.payload = (struct plugs_bytes){data, size < piece ? size : piece};
	msg.more = size > piece;
	count_sent(call, msg.payload.size);
	err = push_first(call, &msg, pins);
	return err == PLUG_OK ? send_rest(call, data, size, piece, !partial) : err;
}

plug_err
plug_reply(struct plug_call *call, const char *content_type, const void *data, size_t size)
{
	return send_payload(call, content_type, data, size, false, NULL, 0);
}

plug_err
plug_reply_tensors(struct plug_call *call, const char *content_type, const void *data, size_t size,
		   const struct plug_tensor *tensors, size_t count)
{
	return send_payload(call, content_type, data, size, false, tensors, count);
}

plug_err
plug_reply_piece(struct plug_call *call, const char *content_type, const void *data, size_t size)
{
	if (!(call->method->flags & PLUG_METHOD_STREAM))
		return PLUG_ESTATE;
	return send_payload(call, content_type, data, size, true, NULL, 0);
}

static void
send_failure(struct plug_plugin *plugin, struct channel *channel, uint64_t id, plug_err code,
	     const char *text)
{
	struct plugs_message msg = {.kind = PLUGS_REPLY, .id = id, .code = (uint32_t)code};

	msg.text = text_bytes(text);
	msg.content_type = text_bytes("");
	if (channel)
		plugp_channel_send(channel, &msg);
	else
		push_session(plugin, &msg);
}

void
plugp_reply_refuse(struct plug_plugin *plugin, struct channel *channel, uint64_t id, plug_err code,
		   const char *format, ...)
{
	char text[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	plugp_reply_count(plugin, channel, (uint32_t)code);
	send_failure(plugin, channel, id, code, text);
}

static bool
known(plug_err err)
{
	return strcmp(plug_err_name(err), "PLUG_E?") != 0;
}

/* Its handler gave up because the process ends, which is no wish of its caller. */
static bool
was_stopped(const struct plug_call *call)
{
	return atomic_load(&call->plugin->stopping) && !atomic_load(&call->cancel);
}

/* The answer of a handler that gave none. */
static void
answer_for(struct plug_call *call, plug_err err)
{
	char text[MESSAGE_BYTES];
	const char *message = call->message ? call->message : plug_err_text(err);

	if (!known(err)) {
		snprintf(text, sizeof(text), "%s returned %d, which is no plug_err%s%s",
			 call->method->name, (int)err, call->message ? "; " : "",
			 call->message ? call->message : "");
		message = text;
		err = PLUG_EPLUGIN;
	}
	count_answer(call, (uint32_t)err);
	send_failure(call->plugin, call->channel, call->id, err, message);
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
	if (err == PLUG_ECANCELLED && was_stopped(call)) {
		err = PLUG_EGONE;
		if (!call->message)
			plug_fail(call, err, "%s was stopped while it executed the call",
				  call->plugin->config.name);
	}
	answer_for(call, err);
}
