/*
 * Calls from their first message to their worker.  On the session and on each channel only one
 * thread adds calls and completes them, so between two messages nothing here changes under it but
 * what a worker removes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "state.h"

uint64_t
plugp_call_number(const struct channel *channel, uint64_t id)
{
	return channel ? channel->number << 32 | (uint32_t)id : id;
}

/* ---- the table ---- */

static struct plug_call **
bucket(struct work *work, const struct channel *channel, uint64_t id)
{
	uint64_t salt = channel ? channel->number * 7 : 0;

	return &work->buckets[(id + salt) & (WORK_BUCKETS - 1)];
}

struct plug_call *
plugp_calls_find(struct work *work, const struct channel *channel, uint64_t id)
{
	struct plug_call *call = *bucket(work, channel, id);

	while (call && (call->id != id || call->channel != channel))
		call = call->bucket_next;
	return call;
}

void
plugp_calls_list(struct work *work, struct plug_call *call)
{
	struct plug_call **at = bucket(work, call->channel, call->id);

	if (call->listed)
		return;
	call->listed = true;
	call->bucket_next = *at;
	*at = call;
	work->listed++;
	if (call->channel)
		call->channel->listed++;
}

void
plugp_calls_remove(struct work *work, struct plug_call *call)
{
	struct plug_call **at = bucket(work, call->channel, call->id);

	if (!call->listed)
		return;
	while (*at != call)
		at = &(*at)->bucket_next;
	*at = call->bucket_next;
	call->listed = false;
	work->listed--;
	if (call->channel)
		plugp_channel_unlisted(call->channel, call->held_bytes);
}

void
plugp_calls_free(struct plug_call *call)
{
	if (!call)
		return;
	if (call->payload_own)
		free(call->payload);
	free(call->message);
	plugp_tensors_drop(call);
	if (call->channel) {
		plugp_spare_give(&call->plugin->plane, call);
		return;
	}
	pthread_cond_destroy(&call->wake);
	free(call);
}

/* ---- taking ---- */

static void
refuse_method(struct plug_plugin *plugin, struct channel *channel, const struct plugs_message *msg)
{
	int size = msg->method.size < PLUG_NAME_BYTES ? (int)msg->method.size : PLUG_NAME_BYTES;
	char list[512];
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < plugin->methods.count && used < sizeof(list) - 1; i++) {
		int n = snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
				 plugin->methods.list[i].name);

		used += n > 0 ? (size_t)n : 0;
	}
	plugp_reply_refuse(plugin, channel, msg->id, PLUG_ENOMETHOD,
			   "no method \"%.*s\"; there are: %s%s", size,
			   size ? (const char *)msg->method.data : "", list,
			   used >= sizeof(list) ? " …" : "");
}

bool
plugp_calls_refused(struct plug_plugin *plugin, struct channel *channel,
		    const struct plugs_message *msg, const struct plug_method **ret_method)
{
	bool open = atomic_load_explicit(&plugin->work.open, memory_order_relaxed);

	if (!open || atomic_load_explicit(&plugin->stopping, memory_order_relaxed)) {
		plugp_reply_refuse(plugin, channel, msg->id, PLUG_EUNAVAILABLE,
				   "%s is %s and takes no calls", plugin->config.name,
				   open ? "stopping" : "starting");
		return true;
	}
	if (msg->payload.size > plugin->session.call_bytes) {
		plugp_reply_refuse(plugin, channel, msg->id, PLUG_ETOOLARGE,
				   "the payload has more than %llu bytes",
				   (unsigned long long)plugin->session.call_bytes);
		return true;
	}
	if (msg->content_type.size > CALL_TYPE_BYTES) {
		plugp_reply_refuse(plugin, channel, msg->id, PLUG_EINVAL,
				   "the content type has %zu bytes, expected at most %d",
				   msg->content_type.size, CALL_TYPE_BYTES);
		return true;
	}
	*ret_method = plugp_methods_find(&plugin->methods, msg->method.data, msg->method.size);
	if (*ret_method)
		return false;
	refuse_method(plugin, channel, msg);
	return true;
}

/* One allocation holds the call, its content type and a payload that came whole. */
static struct plug_call *
new_call(struct plug_plugin *plugin, const struct plug_method *method,
	 const struct plugs_message *msg)
{
	size_t type_size = msg->content_type.size;
	struct plug_call *call = malloc(sizeof(*call) + type_size + msg->payload.size + 2);
	char *type;

	if (!call)
		return NULL;
	memset(call, 0, sizeof(*call));
	call->plugin = plugin;
	call->method = method;
	call->id = msg->id;
	call->deadline_ns = clock_deadline(clock_ns(), msg->timeout_us);
	type = (char *)(call + 1);
	if (type_size)
		memcpy(type, msg->content_type.data, type_size);
	type[type_size] = '\0';
	call->content_type = type;
	call->content_type_size = strlen(type); /* a NUL inside ends it */
	call->payload = (uint8_t *)type + type_size + 1;
	call->size = msg->payload.size;
	if (call->size)
		memcpy(call->payload, msg->payload.data, call->size);
	call->payload[call->size] = '\0';
	call->stage = msg->more ? CALL_ASSEMBLING : CALL_QUEUED;
	clock_cond_init(&call->wake);
	return call;
}

