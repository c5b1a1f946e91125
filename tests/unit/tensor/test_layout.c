/* Shapes, strides and sizes that overflow, and everything that lies outside of a buffer. */
#include "support.h"

#include "tensor.h"

#define MAX INT64_MAX
#define MIN INT64_MIN

struct size_case {
	const char *what;
	struct plug_dtype dtype;
	int ndim;
	int64_t shape[9];
	plug_err err;
	uint64_t elements, bytes;
};

static const struct size_case sizes[] = {
	{"a scalar", {PLUG_CODE_FLOAT, 32, 1}, 0, {0}, PLUG_OK, 1, 4},
	{"a vector", {PLUG_CODE_FLOAT, 32, 1}, 1, {5}, PLUG_OK, 5, 20},
	{"eight", {PLUG_CODE_INT, 8, 1}, 8, {2, 2, 2, 2, 2, 2, 2, 2}, PLUG_OK, 256, 256},
	{"nine", {PLUG_CODE_INT, 8, 1}, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, PLUG_EINVAL, 0, 0},
	{"less than none", {PLUG_CODE_INT, 8, 1}, -1, {0}, PLUG_EINVAL, 0, 0},
	{"empty", {PLUG_CODE_INT, 64, 1}, 3, {7, 0, 9}, PLUG_OK, 0, 0},
	{"negative", {PLUG_CODE_INT, 8, 1}, 2, {4, -1}, PLUG_EINVAL, 0, 0},
	{"least", {PLUG_CODE_INT, 8, 1}, 1, {MIN}, PLUG_EINVAL, 0, 0},
	{"largest", {PLUG_CODE_INT, 8, 1}, 1, {MAX}, PLUG_OK, MAX, MAX},
	{"largest of two bytes", {PLUG_CODE_INT, 16, 1}, 1, {MAX}, PLUG_EINVAL, 0, 0},
	{"product", {PLUG_CODE_INT, 8, 1}, 2, {1ll << 32, 1ll << 32}, PLUG_EINVAL, 0, 0},
	{"product to 0", {PLUG_CODE_INT, 8, 1}, 2, {1ll << 62, 4}, PLUG_EINVAL, 0, 0},
	{"empty product", {PLUG_CODE_INT, 8, 1}, 3, {1ll << 62, 4, 0}, PLUG_EINVAL, 0, 0},
	{"no such type", {99, 8, 1}, 1, {1}, PLUG_EINVAL, 0, 0},
	{"half a byte", {PLUG_CODE_INT, 4, 1}, 1, {2}, PLUG_EINVAL, 0, 0},
	{"two halves", {PLUG_CODE_INT, 4, 2}, 1, {3}, PLUG_OK, 3, 3},
};

static void
test_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		const struct size_case *one = &sizes[i];
		uint64_t elements = 1, bytes = 2;
		plug_err err =
			plugs_layout_size(one->dtype, one->ndim, one->shape, &elements, &bytes);

		if (err != one->err)
			fail_msg("%s: %s", one->what, plug_err_name(err));
		if (err != PLUG_OK)
			continue;
		assert_int_equal(elements, one->elements);
		assert_int_equal(bytes, one->bytes);
	}
}

struct inside_case {
	const char *what;
	struct plug_dtype dtype;
	int ndim;
	int64_t shape[8], strides[8];
	uint64_t byte_offset, bytes;
	const char *why; /* NULL: it is inside */
};

#define U8                           \
	{                            \
		PLUG_CODE_UINT, 8, 1 \
	}
#define F32                            \
	{                              \
		PLUG_CODE_FLOAT, 32, 1 \
	}

