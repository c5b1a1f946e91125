#include "wary.h"

#include <string.h>

#include "internal.h"

/* FNV-1a, by words: for one's own payload, which nobody forges against himself. */
static uint64_t
add_bytes(uint64_t hash, const void *data, size_t size)
{
	const uint8_t *at = data;
	uint64_t word;

	for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = (hash ^ word) * UINT64_C(1099511628211);
		hash ^= hash >> 29;
	}
	for (; size; size--)
		hash = (hash ^ *at++) * UINT64_C(1099511628211);
	return hash;
}

static uint64_t
hash_of(const struct plugc_out *out)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	hash = add_bytes(hash, out->method, out->method_length + 1);
	hash = add_bytes(hash, out->content_type, out->type_length + 1);
	return add_bytes(hash, out->payload, out->size);
}

void
plugc_wary_init(struct plugc_wary *wary)
{
	pthread_mutex_init(&wary->lock, NULL);
}

void
plugc_wary_fini(struct plugc_wary *wary)
{
	pthread_mutex_destroy(&wary->lock);
}

/* Called with the lock held.  NULL: it is none of them. */
static struct plugc_wary_of *
find(struct plugc_wary *wary, uint64_t hash, uint64_t size)
{
	for (unsigned i = 0; i < wary->count; i++)
		if (wary->of[i].hash == hash && wary->of[i].size == size)
			return &wary->of[i];
	return NULL;
}

/* Called with the lock held. */
static void
drop(struct plugc_wary *wary, struct plugc_wary_of *of)
{
	*of = wary->of[--wary->count];
}

static struct plugc_wary_of *
room(struct plugc_wary *wary)
{
	struct plugc_wary_of *oldest = &wary->of[0];

	if (wary->count < PLUGC_WARY_MAX)
		return &wary->of[wary->count++];
	for (unsigned i = 1; i < PLUGC_WARY_MAX; i++)
		if (wary->of[i].until_ns < oldest->until_ns)
			oldest = &wary->of[i];
	return oldest;
}

void
plugc_wary_add(struct plugc_wary *wary, const struct plugc_call *call, uint64_t channel,
	       uint64_t number)
{
	struct plugc_wary_of of = {.hash = hash_of(&call->out),
				   .size = call->out.size,
				   .until_ns = plugc_after_ms(plugc_now_ns(), PLUGC_WARY_MS),
				   .channel = channel,
				   .number = number};
	struct plugc_wary_of *at;

	pthread_mutex_lock(&wary->lock);
	at = find(wary, of.hash, of.size);
	*(at ? at : room(wary)) = of;
	pthread_mutex_unlock(&wary->lock);
}

static bool
is_of_that_size(struct plugc_wary *wary, uint64_t size)
{
	bool found = false;

	pthread_mutex_lock(&wary->lock);
	for (unsigned i = 0; i < wary->count; i++)
		found |= wary->of[i].size == size;
	pthread_mutex_unlock(&wary->lock);
	return found;
}

static bool
mark(struct plugc_wary *wary, struct plugc_call *call)
{
	struct plugc_wary_of *of = find(wary, call->wary_hash, call->out.size);

	if (of && of->until_ns <= plugc_now_ns()) {
		drop(wary, of);
		of = NULL;
	}
	if (!of)
		return false;
	call->wary = wary;
	if (!call->died_channel) {
		call->died_channel = of->channel;
		call->died_number = of->number;
	}
	of->channel = of->number = 0;
	return true;
}

bool
plugc_wary_marks(struct plugc_wary *wary, struct plugc_call *call)
{
	bool marked;

	if (call->wary)
		return true;
	if (!atomic_load_explicit(&wary->count, memory_order_relaxed) || call->plane_only ||
	    !is_of_that_size(wary, call->out.size))
		return false;
	call->wary_hash = hash_of(&call->out);
	pthread_mutex_lock(&wary->lock);
	marked = mark(wary, call);
	pthread_mutex_unlock(&wary->lock);
	return marked;
}

/* Did its handler come to an end? */
static bool
was_answered(plug_err outcome)
{
	switch (outcome) {
	case PLUG_EGONE:
	case PLUG_EPOISON:
	case PLUG_EUNAVAILABLE:
	case PLUG_EUNREACHABLE:
	case PLUG_EOVERLOADED:
	case PLUG_ETIMEOUT:
	case PLUG_ECANCELLED:
		return false;
	default:
		return true;
	}
}

void
plugc_wary_ended(struct plugc_call *call)
{
	struct plugc_wary *wary = call->wary;
	struct plugc_wary_of *of;

	if (!was_answered(call->outcome))
		return;
	pthread_mutex_lock(&wary->lock);
	of = find(wary, call->wary_hash, call->out.size);
	if (of)
		drop(wary, of);
	pthread_mutex_unlock(&wary->lock);
}