struct plug_call *
plugp_calls_take(struct plug_plugin *plugin, const struct plugs_message *msg, bool *ret_ok)
{
	struct work *work = &plugin->work;
	const struct plug_method *method;
	struct plug_call *call;

	*ret_ok = true;
	page_add(&plugin->page.vitals->calls, 1);
	page_add(&plugin->page.vitals->in_flight, 1);
	if (plugp_calls_refused(plugin, NULL, msg, &method))
		return NULL;
	call = new_call(plugin, method, msg);
	if (!call) {
		plugp_reply_refuse(plugin, NULL, msg->id, PLUG_ENOMEM, "no memory for a call");
		return NULL;
	}
	pthread_mutex_lock(&work->lock);
	*ret_ok = plugp_calls_find(work, NULL, msg->id) == NULL;
	if (*ret_ok)
		plugp_calls_list(work, call);
	pthread_mutex_unlock(&work->lock);
	if (!*ret_ok) {
		plugp_calls_free(call);
		return NULL;
	}
	return call->stage == CALL_QUEUED ? call : NULL;
}

/* One caller may have the memory of two requests of the greatest size. */
static bool
hold(struct plug_call *call, size_t size, uint64_t limit)
{
	size_t more = call->payload_own ? size : call->size + size;

	if (!call->channel)
		return true; /* plugd sees to that */
	if (atomic_load(&call->channel->held_bytes) + more > 2 * limit)
		return false;
	atomic_fetch_add(&call->channel->held_bytes, more);
	call->held_bytes += more;
	return true;
}

static plug_err
append(struct plug_call *call, const uint8_t *data, size_t size, uint64_t limit)
{
	size_t need = call->size + size + 1;

	if (call->size + size > limit)
		return PLUG_ETOOLARGE;
	if (!hold(call, size, limit))
		return PLUG_EOVERLOADED;
	if (need > call->capacity) {
		size_t capacity = need < 2 * call->capacity ? 2 * call->capacity : need;
		uint8_t *grown = realloc(call->payload_own ? call->payload : NULL, capacity);

		if (!grown)
			return PLUG_ENOMEM;
		if (!call->payload_own)
			memcpy(grown, call->payload, call->size);
		call->payload = grown;
		call->payload_own = true;
		call->capacity = capacity;
	}
	if (size)
		memcpy(call->payload + call->size, data, size);
	call->size += size;
	call->payload[call->size] = '\0';
	return PLUG_OK;
}

/* Forget a call that never reached a worker and answer it. */
static void
abandon(struct plug_plugin *plugin, struct plug_call *call, plug_err code)
{
	if (code == PLUG_ETOOLARGE)
		plugp_reply_refuse(plugin, call->channel, call->id, code,
				   "the payload has more than %llu bytes",
				   (unsigned long long)plugin->session.call_bytes);
	else if (code == PLUG_EOVERLOADED)
		plugp_reply_refuse(plugin, call->channel, call->id, code,
				   "long requests of this caller hold %llu bytes already, expected "
				   "at most %llu",
				   (unsigned long long)atomic_load(&call->channel->held_bytes),
				   2 * (unsigned long long)plugin->session.call_bytes);
	else if (code == PLUG_EUNAVAILABLE)
		plugp_reply_refuse(plugin, call->channel, call->id, code,
				   "%s is stopping and has not started the call",
				   plugin->config.name);
	else
		plugp_reply_refuse(plugin, call->channel, call->id, code,
				   "%s before it was started", plug_err_text(code));
	pthread_mutex_lock(&plugin->work.lock);
	plugp_calls_remove(&plugin->work, call); /* last: the channel goes with its last call */
	pthread_mutex_unlock(&plugin->work.lock);
	plugp_calls_free(call);
}

struct plug_call *
plugp_calls_chunk(struct plug_plugin *plugin, struct channel *channel,
		  const struct plugs_message *msg)
{
	struct work *work = &plugin->work;
	struct plug_call *call;
	plug_err err;

	pthread_mutex_lock(&work->lock);
	call = plugp_calls_find(work, channel, msg->id);
	if (call && call->stage != CALL_ASSEMBLING)
		call = NULL;
	pthread_mutex_unlock(&work->lock);
	if (!call)
		return NULL; /* of a call that was refused or cancelled: on its way already */
	err = append(call, msg->payload.data, msg->payload.size, plugin->session.call_bytes);
	if (err != PLUG_OK) {
		abandon(plugin, call, err);
		return NULL;
	}
	return msg->last ? call : NULL;
}

