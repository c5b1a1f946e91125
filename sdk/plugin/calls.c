/*
 * Calls from their first message to their worker.  Only the receiver adds calls and completes them,
 * so between two messages nothing here changes under it but what a worker removes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "codec.h"
#include "state.h"

static struct plug_call **
find(struct work *work, uint64_t id)
{
	struct plug_call **at = &work->buckets[id & (WORK_BUCKETS - 1)];

	while (*at && (*at)->id != id)
		at = &(*at)->bucket_next;
	return at;
}

void
plugp_calls_remove(struct work *work, struct plug_call *call)
{
	struct plug_call **at = find(work, call->id);

	if (*at == call)
		*at = call->bucket_next;
}

void
plugp_calls_free(struct plug_call *call)
{
	if (!call)
		return;
	if (call->payload_own)
		free(call->payload);
	free(call->message);
	pthread_cond_destroy(&call->wake);
	free(call);
}

static const struct plug_method *
find_method(const struct plug_plugin *plugin, const char *name)
{
	for (size_t i = 0; i < plugin->method_count; i++) {
		if (strcmp(plugin->config.methods[i].name, name) == 0)
			return &plugin->config.methods[i];
	}
	return NULL;
}

static void
refuse_method(struct plug_plugin *plugin, uint64_t id, const char *name)
{
	char list[512];
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < plugin->method_count && used < sizeof(list) - 1; i++) {
		int n = snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
				 plugin->config.methods[i].name);

		used += n > 0 ? (size_t)n : 0;
	}
	plugp_reply_refuse(plugin, id, PLUG_ENOMETHOD, "no method \"%.63s\"; there are: %s%s", name,
			   list, used >= sizeof(list) ? " …" : "");
}

/* One allocation holds the call, its content type and a payload that came whole. */
static struct plug_call *
new_call(struct plug_plugin *plugin, uint64_t id, const struct plug_method *method,
	 const Plug__Call *msg)
{
	const char *type = plug_str(msg->content_type);
	size_t type_size = strlen(type) + 1;
	struct plug_call *call = malloc(sizeof(*call) + type_size + msg->payload.len + 1);

	if (!call)
		return NULL;
	memset(call, 0, sizeof(*call));
	call->plugin = plugin;
	call->method = method;
	call->id = id;
	call->deadline_ns = UINT64_MAX;
	if (msg->timeout_us && msg->timeout_us < UINT64_MAX / NS_PER_US / 2)
		call->deadline_ns = clock_ns() + msg->timeout_us * NS_PER_US;
	call->content_type = (char *)(call + 1);
	memcpy(call->content_type, type, type_size);
	call->payload = (uint8_t *)call->content_type + type_size;
	call->size = msg->payload.len;
	if (call->size)
		memcpy(call->payload, msg->payload.data, call->size);
	call->payload[call->size] = '\0';
	call->stage = msg->more ? CALL_ASSEMBLING : CALL_QUEUED;
	clock_cond_init(&call->wake);
	return call;
}

static bool
refused(struct plug_plugin *plugin, uint64_t id, const Plug__Call *msg)
{
	bool open = atomic_load(&plugin->work.open);

	if (!open || atomic_load(&plugin->stopping)) {
		plugp_reply_refuse(plugin, id, PLUG_EUNAVAILABLE, "%s is %s and takes no calls",
				   plugin->config.name, open ? "stopping" : "starting");
		return true;
	}
	if (msg->payload.len > plugin->session.call_bytes) {
		plugp_reply_refuse(plugin, id, PLUG_ETOOLARGE,
				   "the payload has more than %llu bytes",
				   (unsigned long long)plugin->session.call_bytes);
		return true;
	}
	return false;
}

struct plug_call *
plugp_calls_take(struct plug_plugin *plugin, uint64_t id, const Plug__Call *msg, bool *ret_ok)
{
	struct work *work = &plugin->work;
	const struct plug_method *method = find_method(plugin, plug_str(msg->method));
	struct plug_call *call, **at;

	*ret_ok = true;
	page_add(&plugin->page.vitals->calls, 1);
	page_add(&plugin->page.vitals->in_flight, 1);
	if (refused(plugin, id, msg))
		return NULL;
	if (!method) {
		refuse_method(plugin, id, plug_str(msg->method));
		return NULL;
	}
	call = new_call(plugin, id, method, msg);
	if (!call) {
		plugp_reply_refuse(plugin, id, PLUG_ENOMEM, "no memory for a call");
		return NULL;
	}
	pthread_mutex_lock(&work->lock);
	at = find(work, id);
	*ret_ok = *at == NULL;
	if (*ret_ok)
		*at = call;
	pthread_mutex_unlock(&work->lock);
	if (!*ret_ok) {
		plugp_calls_free(call);
		return NULL;
	}
	return call->stage == CALL_QUEUED ? call : NULL;
}

static plug_err
append(struct plug_call *call, const uint8_t *data, size_t size, uint64_t limit)
{
	size_t need = call->size + size + 1;

	if (call->size + size > limit)
		return PLUG_ETOOLARGE;
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
	pthread_mutex_lock(&plugin->work.lock);
	plugp_calls_remove(&plugin->work, call);
	pthread_mutex_unlock(&plugin->work.lock);
	if (code == PLUG_ETOOLARGE)
		plugp_reply_refuse(plugin, call->id, code, "the payload has more than %llu bytes",
				   (unsigned long long)plugin->session.call_bytes);
	else
		plugp_reply_refuse(plugin, call->id, code, "%s before it was started",
				   plug_err_text(code));
	plugp_calls_free(call);
}

struct plug_call *
plugp_calls_chunk(struct plug_plugin *plugin, uint64_t id, const Plug__Chunk *msg)
{
	struct work *work = &plugin->work;
	struct plug_call *call;
	plug_err err;

	pthread_mutex_lock(&work->lock);
	call = *find(work, id);
	if (call && call->stage != CALL_ASSEMBLING)
		call = NULL;
	pthread_mutex_unlock(&work->lock);
	if (!call)
		return NULL; /* of a call that was refused or cancelled: on its way already */
	err = append(call, msg->data.data, msg->data.len, plugin->session.call_bytes);
	if (err != PLUG_OK) {
		abandon(plugin, call, err);
		return NULL;
	}
	if (!msg->last)
		return NULL;
	call->stage = CALL_QUEUED;
	return call;
}

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

void
plugp_calls_cancel(struct plug_plugin *plugin, uint64_t id, uint32_t reason)
{
	struct work *work = &plugin->work;
	plug_err code = reason == PLUG_ETIMEOUT ? PLUG_ETIMEOUT : PLUG_ECANCELLED;
	struct plug_call *call;
	bool waits;

	pthread_mutex_lock(&work->lock);
	call = *find(work, id);
	waits = call && (call->stage == CALL_ASSEMBLING || unqueue(work, call));
	if (call && !waits) {
		atomic_store(&call->cancel, (int)code);
		pthread_cond_broadcast(&call->wake);
	}
	pthread_mutex_unlock(&work->lock);
	if (waits)
		abandon(plugin, call, code);
}

void
plugp_calls_credit(struct plug_plugin *plugin, uint64_t id, uint64_t bytes)
{
	struct plug_call *call;

	pthread_mutex_lock(&plugin->work.lock);
	call = *find(&plugin->work, id);
	if (call) {
		call->credit += bytes;
		pthread_cond_broadcast(&call->wake);
	}
	pthread_mutex_unlock(&plugin->work.lock);
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
		abandon(plugin, call, PLUG_ECANCELLED);
}
