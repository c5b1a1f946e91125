/*
 * of_png: a plugin that calls others.  What png-decode answers is passed on to image-resize as it
 * came, and what that answers is counted here and passed on to our own caller: the pixels are in
 * the memory of the process that made them all the time.
 */
#include "of_png.h"

#include <inttypes.h>
#include <plug/client.h>
#include <stdio.h>

static struct plug_client *client;

plug_err
of_png_start(struct plug_plugin *plugin)
{
	plug_err err = plug_client_open(NULL, &client);

	if (err != PLUG_OK)
		return plug_start_failed(plugin, err, "%s", plug_client_error_text(NULL));
	return PLUG_OK;
}

void
of_png_stop(void)
{
	plug_client_close(client);
	client = NULL;
}

/* A call whose reply has the tensor "image".  It ends when ours does. */
static plug_err
ask(struct plug_call *call, const struct plug_request *what, struct plug_reply **ret)
{
	struct plug_request request = *what;
	struct plug_reply *reply;
	uint64_t left_ms = plug_call_remaining_ms(call);
	plug_err err;

	request.size = sizeof(request);
	request.flags = PLUG_REQUEST_CHANNEL;
	request.timeout_ms = left_ms == UINT64_MAX ? 0 : left_ms + 1;
	err = plug_client_call(client, &request, NULL, NULL, &reply);
	if (err != PLUG_OK)
		plug_fail(call, err, "%s of %s: %s", request.method, request.plugin,
			  plug_client_error_text(client));
	else if (reply->tensor_count != 1)
		err = plug_fail(call, PLUG_EPLUGIN, "%s answered with %zu tensors, expected one",
				request.plugin, reply->tensor_count);
	if (err == PLUG_OK)
		*ret = reply;
	else
		plug_reply_free(reply);
	return err;
}

static plug_err
decode(struct plug_call *call, struct plug_reply **ret)
{
	struct plug_request request = {.plugin = "png-decode", .method = "decode"};

	/* What came as payload, or as a tensor, goes on as that. */
	request.payload.data = plug_call_payload(call, &request.payload.size);
	request.payload.content_type = "image/png";
	request.tensors = plug_call_tensors(call, &request.tensor_count);
	return ask(call, &request, ret);
}

static plug_err
resize(struct plug_call *call, const struct plug_tensor *image, struct plug_reply **ret)
{
	struct plug_plugin *plugin = plug_call_plugin(call);
	struct plug_request request = {
		.plugin = "image-resize",
		.method = "resize",
		.tensors = image,
		.tensor_count = 1,
	};
	char size[96];

	request.payload.data = size;
	request.payload.size = (size_t)snprintf(
		size, sizeof(size), "{\"width\": %" PRId64 ", \"height\": %" PRId64 "}",
		plug_config_int(plugin, "width", 64), plug_config_int(plugin, "height", 64));
	return ask(call, &request, ret);
}

plug_err
of_png(struct plug_call *call, void *user)
{
	struct plug_reply *decoded = NULL, *resized = NULL;
	struct plug_tensor answer[2];
	plug_err err = decode(call, &decoded);

	(void)user;
	if (err == PLUG_OK)
		err = resize(call, &decoded->tensors[0], &resized);
	if (err == PLUG_OK)
		err = count_values(call, &resized->tensors[0], &answer[0]);
	if (err == PLUG_OK) {
		answer[1] = resized->tensors[0];
		err = plug_reply_tensors(call, "application/json", "{}", 2, answer, 2);
	}
	plug_reply_free(decoded);
	plug_reply_free(resized); /* what was passed on stays until our caller releases it */
	return err;
}