/* ---- cancelling ---- */

/* Called with the lock held.  True when `call` was waiting there. */
static bool
unqueue(struct work *work, struct plug_call *call)
{
	struct plug_call **at = &work->queue;

	while (*at && *at != call)
		at = &(*at)->queue_next;
	if (!*at)
		return false;
	*at = call->queue_next;
	if (!*at)
		work->queue_tail = at;
	return true;
}

/* Called with the lock held.  True: it waits for its end or for a worker, and is the caller's. */
static bool
cancel(struct work *work, struct plug_call *call, plug_err code)
{
	if (call->stage == CALL_ASSEMBLING || unqueue(work, call))
		return true;
	atomic_store(&call->cancel, (int)code);
	pthread_cond_broadcast(&call->wake);
	return false;
}

void
plugp_calls_cancel(struct plug_plugin *plugin, struct channel *channel, uint64_t id,
		   uint32_t reason)
{
	struct work *work = &plugin->work;
	plug_err code = reason == PLUG_ETIMEOUT ? PLUG_ETIMEOUT : PLUG_ECANCELLED;
	struct plug_call *call;
	bool waits;

	pthread_mutex_lock(&work->lock);
	call = plugp_calls_find(work, channel, id);
	waits = call && cancel(work, call, code);
	pthread_mutex_unlock(&work->lock);
	if (waits)
		abandon(plugin, call, code);
}

bool
plugp_calls_credit(struct plug_plugin *plugin, struct channel *channel, uint64_t id, uint64_t bytes)
{
	struct plug_call *call;
	bool ok = true;

	pthread_mutex_lock(&plugin->work.lock);
	call = plugp_calls_find(&plugin->work, channel, id);
	if (call) {
		ok = !channel || bytes <= atomic_load(&call->sent) - call->credit;
		call->credit += ok ? bytes : 0;
		pthread_cond_broadcast(&call->wake);
	}
	pthread_mutex_unlock(&plugin->work.lock);
	return ok;
}

/* The first queued call for which `now` is late, taken out; NULL when there is none. */
static struct plug_call *
take_expired(struct work *work, uint64_t now)
{
	struct plug_call *call;

	pthread_mutex_lock(&work->lock);
	for (call = work->queue; call && call->deadline_ns > now; call = call->queue_next)
		;
	if (call)
		unqueue(work, call);
	pthread_mutex_unlock(&work->lock);
	return call;
}

void
plugp_calls_expire(struct plug_plugin *plugin)
{
	uint64_t now = clock_ns();
	struct plug_call *call;

	while ((call = take_expired(&plugin->work, now)) != NULL)
		abandon(plugin, call, PLUG_ETIMEOUT);
}

void
plugp_work_cancel_all(struct plug_plugin *plugin)
{
	struct work *work = &plugin->work;
	struct plug_call *call;

	pthread_mutex_lock(&work->lock);
	for (size_t i = 0; i < WORK_BUCKETS; i++) {
		for (call = work->buckets[i]; call; call = call->bucket_next)
			pthread_cond_broadcast(&call->wake);
	}
	pthread_mutex_unlock(&work->lock);
	while ((call = take_expired(work, UINT64_MAX)) != NULL)
		abandon(plugin, call, PLUG_EUNAVAILABLE);
}

void
plugp_work_stir(struct plug_plugin *plugin, const struct channel *channel)
{
	struct work *work = &plugin->work;

	pthread_mutex_lock(&work->lock);
	for (size_t i = 0; i < WORK_BUCKETS; i++) {
		for (struct plug_call *call = work->buckets[i]; call; call = call->bucket_next) {
			if (call->channel == channel)
				pthread_cond_broadcast(&call->wake);
		}
	}
	pthread_mutex_unlock(&work->lock);
}

void
plugp_calls_orphan(struct plug_plugin *plugin, struct channel *channel)
{
	struct work *work = &plugin->work;
	struct plug_call *call, *next;

	pthread_mutex_lock(&work->lock);
	for (size_t i = 0; i < WORK_BUCKETS; i++) {
		for (call = work->buckets[i]; call; call = next) {
			next = call->bucket_next;
			if (call->channel != channel || !cancel(work, call, PLUG_ECANCELLED))
				continue;
			plugp_reply_count(plugin, channel, PLUG_ECANCELLED);
			plugp_calls_remove(work, call);
			plugp_calls_free(call);
		}
	}
	pthread_mutex_unlock(&work->lock);
}
