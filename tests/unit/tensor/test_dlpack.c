/* The fields of struct plug_tensor are those of DLTensor: a consumer of DLPack needs no copy. */
#include "support.h"

#include <dlpack/dlpack.h>

_Static_assert((int)PLUG_CODE_INT == (int)kDLInt, "codes are DLPack's");
_Static_assert((int)PLUG_CODE_UINT == (int)kDLUInt, "codes are DLPack's");
_Static_assert((int)PLUG_CODE_FLOAT == (int)kDLFloat, "codes are DLPack's");
_Static_assert((int)PLUG_CODE_OPAQUE == (int)kDLOpaqueHandle, "codes are DLPack's");
_Static_assert((int)PLUG_CODE_BFLOAT == (int)kDLBfloat, "codes are DLPack's");
_Static_assert((int)PLUG_DEVICE_CPU == (int)kDLCPU, "devices are DLPack's");
_Static_assert(sizeof(struct plug_dtype) == sizeof(DLDataType), "types are DLPack's");
_Static_assert(offsetof(struct plug_dtype, bits) == offsetof(DLDataType, bits), "types");
_Static_assert(offsetof(struct plug_dtype, lanes) == offsetof(DLDataType, lanes), "types");
_Static_assert(sizeof(struct plug_device) == sizeof(DLDevice), "devices are DLPack's");

/* As docs/tensors.md has it. */
static DLTensor
dlpack_of(struct plug_tensor *tensor)
{
	DLTensor dl = {
		.data = tensor->data,
		.device = {(DLDeviceType)tensor->device.type, tensor->device.id},
		.ndim = tensor->ndim,
		.dtype = {tensor->dtype.code, tensor->dtype.bits, tensor->dtype.lanes},
		.shape = tensor->shape,
		.strides = tensor->strides,
		.byte_offset = tensor->byte_offset,
	};

	return dl;
}

/* A consumer that knows DLPack only. */
static float
sum(const DLTensor *dl)
{
	const char *first = (const char *)dl->data + dl->byte_offset;
	float total = 0;

	assert_int_equal(dl->dtype.code, kDLFloat);
	assert_int_equal(dl->ndim, 2);
	for (int64_t i = 0; i < dl->shape[0]; i++)
		for (int64_t j = 0; j < dl->shape[1]; j++) {
			float value;

			memcpy(&value,
			       first + (i * dl->strides[0] + j * dl->strides[1]) *
					       (int64_t)sizeof(float),
			       sizeof(value));
			total += value;
		}
	return total;
}

static void
test_a_consumer_of_dlpack(void **state)
{
	static const int64_t shape[] = {3, 4};
	struct plug_arena *arena = arena_of(4096);
	struct plug_tensor tensor, view;
	DLTensor dl;

	(void)state;
	assert_int_equal(plug_tensor_alloc(arena, PLUG_FLOAT32, 2, shape, &tensor), PLUG_OK);
	for (int i = 0; i < 12; i++)
		((float *)tensor.data)[i] = (float)i;
	dl = dlpack_of(&tensor);
	assert_true(sum(&dl) == 66);
	assert_int_equal(plug_tensor_slice(&tensor, 1, 3, 0, -2, &view), PLUG_OK);
	dl = dlpack_of(&view);
	assert_true(sum(&dl) == 3 + 1 + 7 + 5 + 11 + 9);
	plug_tensor_unref(&tensor);
	plug_arena_close(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_consumer_of_dlpack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
