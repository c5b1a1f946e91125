/*
 * From a record in the ring to its consequences.  The record is copied once, into private memory,
 * and everything is read and checked there.
 *
 * A quick handler is run here, by the holder, without a lock: its call is in no table, because
 * nobody else takes records meanwhile.  Whoever takes the role from the holder puts it there.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "state.h"

bool
plugp_plane_is_led(const struct plug_call *call)
{
	const struct role *role = &call->plugin->work.roles[DUTY_PLANE];

	return atomic_load_explicit(&role->beat, memory_order_relaxed) == call->led;
}

static enum plane_take
violated(struct plug_plugin *plugin, struct channel *channel, const char *violation)
{
	plugp_plane_close(plugin, channel, violation);
	return TAKE_CLOSED;
}

/* ---- quick handlers ---- */

static void
count_led(struct plug_plugin *plugin, const struct plug_call *call)
{
	if (call->outcome == PLUG_OK)
		plugin->plane.ok++;
	else
		plugp_reply_count(plugin, call->channel, call->outcome);
	if (call->timed) {
		uint32_t average = plugp_methods_average(&plugin->methods, call->method);
		uint64_t took_ns = clock_ns() - call->began_ns;

		plugp_methods_learn(&plugin->methods, call->method, took_ns);
		plugp_page_took(&plugin->page, took_ns, average > PLANE_TIMED_NS ? 1 : PLANE_TIMED);
	}
}

/* Nobody else has ever seen it. */
static void
recycle(struct plane *plane, struct plug_call *call)
{
	if (call->payload_own)
		free(call->payload);
	free(call->message);
	if (call->tensors)
		plugp_tensors_drop(call);
	plugp_spare_put(plane, call);
}

static enum plane_take
run_leading(struct worker *worker, struct plug_call *call)
{
	struct plug_plugin *plugin = worker->plugin;
	struct role *role = &plugin->work.roles[DUTY_PLANE];
	uint64_t beat = atomic_load_explicit(&role->beat, memory_order_relaxed) + 1;
	unsigned slot = (unsigned)role->slot;

	call->worker = worker;
	call->led = beat;
	call->slot = role->slot;
	call->stage = CALL_RUNNING;
	role->current = call;
	atomic_store_explicit(&role->beat, beat, memory_order_release);
	if (!atomic_load_explicit(&plugin->work.watched, memory_order_relaxed))
		plugp_work_will_block(call);
	plugp_page_executing(&plugin->page, slot, plugp_call_number(call->channel, call->id),
			     call->began_ns, call->deadline_ns);
	plugp_reply_finish(call, call->method->handler(call, plugin->config.user));
	plugp_page_idle(&plugin->page, slot);
	if (!atomic_compare_exchange_strong(&role->beat, &beat, beat + 1)) {
		plugp_work_end(worker, call);
		return TAKE_LOST;
	}
	count_led(plugin, call);
	recycle(&plugin->plane, call);
	return TAKE_ONE;
}

static void
note_company(struct plane *plane, struct channel *channel)
{
	plane->alone = plane->waited && plane->last == channel ? plane->alone + 1 : 0;
	plane->last = channel;
	plane->waited = false;
}

/* A thread that is handed the duty while the only caller there is waits for this very answer is
 * woken for nothing; and while it looks for the next call it may have the handler's processor. */
static uint32_t
quick_ns(const struct plane *plane)
{
	return plane->alone >= PLANE_ALONE ? PLANE_ALONE_NS : WORK_QUICK_NS;
}

static enum plane_take
run(struct worker *worker, struct plug_call *call)
{
	struct plug_plugin *plugin = worker->plugin;
	struct role *role = &plugin->work.roles[DUTY_PLANE];
	uint32_t average = plugp_methods_average(&plugin->methods, call->method);

	note_company(&plugin->plane, call->channel);
	if (average && average <= quick_ns(&plugin->plane) &&
	    !atomic_load_explicit(&plugin->plane.news, memory_order_relaxed) &&
	    (role->slot >= 0 || plugp_work_keep_slot(plugin, role))) {
		call->timed =
			average > PLANE_TIMED_NS || ++plugin->plane.untimed % PLANE_TIMED == 0;
		if (call->timed && !call->near_deadline)
			call->began_ns = clock_ns();
		return run_leading(worker, call);
	}
	return plugp_work_run(worker, DUTY_PLANE, call) ? TAKE_ONE : TAKE_LOST;
}

/* ---- calls ---- */

/* Terminates what must be.  The byte behind a field belongs to the next one's tag, which has been
 * read, or is the one that the record has more than the message. */
static void
fill(struct plug_call *call, struct channel *channel, const struct plug_method *method,
     const struct plugs_message *msg, uint8_t *end)
{
	bool exact = msg->timeout_us && msg->timeout_us < PLANE_EXACT_US;

	call->channel = channel;
	call->method = method;
	call->id = msg->id;
	call->near_deadline = msg->timeout_us && msg->timeout_us < PLANE_NEAR_US;
	call->began_ns = exact ? clock_ns() : clock_coarse_ns();
	/* A far one may pass a tenth of a second late, but never before the caller's. */
	call->deadline_ns =
		clock_deadline(call->began_ns + (exact ? 0 : CLOCK_COARSE_NS), msg->timeout_us);
	call->content_type = msg->content_type.size ? (const char *)msg->content_type.data : "";
	call->content_type_size = msg->content_type.size;
	if (msg->content_type.size)
		((uint8_t *)msg->content_type.data)[msg->content_type.size] = '\0';
	call->payload = msg->payload.size ? (uint8_t *)msg->payload.data : end;
	call->size = msg->payload.size;
	call->payload[call->size] = '\0';
	call->capacity = 0;
	call->payload_own = false;
	call->held_bytes = 0;
	call->answered = false;
	call->unanswerable = PLUG_OK;
	call->outcome = PLUG_OK;
	call->message = NULL;
	call->tensors = NULL;
	call->credit = 0;
	atomic_store_explicit(&call->cancel, PLUG_OK, memory_order_relaxed);
	atomic_store_explicit(&call->sent, 0, memory_order_relaxed);
}