static const struct inside_case places[] = {
	{"all", F32, 2, {3, 4}, {4, 1}, 0, 48, NULL},
	{"one byte less", F32, 2, {3, 4}, {4, 1}, 0, 47, "reach from byte 0 to 48"},
	{"moved", F32, 2, {3, 4}, {4, 1}, 4, 52, NULL},
	{"moved too far", F32, 2, {3, 4}, {4, 1}, 4, 51, "to 52 of a buffer of 51"},
	{"backwards", F32, 1, {4}, {-1}, 12, 16, NULL},
	{"backwards past the beginning", F32, 1, {4}, {-1}, 8, 16, "from byte -4"},
	{"both ways", F32, 2, {2, 2}, {2, -1}, 4, 16, NULL},
	{"broadcast", F32, 2, {1000, 4}, {0, 1}, 0, 16, NULL},
	{"gaps", U8, 2, {2, 2}, {100, 1}, 0, 102, NULL},
	{"gaps too wide", U8, 2, {2, 2}, {100, 1}, 0, 101, "to 102"},
	{"a scalar at the end", F32, 0, {0}, {0}, 12, 16, NULL},
	{"a scalar behind it", F32, 0, {0}, {0}, 16, 16, "from byte 16 to 20"},
	{"offset beyond", F32, 0, {0}, {0}, 17, 16, "first element is at byte 17"},
	{"offset wraps", F32, 0, {0}, {0}, UINT64_MAX - 3, 16, "first element"},
	{"not aligned", F32, 1, {2}, {1}, 2, 16, "expected a multiple of 4"},
	{"nothing anywhere", F32, 2, {0, MAX}, {MAX, MIN}, 16, 16, NULL},
	{"nothing beyond", F32, 1, {0}, {1}, 17, 16, "byte 17"},
	{"stride overflows", U8, 1, {3}, {MAX}, 0, 16, "strides overflow"},
	{"negative stride overflows", U8, 1, {3}, {MIN}, 0, 16, "strides overflow"},
	{"least stride", U8, 1, {2}, {MIN}, 8, 16, "from byte"},
	{"sum overflows", U8, 2, {2, 2}, {MAX, MAX}, 0, 16, "strides overflow"},
	{"negative sum overflows", U8, 2, {2, 2}, {MIN, MIN}, 0, 16, "strides overflow"},
	{"bytes overflow", F32, 1, {2}, {MAX / 2}, 0, 16, "strides overflow"},
	{"last one overflows", U8, 1, {2}, {MAX}, 0, 16, "strides overflow"},
	{"end overflows", U8, 1, {2}, {MAX - 1}, 8, 16, "strides overflow"},
	{"one element, any stride", U8, 3, {1, 1, 1}, {MAX, MIN, -7}, 0, 1, NULL},
	{"cancel out", U8, 2, {2, 2}, {MAX, MIN}, 0, 16, "strides overflow"},
};

static struct plug_tensor
tensor_of(const struct inside_case *one)
{
	struct plug_tensor tensor = {
		.data = (void *)64,
		.ndim = one->ndim,
		.dtype = one->dtype,
		.byte_offset = one->byte_offset,
		.bytes = one->bytes,
	};

	memcpy(tensor.shape, one->shape, sizeof(tensor.shape));
	memcpy(tensor.strides, one->strides, sizeof(tensor.strides));
	return tensor;
}

static void
test_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		const struct inside_case *one = &places[i];
		struct plug_tensor tensor = tensor_of(one);
		plug_err err = plugs_layout_inside(&tensor, 64, one->bytes);

		if (err != (one->why ? PLUG_EINVAL : PLUG_OK))
			fail_msg("%s: %s", one->what, plug_err_name(err));
		if (one->why && !strstr(plug_tensor_error_text(), one->why))
			fail_msg("%s: \"%s\" has no \"%s\"", one->what, plug_tensor_error_text(),
				 one->why);
	}
}

/* Whatever is accepted: every element, one by one, is inside.  With 128-bit arithmetic. */
static void
check_exactly(const struct plug_tensor *tensor, uint64_t bytes)
{
	int64_t index[PLUG_TENSOR_DIMS] = {0};
	__int128 element = (__int128)plug_dtype_bytes(tensor->dtype);
	bool all_inside = true;
	int dim;

	if (plug_tensor_elements(tensor) == 0)
		return;
	do {
		__int128 at = tensor->byte_offset;

		for (int i = 0; i < tensor->ndim; i++)
			at += (__int128)index[i] * tensor->strides[i] * element;
		all_inside &= at >= 0 && at + element <= (__int128)bytes;
		for (dim = tensor->ndim - 1; dim >= 0 && ++index[dim] == tensor->shape[dim]; dim--)
			index[dim] = 0;
	} while (dim >= 0);
	assert_int_equal(plugs_layout_inside(tensor, 0, bytes),
			 all_inside && tensor->byte_offset <= bytes ? PLUG_OK : PLUG_EINVAL);
}

static int64_t
some_stride(uint64_t *seed)
{
	int64_t small = (int64_t)chance_below(seed, 41) - 20;

	switch (chance_below(seed, 12)) {
	case 0:
		return MAX - (int64_t)chance_below(seed, 3);
	case 1:
		return MIN + (int64_t)chance_below(seed, 3);
	case 2:
		return small * (1ll << chance_below(seed, 60));
	default:
		return small;
	}
}

