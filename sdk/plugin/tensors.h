/*
 * Tensors of calls: those that came with a request, and those that its handler makes for the reply.
 * They belong to the call.  Everything here is for the thread that has the call.
 */
#ifndef PLUG_SDK_TENSORS_H
#define PLUG_SDK_TENSORS_H

#include <plug/plugin.h>

#include "message.h"

struct channel;
struct plug_call;

/* $PLUG_TENSOR_BYTES, or the config's, or the default. */
uint64_t plugp_tensors_quota(const struct plug_plugin_config *config);

/*
 * Take the request's tensors, which are in `msg`; for the plane's holder.  False: they are wrong;
 * the call is answered and counted, and not to be run.
 */
bool plugp_tensors_take(struct plug_call *call, const struct plugs_message *msg);

/* A Release; for the plane's holder. */
void plugp_tensors_released(struct channel *channel, const struct plugs_message *msg);

/*
 * Describe tensors for a Reply: sets msg->tensors, which are `wire`, room for PLUGS_TENSORS_MAX.
 * *ret_pins is for plugp_tensors_sent().  Errors set the call's message.
 */
struct plugs_pins;
plug_err plugp_tensors_send(struct plug_call *call, const struct plug_tensor *tensors, size_t count,
			    struct plugs_tensor *wire, struct plugs_message *msg,
			    struct plugs_pins **ret_pins);

/* The call ends: its references are given up. */
void plugp_tensors_drop(struct plug_call *call);

#endif