static bool
overloaded(struct plug_plugin *plugin, struct channel *channel, const struct plugs_message *msg)
{
	unsigned limit = plugin->session.calls;

	if (atomic_load_explicit(&plugin->work.listed, memory_order_relaxed) < limit)
		return false;
	plugp_reply_refuse(plugin, channel, msg->id, PLUG_EOVERLOADED,
			   "%u calls are in flight, as many as the limit", limit);
	return true;
}

static enum plane_take
take_call(struct worker *worker, struct channel *channel, struct plug_call *call,
	  const struct plugs_message *msg, uint8_t *end)
{
	struct plug_plugin *plugin = worker->plugin;
	struct plane *plane = &plugin->plane;
	const struct plug_method *method;

	if (!channel->closed_at && atomic_load_explicit(&plugin->stopping, memory_order_relaxed))
		plugp_plane_close_at(channel);
	channel->next_id++;
	if (channel->closed_at) {
		atomic_store_explicit(&channel->moved_calls, true, memory_order_relaxed);
		plugp_spare_put(plane, call); /* the caller sends it elsewhere */
		return TAKE_ONE;
	}
	page_set(&plugin->page.vitals->channel_calls, ++plane->calls);
	if (plugp_calls_refused(plugin, channel, msg, &method) ||
	    overloaded(plugin, channel, msg)) {
		plugp_spare_put(plane, call);
		return TAKE_ONE;
	}
	fill(call, channel, method, msg, end);
	if (msg->tensor_count && !plugp_tensors_take(call, msg)) {
		plugp_spare_put(plane, call);
		return TAKE_ONE;
	}
	if (!msg->more)
		return run(worker, call);
	call->stage = CALL_ASSEMBLING;
	pthread_mutex_lock(&plugin->work.lock);
	plugp_calls_list(&plugin->work, call);
	pthread_mutex_unlock(&plugin->work.lock);
	return TAKE_ONE;
}

/* ---- what is about calls ---- */

static enum plane_take
take_other(struct worker *worker, struct channel *channel, const struct plugs_message *msg)
{
	struct plug_plugin *plugin = worker->plugin;
	struct plug_call *whole;

	if (msg->id == 0 || msg->id >= channel->next_id)
		return violated(plugin, channel, "a message is about a call that was not posted");
	switch (msg->kind) {
	case PLUGS_CHUNK:
		whole = plugp_calls_chunk(plugin, channel, msg);
		return !whole || plugp_work_run(worker, DUTY_PLANE, whole) ? TAKE_ONE : TAKE_LOST;
	case PLUGS_CANCEL:
		plugp_calls_cancel(plugin, channel, msg->id, msg->code);
		return TAKE_ONE;
	case PLUGS_CREDIT:
		if (plugp_calls_credit(plugin, channel, msg->id, msg->credit))
			return TAKE_ONE;
		return violated(plugin, channel, "it gave credit for more than was sent to it");
	default:
		return violated(plugin, channel, "it sent what only plugins send");
	}
}

static enum plane_take
take_record(struct worker *worker, struct channel *channel, struct plug_call *call, size_t size)
{
	struct plug_plugin *plugin = worker->plugin;
	struct plugs_tensor tensors[PLUGS_TENSORS_MAX];
	struct plugs_buffer buffers[PLUGS_BUFFERS_MAX];
	struct plugs_message msg;
	enum plane_take took;

	msg.tensors = tensors;
	msg.buffers = buffers;
	if (plugs_message_unpack(call->record, size, &msg) != PLUG_OK) {
		plugp_spare_put(&plugin->plane, call);
		return violated(plugin, channel, "a record is no message of a channel");
	}
	if (msg.kind == PLUGS_CALL && msg.id == channel->next_id)
		return take_call(worker, channel, call, &msg, call->record + size);
	if (msg.kind == PLUGS_RELEASE) {
		plugp_tensors_released(channel, &msg);
		took = TAKE_ONE;
	} else if (msg.kind == PLUGS_CALL)
		took = violated(plugin, channel, "its calls are not numbered one after the other");
	else
		took = take_other(worker, channel, &msg);
	if (took == TAKE_LOST)
		plugp_spare_give(&plugin->plane, call);
	else
		plugp_spare_put(&plugin->plane, call);
	return took;
}

enum plane_take
plugp_plane_take(struct worker *worker, struct channel *channel)
{
	struct plugs_taker *taker = &channel->taker;
	struct plug_call *call;
	const uint8_t *body;
	size_t size;
	plug_err err = plugs_peek(taker, &body, &size);

	if (err == PLUG_EAGAIN || plugp_channel_is_full(channel))
		return TAKE_NONE;
	if (err != PLUG_OK)
		return violated(worker->plugin, channel, "a record has a header that is none");
	call = plugp_spare_take(worker->plugin, size);
	if (!call)
		return violated(worker->plugin, channel, CHANNEL_NO_MEMORY);
	memcpy(call->record, body, size);
	plugs_taken(taker, size);
	channel->quiet = 0;
	if (taker->position - taker->told > taker->ring_bytes / 4 && plugs_tell_taken(taker))
		plugs_wake(channel->wake_fd);
	return take_record(worker, channel, call, size);
}
