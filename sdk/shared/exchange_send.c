/* Lending. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exchange_private.h"
#include "tensor.h"

#define NS_PER_S  1000000000u
#define NS_PER_MS 1000000u

/* Named and not pointed at: what was lent may be released before it was posted, by somebody who
 * guesses. */
struct pin {
	uint32_t number;
	uint64_t generation;
};

struct plugs_pins {
	struct plugs_exchange *exchange; /* holds a reference */
	uint32_t count;
	struct pin pins[];
};

/* What a function that holds the lock leaves to be dropped after it. */
struct dropped {
	struct plug_buffer *buffers[PLUGS_BUFFERS_MAX];
	struct plug_arena *arenas[PLUGS_BUFFERS_MAX];
	size_t buffer_count, arena_count;
};

/* The arrays are left as they are: this is on the path of every call. */
static void
dropped_init(struct dropped *dropped)
{
	dropped->buffer_count = dropped->arena_count = 0;
}

static void
drop(struct dropped *dropped)
{
	for (size_t i = 0; i < dropped->buffer_count; i++)
		plugs_buffer_unref(dropped->buffers[i]);
	for (size_t i = 0; i < dropped->arena_count; i++)
		plugs_arena_unref(dropped->arenas[i]);
}

/* ---- the table of what is lent ---- */

static struct plugs_lent **
place(struct plugs_exchange *exchange, uint32_t number, uint64_t generation)
{
	/* Generations of one arena differ in their low bits while they are in use together. */
	struct plugs_lent **at = &exchange->lent[(generation + number * 7u) % PLUGS_LENT_BUCKETS];

	while (*at && ((*at)->number != number || (*at)->generation != generation))
		at = &(*at)->next;
	return at;
}

static bool
lend(struct plugs_exchange *exchange, struct plug_buffer *buffer, uint32_t number)
{
	struct plugs_lent **at = place(exchange, number, buffer->generation);
	struct plugs_lent *lent = *at;

	if (!lent) {
		lent = malloc(sizeof(*lent));
		if (!lent)
			return false;
		*lent = (struct plugs_lent){
			.buffer = buffer,
			.generation = buffer->generation,
			.number = number,
		};
		plugs_buffer_ref(buffer);
		*at = lent;
	}
	lent->count++;
	exchange->shown[plugs_arena_place(number)].in_use++;
	return true;
}

/* Once less of what is at `at`; what is to be dropped is noted. */
static void
unlend(struct plugs_exchange *exchange, struct plugs_lent **at, struct dropped *dropped)
{
	struct plugs_lent *lent = *at;

	if (!lent)
		return;
	if (exchange->wake_fd >= 0) {
		struct plug_arena *arena = plugs_exchange_unused(
			exchange, &exchange->shown[plugs_arena_place(lent->number)]);

		if (arena)
			dropped->arenas[dropped->arena_count++] = arena;
	}
	if (--lent->count)
		return;
	if (lent->buffer)
		dropped->buffers[dropped->buffer_count++] = lent->buffer;
	*at = lent->next;
	free(lent);
}

void
plugs_exchange_drop_lent(struct plugs_exchange *exchange)
{
	for (size_t i = 0; i < PLUGS_LENT_BUCKETS; i++) {
		struct plug_buffer *buffer;

		do {
			struct plugs_lent *lent;

			buffer = NULL;
			pthread_mutex_lock(&exchange->lock);
			for (lent = exchange->lent[i]; lent && !buffer; lent = lent->next) {
				buffer = lent->buffer;
				lent->buffer = NULL;
			}
			pthread_mutex_unlock(&exchange->lock);
			plugs_buffer_unref(buffer);
		} while (buffer);
	}
}

