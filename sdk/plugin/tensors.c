#include "tensors.h"

#include <stdlib.h>
#include <string.h>

#include "arena_layout.h"
#include "clock.h"
#include "exchange.h"
#include "state.h"

#define SHOW_NS (5 * NS_PER_S) /* a caller that does not take an arena for so long is given up */

/* What a handler was given; lives as long as the call. */
struct made {
	struct made *next;
	struct plug_tensor tensor;
};

struct call_tensors {
	size_t count;
	struct made *made;
	struct plug_tensor came[];
};

uint64_t
plugp_tensors_quota(const struct plug_plugin_config *config)
{
	const char *text = getenv(PLUG_ENV_TENSOR_BYTES);
	char *end = NULL;
	unsigned long long bytes = text ? strtoull(text, &end, 10) : 0;

	if (end && end != text && *end == '\0' && *text != '-')
		return bytes;
	return config->tensor_bytes ? config->tensor_bytes : PLUG_TENSOR_BYTES;
}

/* ---- requests ---- */

/* A caller that makes one mistake after the other does not fill the log. */
static void
count_fault(struct channel *channel, const char *what)
{
	uint64_t faults = ++channel->tensor_faults;

	page_add(&channel->plugin->page.vitals->tensor_faults, 1);
	if ((faults & (faults - 1)) == 0)
		plug_log(channel->plugin, PLUG_LOG_WARNING,
			 "channel %llu: fault %llu in tensors of the caller (pid %lld, \"%s\"): %s",
			 (unsigned long long)channel->number, (unsigned long long)faults,
			 (long long)channel->pid, channel->name, what);
}

static struct call_tensors *
tensors_new(size_t count)
{
	struct call_tensors *tensors = malloc(sizeof(*tensors) + count * sizeof(*tensors->came));

	if (tensors) {
		tensors->count = 0;
		tensors->made = NULL;
	}
	return tensors;
}

bool
plugp_tensors_take(struct plug_call *call, const struct plugs_message *msg)
{
	struct channel *channel = call->channel;
	size_t count = msg->tensor_count;
	struct call_tensors *tensors = tensors_new(count);
	plug_err err;

	if (!tensors) {
		plugp_reply_refuse(call->plugin, channel, call->id, PLUG_ENOMEM,
				   "no memory for %zu tensors", count);
		return false;
	}
	err = plugs_exchange_receive(channel->exchange, msg->tensors, count, false, tensors->came);
	if (err == PLUG_EAGAIN) {
		plugp_channel_drain(channel); /* the arena was sent before the record */
		err = plugs_exchange_receive(channel->exchange, msg->tensors, count, true,
					     tensors->came);
	}
	if (err != PLUG_OK) {
		free(tensors);
		if (err == PLUG_EINVAL)
			count_fault(channel, plug_tensor_error_text());
		plugp_reply_refuse(call->plugin, channel, call->id, err, "%s",
				   plug_tensor_error_text());
		return false;
	}
	tensors->count = count;
	call->tensors = tensors;
	return true;
}

void
plugp_tensors_released(struct channel *channel, const struct plugs_message *msg)
{
	if (plugs_exchange_released(channel->exchange, msg->buffers, msg->buffer_count))
		count_fault(channel, "it released what was not lent to it");
}

void
plugp_tensors_drop(struct plug_call *call)
{
	struct call_tensors *tensors = call->tensors;
	struct made *made;

	if (!tensors)
		return;
	call->tensors = NULL;
	for (size_t i = 0; i < tensors->count; i++)
		plug_tensor_unref(&tensors->came[i]);
	while ((made = tensors->made)) {
		tensors->made = made->next;
		plug_tensor_unref(&made->tensor);
		free(made);
	}
	free(tensors);
}

const struct plug_tensor *
plug_call_tensors(const struct plug_call *call, size_t *ret_count)
{
	if (ret_count)
		*ret_count = call->tensors ? call->tensors->count : 0;
	return call->tensors ? call->tensors->came : NULL;
}

const struct plug_tensor *
plug_call_tensor(const struct plug_call *call, const char *name)
{
	for (size_t i = 0; call->tensors && i < call->tensors->count; i++) {
		if (strcmp(call->tensors->came[i].name, name) == 0)
			return &call->tensors->came[i];
	}
	return NULL;
}

/* ---- replies ---- */

static plug_err
no_channel(struct plug_call *call)
{
	return plug_fail(call, PLUG_EUNAVAILABLE,
			 "%s replies with tensors, and the call came without a channel: the caller "
			 "sets PLUG_REQUEST_CHANNEL",
			 call->method->name);
}

plug_err
plug_call_tensor_alloc(struct plug_call *call, struct plug_dtype dtype, int ndim,
		       const int64_t *shape, struct plug_tensor *ret)
{
	struct made *made;
	plug_err err;

	if (!call->channel)
		return no_channel(call);
	if (!call->tensors)
		call->tensors = tensors_new(0);
	made = malloc(sizeof(*made));
	if (!call->tensors || !made) {
		free(made);
		return plug_fail(call, PLUG_ENOMEM, "no memory for a tensor");
	}
	err = plugs_pool_alloc(&call->channel->pool, dtype, ndim, shape, &made->tensor);
	if (err != PLUG_OK) {
		free(made);
		return plug_fail(call, err, "%s", plug_tensor_error_text());
	}
	made->next = call->tensors->made;
	call->tensors->made = made;
	*ret = made->tensor;
	return PLUG_OK;
}

/* What is lent is the caller's from now on: it may be back before the handler has returned, and
 * should then be free. */
static void
hand_over(struct call_tensors *own, const struct plug_tensor *tensors, size_t count)
{
	struct made **at = own ? &own->made : NULL, *made;

	while (at && (made = *at)) {
		bool sent = false;

		for (size_t i = 0; i < count && !sent; i++)
			sent = tensors[i].buffer == made->tensor.buffer;
		if (!sent) {
			at = &made->next;
			continue;
		}
		*at = made->next;
		plug_tensor_unref(&made->tensor);
		free(made);
	}
}

/* The caller has not yet taken what lies in the wake socket. */
static plug_err
wait_and_lend(struct plug_call *call, const struct plug_tensor *tensors, size_t count,
	      struct plugs_tensor *wire, struct plugs_pins **ret_pins)
{
	uint64_t until = clock_ns() + SHOW_NS;
	plug_err err;

	plugp_work_will_block(call);
	if (call->deadline_ns < until)
		until = call->deadline_ns;
	err = plugs_exchange_send_until(call->channel->exchange, tensors, count, until, wire,
					ret_pins);
	return err == PLUG_EGONE ? PLUG_ECANCELLED : err;
}

plug_err
plugp_tensors_send(struct plug_call *call, const struct plug_tensor *tensors, size_t count,
		   struct plugs_tensor *wire, struct plugs_message *msg,
		   struct plugs_pins **ret_pins)
{
	plug_err err;

	*ret_pins = NULL;
	if (count == 0)
		return PLUG_OK;
	if (!call->channel)
		return no_channel(call);
	err = plugs_exchange_send(call->channel->exchange, tensors, count, wire, ret_pins);
	if (err == PLUG_EAGAIN)
		err = wait_and_lend(call, tensors, count, wire, ret_pins);
	if (err != PLUG_OK)
		return plug_fail(call, err, "%s", plug_tensor_error_text());
	hand_over(call->tensors, tensors, count);
	msg->tensors = wire;
	msg->tensor_count = (uint32_t)count;
	return PLUG_OK;
}