static void
test_many_layouts_against_exact_arithmetic(void **state)
{
	uint64_t seed = 42;

	(void)state;
	for (unsigned i = 0; i < 300000; i++) {
		struct plug_tensor tensor = {.data = (void *)64, .dtype = PLUG_UINT8};
		uint64_t bytes = chance_below(&seed, 400);

		tensor.ndim = (int)chance_below(&seed, 5);
		tensor.byte_offset = chance_below(&seed, 300);
		for (int dim = 0; dim < tensor.ndim; dim++) {
			tensor.shape[dim] = (int64_t)chance_below(&seed, 5);
			tensor.strides[dim] = some_stride(&seed);
		}
		check_exactly(&tensor, bytes);
	}
}

static void
test_check_looks_at_the_buffer_too(void **state)
{
	struct plug_arena *arena = arena_of(8192);
	struct plug_tensor tensor, wrong;
	int64_t size = 100;

	(void)state;
	assert_int_equal(plug_tensor_alloc(arena, PLUG_FLOAT32, 1, &size, &tensor), PLUG_OK);
	assert_int_equal(plug_tensor_check(&tensor), PLUG_OK);
	wrong = tensor, wrong.bytes += 64;
	assert_int_equal(plug_tensor_check(&wrong), PLUG_EINVAL);
	wrong = tensor, wrong.data = (char *)wrong.data + 64;
	assert_int_equal(plug_tensor_check(&wrong), PLUG_EINVAL);
	wrong = tensor, wrong.shape[0]++;
	assert_int_equal(plug_tensor_check(&wrong), PLUG_EINVAL);
	wrong = tensor, wrong.ndim = 9;
	assert_int_equal(plug_tensor_check(&wrong), PLUG_EINVAL);
	wrong = tensor, wrong.bytes = UINT64_MAX;
	wrong.buffer = NULL;
	assert_int_equal(plug_tensor_check(&wrong), PLUG_EINVAL);
	plug_tensor_unref(&tensor);
	plug_arena_close(arena);
}

static void
test_wrapping(void **state)
{
	static const int64_t shape[] = {2, 3}, columns[] = {1, 2};
	float memory[6] = {0};
	struct plug_tensor tensor;

	(void)state;
	assert_int_equal(
		plug_tensor_wrap(memory, sizeof(memory), PLUG_FLOAT32, 2, shape, NULL, &tensor),
		PLUG_OK);
	assert_true(plug_tensor_contiguous(&tensor));
	assert_int_equal(plug_tensor_bytes(&tensor), 24);
	assert_int_equal(
		plug_tensor_wrap(memory, sizeof(memory), PLUG_FLOAT32, 2, shape, columns, &tensor),
		PLUG_OK);
	assert_false(plug_tensor_contiguous(&tensor));
	assert_int_equal(plug_tensor_wrap(memory, 23, PLUG_FLOAT32, 2, shape, NULL, &tensor),
			 PLUG_EINVAL);
	assert_int_equal(
		plug_tensor_wrap((char *)memory + 1, 24, PLUG_FLOAT32, 0, NULL, NULL, &tensor),
		PLUG_EINVAL);
	assert_text("multiple of 4", NULL);
}

static void
test_descriptions_and_names(void **state)
{
	static const int64_t shape[] = {480, 640, 3}, any[] = {-1, 640, -1},
			     other[] = {480, 641, 3};
	static uint8_t memory[480 * 640 * 3];
	struct plug_tensor tensor;
	char buf[64], tiny[8], long_name[100];

	(void)state;
	assert_int_equal(
		plug_tensor_wrap(memory, sizeof(memory), PLUG_UINT8, 3, shape, NULL, &tensor),
		PLUG_OK);
	assert_string_equal(plug_tensor_describe(&tensor, buf, sizeof(buf)), "uint8[480, 640, 3]");
	assert_string_equal(plug_tensor_describe(&tensor, tiny, sizeof(tiny)), "uint8[4");
	assert_true(plug_tensor_is(&tensor, PLUG_UINT8, 3, any));
	assert_false(plug_tensor_is(&tensor, PLUG_INT8, 3, any));
	assert_false(plug_tensor_is(&tensor, PLUG_UINT8, 2, any));
	assert_false(plug_tensor_is(&tensor, PLUG_UINT8, 3, other));
	plug_tensor_set_name(&tensor, "image");
	assert_string_equal(tensor.name, "image");
	memset(long_name, 'a', sizeof(long_name));
	long_name[99] = '\0';
	memcpy(long_name + 62, "\xc3\xa4", 2); /* two bytes, of which one would fit */
	plug_tensor_set_name(&tensor, long_name);
	assert_int_equal(strlen(tensor.name), 62);
	plug_tensor_set_name(&tensor, NULL);
	assert_string_equal(tensor.name, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_many_layouts_against_exact_arithmetic),
		cmocka_unit_test(test_check_looks_at_the_buffer_too),
		cmocka_unit_test(test_wrapping),
		cmocka_unit_test(test_descriptions_and_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
