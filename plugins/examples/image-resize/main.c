/*
 * image-resize: bilinear, in integers, so that the result is the same everywhere.  It reads the
 * image where it lies, in whatever strides: a caller crops or flips by sending a view.
 */
#include <inttypes.h>
#include <jansson.h>
#include <plug/plugin.h>
#include <stdio.h>
#include <string.h>

#define SIDE_MAX 65536

/* Where the pixel of an output row or column lies between two of the input. */
struct place {
	int64_t low, high;
	uint32_t weight; /* of high, of 256 */
};

/* The middle of output pixel i of `to`, in input pixels, of which there are `from`. */
static struct place
place_of(int64_t i, int64_t from, int64_t to)
{
	int64_t at = ((2 * i + 1) * from * 32768) / to - 32768; /* in 1/65536 */
	int64_t last = (from - 1) * 65536;

	if (at < 0)
		at = 0;
	if (at > last)
		at = last;
	return (struct place){
		.low = at >> 16,
		.high = at < last ? (at >> 16) + 1 : at >> 16,
		.weight = (uint32_t)(at >> 8 & 255),
	};
}

static void
resize_row(const struct plug_tensor *from, const struct place *y, uint8_t *to, int64_t width,
	   const struct place *columns)
{
	const uint8_t *data = plug_tensor_data(from);
	const uint8_t *top = data + y->low * from->strides[0];
	const uint8_t *bottom = data + y->high * from->strides[0];

	for (int64_t x = 0; x < width; x++) {
		const struct place *at = &columns[x];
		int64_t left = at->low * from->strides[1], right = at->high * from->strides[1];

		for (int64_t c = 0; c < from->shape[2]; c++) {
			int64_t channel = c * from->strides[2];
			uint32_t above = top[left + channel] * (256 - at->weight) +
					 top[right + channel] * at->weight;
			uint32_t below = bottom[left + channel] * (256 - at->weight) +
					 bottom[right + channel] * at->weight;

			*to++ = (uint8_t)((above * (256 - y->weight) + below * y->weight + 32768) >>
					  16);
		}
	}
}

static plug_err
resize_image(struct plug_call *call, const struct plug_tensor *from, struct plug_tensor *to,
	     struct place *columns)
{
	int64_t height = to->shape[0], width = to->shape[1];
	int64_t row = width * to->shape[2];

	for (int64_t x = 0; x < width; x++)
		columns[x] = place_of(x, from->shape[1], width);
	for (int64_t y = 0; y < height; y++) {
		struct place place = place_of(y, from->shape[0], height);

		if (y % 64 == 0 && plug_call_cancelled(call))
			return plug_call_status(call);
		resize_row(from, &place, (uint8_t *)to->data + y * row, width, columns);
	}
	return PLUG_OK;
}

/* ---- the request ---- */

static plug_err
check_image(struct plug_call *call, const struct plug_tensor *image)
{
	static const int64_t any[] = {-1, -1, -1};
	char what[96] = "none";

	if (image)
		plug_tensor_describe(image, what, sizeof(what));
	if (!image || !plug_tensor_is(image, PLUG_UINT8, 3, any))
		return plug_fail(call, PLUG_EINVAL,
				 "the tensor \"image\" is %s, expected uint8[height, width, "
				 "channels]",
				 what);
	for (int i = 0; i < 3; i++) {
		if (image->shape[i] < 1 || image->shape[i] > SIDE_MAX)
			return plug_fail(call, PLUG_EINVAL,
					 "the image is %s, expected 1 to %d each", what, SIDE_MAX);
	}
	return PLUG_OK;
}

static plug_err
read_size(struct plug_call *call, int64_t channels, int64_t *ret_shape)
{
	size_t size;
	const char *text = plug_call_payload(call, &size);
	uint64_t max = plug_config_bytes(plug_call_plugin(call), "max_bytes", 48u << 20);
	json_int_t width = 0, height = 0;
	json_error_t error;
	json_t *args = json_loadb(text, size, 0, &error);
	int bad = !args ||
		  json_unpack_ex(args, &error, 0, "{sI sI}", "width", &width, "height", &height);

	json_decref(args);
	if (bad)
		return plug_fail(call, PLUG_EINVAL,
				 "the arguments: %s; expected {\"width\": N, \"height\": N}",
				 error.text);
	if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX)
		return plug_fail(call, PLUG_EINVAL,
				 "%lld x %lld is asked for, expected 1 to %d each",
				 (long long)width, (long long)height, SIDE_MAX);
	if ((uint64_t)width * (uint64_t)height * (uint64_t)channels > max)
		return plug_fail(call, PLUG_ETOOLARGE,
				 "%lld x %lld with %" PRId64 " channels is more than %" PRIu64
				 " bytes (config max_bytes)",
				 (long long)width, (long long)height, channels, max);
	ret_shape[0] = height;
	ret_shape[1] = width;
	ret_shape[2] = channels;
	return PLUG_OK;
}

static plug_err
resize(struct plug_call *call, void *user)
{
	const struct plug_tensor *image = plug_call_tensor(call, "image");
	struct plug_tensor resized;
	struct place *columns;
	int64_t shape[3];
	plug_err err = check_image(call, image);

	(void)user;
	if (err == PLUG_OK)
		err = read_size(call, image->shape[2], shape);
	if (err == PLUG_OK)
		err = plug_call_tensor_alloc(call, PLUG_UINT8, 3, shape, &resized);
	if (err != PLUG_OK)
		return err;
	columns = malloc((size_t)shape[1] * sizeof(*columns));
	if (!columns)
		return PLUG_ENOMEM;
	err = resize_image(call, image, &resized, columns);
	free(columns);
	if (err != PLUG_OK)
		return err;
	plug_tensor_set_name(&resized, "image");
	return plug_reply_tensors(call, "application/json", "{}", 2, &resized, 1);
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
		{"resize", resize, PLUG_METHOD_IDEMPOTENT, 30000, "another size"},
		{"stats", stats, PLUG_METHOD_IDEMPOTENT, 30000, "tensors here, and copies"},
		{NULL},
	};
	static const struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = "image-resize",
		.version = "0.1.0",
		.contract = "interface",
		.methods = methods,
	};

	return plug_main(&config);
}