struct plug_buffer *
plugs_exchange_find_lent(struct plugs_exchange *exchange, uint32_t number, uint64_t generation)
{
	struct plug_buffer *buffer = NULL;
	struct plugs_lent *lent;

	pthread_mutex_lock(&exchange->lock);
	lent = *place(exchange, number, generation);
	if (lent)
		buffer = lent->buffer;
	if (buffer)
		plugs_buffer_ref(buffer);
	pthread_mutex_unlock(&exchange->lock);
	return buffer;
}

/* ---- sending ---- */

static void
describe(const struct plug_tensor *tensor, struct plugs_tensor *ret)
{
	*ret = (struct plugs_tensor){
		.name = {(const uint8_t *)tensor->name, strnlen(tensor->name, PLUG_TENSOR_NAME)},
		.byte_offset = tensor->buffer ? tensor->byte_offset : 0,
		.code = tensor->dtype.code,
		.bits = tensor->dtype.bits,
		.lanes = tensor->dtype.lanes,
		.dims = (uint32_t)tensor->ndim,
		.strides_count = plug_tensor_contiguous(tensor) ? 0 : (uint32_t)tensor->ndim,
	};
	for (int i = 0; i < tensor->ndim; i++)
		ret->shape[i] = (uint64_t)tensor->shape[i];
	if (ret->strides_count)
		memcpy(ret->strides, tensor->strides, (size_t)tensor->ndim * sizeof(int64_t));
}

/* With the lock held: name the buffer and lend it. */
static plug_err
place_buffer(struct plugs_exchange *exchange, struct plug_buffer *buffer, struct plugs_tensor *ret,
	     struct plugs_pins *pins, struct dropped *dropped)
{
	struct plug_arena *replaced = NULL;
	struct plugs_shown *shown;
	plug_err err;

	ret->offset = buffer->offset;
	ret->generation = buffer->generation;
	ret->bytes = buffer->bytes;
	if (buffer->lender == exchange) {
		ret->arena = buffer->number;
		ret->yours = true;
		return PLUG_OK;
	}
	err = plugs_exchange_show(exchange, buffer->arena, &shown, &replaced);
	if (replaced)
		dropped->arenas[dropped->arena_count++] = replaced;
	if (err != PLUG_OK)
		return err;
	ret->arena = shown->number;
	if (!lend(exchange, buffer, ret->arena))
		return plugs_tensor_fail(PLUG_ENOMEM, "no memory to lend a tensor");
	pins->pins[pins->count++] = (struct pin){ret->arena, buffer->generation};
	return PLUG_OK;
}

static plug_err
check(const struct plug_tensor *tensor, size_t index)
{
	plug_err err = plug_tensor_check(tensor);

	if (err == PLUG_OK && !tensor->buffer && plug_tensor_elements(tensor))
		err = plugs_tensor_fail(PLUG_EINVAL, "it is in no arena: use plug_tensor_copy()");
	if (err != PLUG_OK)
		plugs_tensor_fail(err, "tensor %zu \"%.63s\": %s", index, tensor->name,
				  plug_tensor_error_text());
	return err;
}

static plug_err
lend_all(struct plugs_exchange *exchange, const struct plug_tensor *tensors, size_t count,
	 struct plugs_tensor *ret, struct plugs_pins *pins, struct dropped *dropped)
{
	plug_err err = PLUG_OK;

	pthread_mutex_lock(&exchange->lock);
	if (exchange->wake_fd < 0)
		err = plugs_tensor_fail(PLUG_EGONE, "the channel has ended");
	for (size_t i = 0; i < count && err == PLUG_OK; i++) {
		if (tensors[i].buffer)
			err = place_buffer(exchange, tensors[i].buffer, &ret[i], pins, dropped);
	}
	pthread_mutex_unlock(&exchange->lock);
	return err;
}

