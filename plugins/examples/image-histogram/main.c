/* image-histogram: how often each of 256 values occurs in each channel. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "of_png.h"

#define VALUES 256

static void
count_channel(const struct plug_tensor *image, int64_t channel, uint64_t *counts)
{
	const uint8_t *row = (const uint8_t *)plug_tensor_data(image) + channel * image->strides[2];

	memset(counts, 0, VALUES * sizeof(*counts));
	for (int64_t y = 0; y < image->shape[0]; y++, row += image->strides[0]) {
		const uint8_t *pixel = row;

		for (int64_t x = 0; x < image->shape[1]; x++, pixel += image->strides[1])
			counts[*pixel]++;
	}
}

plug_err
count_values(struct plug_call *call, const struct plug_tensor *image, struct plug_tensor *ret)
{
	static const int64_t any[] = {-1, -1, -1};
	int64_t shape[] = {0, VALUES};
	struct plug_tensor counts;
	char what[96];
	plug_err err;

	if (!plug_tensor_is(image, PLUG_UINT8, 3, any))
		return plug_fail(call, PLUG_EINVAL,
				 "the tensor \"image\" is %s, expected uint8[height, width, "
				 "channels]",
				 plug_tensor_describe(image, what, sizeof(what)));
	shape[0] = image->shape[2];
	err = plug_call_tensor_alloc(call, PLUG_UINT64, 2, shape, &counts);
	if (err != PLUG_OK)
		return err;
	for (int64_t channel = 0; channel < shape[0]; channel++) {
		if (plug_call_cancelled(call))
			return plug_call_status(call);
		count_channel(image, channel, (uint64_t *)counts.data + channel * VALUES);
	}
	plug_tensor_set_name(&counts, "histogram");
	*ret = counts;
	return PLUG_OK;
}

static plug_err
histogram(struct plug_call *call, void *user)
{
	const struct plug_tensor *image = plug_call_tensor(call, "image");
	struct plug_tensor counts;
	plug_err err;

	(void)user;
	if (!image)
		return plug_fail(call, PLUG_EINVAL, "there is no tensor \"image\"");
	err = count_values(call, image, &counts);
	if (err != PLUG_OK)
		return err;
	return plug_reply_tensors(call, "application/json", "{}", 2, &counts, 1);
}

static plug_err
stats(struct plug_call *call, void *user)
{
	struct plug_tensor_stats now;
	char text[256];
	int length;

	(void)user;
	plug_tensor_stats(&now, sizeof(now));
	length = snprintf(
		text, sizeof(text),
		"{\"copies\": %" PRIu64 ", \"bytes_copied\": %" PRIu64 ", \"buffers\": %" PRIu64
		", \"own_arenas\": %" PRIu64 ", \"seen_arenas\": %" PRIu64 "}",
		now.copies, now.bytes_copied, now.buffers, now.own_arenas, now.seen_arenas);
	return plug_reply(call, "application/json", text, (size_t)length);
}

static plug_err
start(struct plug_plugin *plugin, void *user)
{
	(void)user;
	return of_png_start(plugin);
}

static void
stop(struct plug_plugin *plugin, void *user)
{
	(void)plugin;
	(void)user;
	of_png_stop();
}

int
main(void)
{
	static const struct plug_method methods[] = {
		{"histogram", histogram, PLUG_METHOD_IDEMPOTENT, 30000, "of a tensor"},
		{"of_png", of_png, PLUG_METHOD_IDEMPOTENT, 60000, "of a PNG file"},
		{"stats", stats, PLUG_METHOD_IDEMPOTENT, 30000, "tensors here, and copies"},
		{NULL},
	};
	static const struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = "image-histogram",
		.version = "0.1.0",
		.contract = "interface",
		.methods = methods,
		.on_start = start,
		.on_stop = stop,
	};

	return plug_main(&config);
}
