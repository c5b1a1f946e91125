#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static plug_err
refuse(char why[LOAD_WHY_BYTES], plug_err err, const char *text)
{
	snprintf(why, LOAD_WHY_BYTES, "a tensor cannot be made: %s", text);
	return err;
}

plug_err
load_tensor_init(struct load_caller *caller, char why[LOAD_WHY_BYTES])
{
	const struct load_plan *plan = &caller->load->plan;
	int64_t shape = (int64_t)plan->tensor_bytes;
	struct plug_arena_config config = {
		.size = sizeof(config), .bytes = plan->tensor_bytes, .name = "load"};
	plug_err err;

	if (!plan->tensor_bytes)
		return PLUG_OK;
	err = plug_arena_open(&config, &caller->arena);
	if (!err)
		err = plug_tensor_alloc(caller->arena, PLUG_UINT8, 1, &shape, &caller->tensor);
	if (err)
		return refuse(why, err, plug_tensor_error_text());
	if (plan->touch) {
		caller->own = calloc(2, plan->tensor_bytes);
		if (!caller->own)
			return refuse(why, PLUG_ENOMEM, "out of memory");
		memset(caller->own, 'x', plan->tensor_bytes);
	}
	memset(plug_tensor_data(&caller->tensor), 'x', plan->tensor_bytes);
	caller->request.tensors = &caller->tensor;
	caller->request.tensor_count = 1;
	return PLUG_OK;
}

void
load_tensor_fini(struct load_caller *caller)
{
	plug_tensor_unref(&caller->tensor);
	plug_arena_close(caller->arena);
	free(caller->own);
}

void
load_tensor_fill(struct load_caller *caller)
{
	if (caller->own)
		memcpy(plug_tensor_data(&caller->tensor), caller->own,
		       caller->load->plan.tensor_bytes);
}

void
load_tensor_read(struct load_caller *caller, const struct plug_reply *reply)
{
	uint64_t bytes = caller->load->plan.tensor_bytes;

	if (caller->own && reply->tensor_count && plug_tensor_bytes(reply->tensors) == bytes)
		memcpy(caller->own + bytes, plug_tensor_data(reply->tensors), bytes);
}