plug_err
plugs_exchange_send(struct plugs_exchange *exchange, const struct plug_tensor *tensors,
		    size_t count, struct plugs_tensor *ret, struct plugs_pins **ret_pins)
{
	struct dropped dropped;
	struct plugs_pins *pins;
	plug_err err;

	if (count > PLUGS_TENSORS_MAX)
		return plugs_tensor_fail(PLUG_EINVAL, "%zu tensors, expected at most %d", count,
					 PLUGS_TENSORS_MAX);
	for (size_t i = 0; i < count; i++) {
		err = check(&tensors[i], i);
		if (err != PLUG_OK)
			return err;
		describe(&tensors[i], &ret[i]);
	}
	pins = malloc(sizeof(*pins) + count * sizeof(*pins->pins));
	if (!pins)
		return plugs_tensor_fail(PLUG_ENOMEM, "no memory to send %zu tensors", count);
	pins->count = 0;
	pins->exchange = exchange;
	plugs_exchange_ref(exchange);
	dropped_init(&dropped);
	err = lend_all(exchange, tensors, count, ret, pins, &dropped);
	drop(&dropped);
	if (err != PLUG_OK) {
		plugs_pins_end(pins);
		return err;
	}
	plugs_count(&plugs_counts.sent, count);
	*ret_pins = pins;
	return PLUG_OK;
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

plug_err
plugs_exchange_send_until(struct plugs_exchange *exchange, const struct plug_tensor *tensors,
			  size_t count, uint64_t until_ns, struct plugs_tensor *ret,
			  struct plugs_pins **ret_pins)
{
	for (;;) {
		plug_err err = plugs_exchange_send(exchange, tensors, count, ret, ret_pins);
		struct pollfd ready = {.events = POLLOUT};
		uint64_t now;

		if (err != PLUG_EAGAIN)
			return err;
		now = now_ns();
		if (now >= until_ns)
			return plugs_tensor_fail(PLUG_ETIMEOUT,
						 "the other side does not take the arena it was to "
						 "be shown");
		pthread_mutex_lock(&exchange->lock);
		ready.fd = exchange->wake_fd; /* closed meanwhile: an error of the next round */
		pthread_mutex_unlock(&exchange->lock);
		if (until_ns - now < 10 * NS_PER_MS)
			poll(&ready, 1, 1);
		else
			poll(&ready, 1, 10);
	}
}

/* ---- coming back ---- */

void
plugs_pins_end(struct plugs_pins *pins)
{
	struct dropped dropped;

	if (!pins)
		return;
	dropped_init(&dropped);
	pthread_mutex_lock(&pins->exchange->lock);
	for (uint32_t i = 0; i < pins->count; i++)
		unlend(pins->exchange,
		       place(pins->exchange, pins->pins[i].number, pins->pins[i].generation),
		       &dropped);
	pthread_mutex_unlock(&pins->exchange->lock);
	drop(&dropped);
	plugs_exchange_unref(pins->exchange);
	free(pins);
}

void
plugs_pins_leave(struct plugs_pins *pins)
{
	if (!pins)
		return;
	plugs_exchange_unref(pins->exchange);
	free(pins);
}

static bool
unlend_one(struct plugs_exchange *exchange, const struct plugs_buffer *named,
	   struct dropped *dropped)
{
	struct plugs_lent **at = place(exchange, named->arena, named->generation);

	if (!*at || !(*at)->buffer || (*at)->buffer->offset != named->offset)
		return false;
	unlend(exchange, at, dropped);
	return true;
}

size_t
plugs_exchange_released(struct plugs_exchange *exchange, const struct plugs_buffer *buffers,
			size_t count)
{
	struct dropped dropped;
	size_t strays = 0;

	if (count > PLUGS_BUFFERS_MAX)
		count = PLUGS_BUFFERS_MAX;
	dropped_init(&dropped);
	pthread_mutex_lock(&exchange->lock);
	for (size_t i = 0; i < count; i++)
		strays += !unlend_one(exchange, &buffers[i], &dropped);
	pthread_mutex_unlock(&exchange->lock);
	drop(&dropped);
	plugs_count(&plugs_counts.strays, strays);
	return strays;
}
