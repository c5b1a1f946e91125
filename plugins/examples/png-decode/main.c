/*
 * png-decode: a PNG file in, a tensor out.  libpng writes the pixels where the caller reads them:
 * into the memory of the reply.
 */
#include <inttypes.h>
#include <plug/plugin.h>
#include <png.h>
#include <stdio.h>
#include <string.h>

/* The file: the request's payload, or its tensor "png", which need not be small. */
static plug_err
find_file(struct plug_call *call, const void **ret_data, size_t *ret_size)
{
	const struct plug_tensor *tensor = plug_call_tensor(call, "png");
	const int64_t any[] = {-1};

	if (!tensor) {
		*ret_data = plug_call_payload(call, ret_size);
		return PLUG_OK;
	}
	if (!plug_tensor_is(tensor, PLUG_UINT8, 1, any) || !plug_tensor_contiguous(tensor))
		return plug_fail(
			call, PLUG_EINVAL,
			"the tensor \"png\" has to be a row of uint8, the bytes of a file");
	*ret_data = plug_tensor_data(tensor);
	*ret_size = (size_t)plug_tensor_bytes(tensor);
	return PLUG_OK;
}

/* What is in the file without palettes, 16-bit samples and the like: 1 to 4 channels of 8 bits. */
static int64_t
choose_format(png_image *image)
{
	image->format &= PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA;
	return PNG_IMAGE_PIXEL_CHANNELS(image->format);
}

static plug_err
check_size(struct plug_call *call, const png_image *image, int64_t channels)
{
	uint64_t max = plug_config_bytes(plug_call_plugin(call), "max_bytes", 48u << 20);
	uint64_t bytes = (uint64_t)image->width * image->height * (uint64_t)channels;

	if (bytes <= max)
		return PLUG_OK;
	return plug_fail(call, PLUG_ETOOLARGE,
			 "the image is %u x %u with %" PRId64 " channels, %" PRIu64
			 " bytes; the limit is %" PRIu64 " (config max_bytes)",
			 image->width, image->height, channels, bytes, max);
}

static plug_err
decode_image(struct plug_call *call, png_image *image)
{
	int64_t channels = choose_format(image);
	const int64_t shape[] = {image->height, image->width, channels};
	struct plug_tensor tensor;
	char text[96];
	int length;
	plug_err err = check_size(call, image, channels);

	if (err == PLUG_OK)
		err = plug_call_tensor_alloc(call, PLUG_UINT8, 3, shape, &tensor);
	if (err != PLUG_OK)
		return err;
	if (!png_image_finish_read(image, NULL, tensor.data, 0, NULL))
		return plug_fail(call, PLUG_EINVAL, "the PNG file is damaged: %s", image->message);
	plug_tensor_set_name(&tensor, "image");
	length = snprintf(text, sizeof(text),
			  "{\"width\": %u, \"height\": %u, \"channels\": %" PRId64 "}",
			  image->width, image->height, channels);
	return plug_reply_tensors(call, "application/json", text, (size_t)length, &tensor, 1);
}

static plug_err
decode(struct plug_call *call, void *user)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	const void *data = NULL;
	size_t size = 0;
	plug_err err = find_file(call, &data, &size);

	(void)user;
	if (err != PLUG_OK)
		return err;
	if (!png_image_begin_read_from_memory(&image, data, size))
		return plug_fail(call, PLUG_EINVAL, "%zu bytes came, which are no PNG file: %s",
				 size, image.message);
	err = decode_image(call, &image);
	png_image_free(&image);
	return err;
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

int
main(void)
{
	static const struct plug_method methods[] = {
		{"decode", decode, PLUG_METHOD_IDEMPOTENT, 30000, "PNG to tensor"},
		{"stats", stats, PLUG_METHOD_IDEMPOTENT, 30000, "tensors here, and copies"},
		{NULL},
	};
	static const struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = "png-decode",
		.version = "0.1.0",
		.contract = "interface",
		.methods = methods,
	};

	return plug_main(&config);
}
