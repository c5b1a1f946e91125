/* The plugin of the rows that need their own: echo, tensors that are passed or touched, and faults,
 * under the name that plugd gives it. */
#include <plug/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "plugin_faults.h"

#define TOUCH_BYTES (1024 * 1024)

static plug_err
echo(struct plug_call *call, void *user)
{
	size_t size;
	const void *data = plug_call_payload(call, &size);

	(void)user;
	return plug_reply(call, NULL, data, size);
}

/* A new tensor of the size of the request's, and that. */
static plug_err
tensors(struct plug_call *call, const struct plug_tensor **ret_request, struct plug_tensor *ret)
{
	size_t count;
	const struct plug_tensor *request = plug_call_tensors(call, &count);
	int64_t shape;

	if (count != 1)
		return plug_fail(call, PLUG_EINVAL, "%zu tensors came; expected one", count);
	shape = (int64_t)plug_tensor_bytes(request);
	*ret_request = request;
	return plug_call_tensor_alloc(call, PLUG_UINT8, 1, &shape, ret);
}

/* Nobody looks into them. */
static plug_err
pass(struct plug_call *call, void *user)
{
	const struct plug_tensor *request;
	struct plug_tensor reply;
	plug_err err = tensors(call, &request, &reply);

	(void)user;
	return err ? err : plug_reply_tensors(call, NULL, NULL, 0, &reply, 1);
}

/* Every byte of the request's is read, and every byte of the reply's written. */
static plug_err
touch(struct plug_call *call, void *user)
{
	static _Thread_local uint8_t *own;
	const struct plug_tensor *request;
	struct plug_tensor reply;
	plug_err err = tensors(call, &request, &reply);
	uint64_t bytes;

	(void)user;
	if (err)
		return err;
	bytes = plug_tensor_bytes(request);
	if (bytes > TOUCH_BYTES)
		return plug_fail(call, PLUG_ETOOLARGE, "expected at most %d bytes", TOUCH_BYTES);
	if (!own && !(own = calloc(2, TOUCH_BYTES)))
		return PLUG_ENOMEM;
	memcpy(own, plug_tensor_data(request), bytes);
	memcpy(plug_tensor_data(&reply), own + TOUCH_BYTES, bytes);
	return plug_reply_tensors(call, NULL, NULL, 0, &reply, 1);
}

int
main(void)
{
	static const struct plug_method methods[] = {
		{"echo", echo, PLUG_METHOD_IDEMPOTENT, 0, "returns what it is given"},
		{"pass", pass, PLUG_METHOD_IDEMPOTENT, 0, "a tensor for a tensor"},
		{"touch", touch, PLUG_METHOD_IDEMPOTENT, 0, "reads a tensor and fills another"},
		{"fill", fault_fill, 0, 0, "has so many bytes resident"},
		{"arm", fault_arm, 0, 0, "hold waits from here on"},
		{"hold", fault_hold, PLUG_METHOD_IDEMPOTENT, 0, "answers, or waits if armed"},
		{"held", fault_held, 0, 0, "answers once hold waits"},
		{"die", fault_die, 0, 0, "dies by SIGSEGV"},
		{"flood", fault_flood, 0, 0, "prints so many bytes"},
		{0},
	};
	const char *name = getenv("PLUG_NAME");
	struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = name ? name : "plugbench-plugin",
		.version = "0.1.0",
		.contract = "interface",
		.methods = methods,
	};

	return plug_main(&config);
}
