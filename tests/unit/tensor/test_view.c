/* Views against indices computed by hand: the same elements, nothing copied. */
#include "support.h"

#include "tensor.h"

enum { D0 = 4, D1 = 5, D2 = 6 };

static int32_t memory[D0][D1][D2];

static int
setup(void **state)
{
	static const int64_t shape[] = {D0, D1, D2};
	static struct plug_tensor tensor;

	for (int i = 0; i < D0; i++)
		for (int j = 0; j < D1; j++)
			for (int k = 0; k < D2; k++)
				memory[i][j][k] = i * 100 + j * 10 + k;
	assert_int_equal(
		plug_tensor_wrap(memory, sizeof(memory), PLUG_INT32, 3, shape, NULL, &tensor),
		PLUG_OK);
	*state = &tensor;
	return 0;
}

static int32_t
at(const struct plug_tensor *tensor, int64_t i, int64_t j, int64_t k)
{
	const int64_t index[] = {i, j, k};
	const int32_t *data = plug_tensor_data(tensor);

	for (int dim = 0; dim < tensor->ndim; dim++)
		data += index[dim] * tensor->strides[dim];
	return *data;
}

static void
test_slices(void **state)
{
	static const struct {
		int64_t start, stop, step, count;
	} slices[] = {
		{0, D1, 1, D1},        {1, 4, 1, 3},  {0, D1, 2, 3}, {1, D1, 3, 2},
		{0, D1, 100, 1},       {2, 2, 1, 0},  {5, 5, 1, 0},  {4, -1, -1, 5},
		{4, -1, -2, 3},        {3, 1, -1, 2}, {4, 4, -1, 0}, {4, -1, INT64_MIN, 1},
		{0, D1, INT64_MAX, 1},
	};
	const struct plug_tensor *tensor = *state;
	uint64_t copies = stats().copies;

	for (size_t n = 0; n < sizeof(slices) / sizeof(*slices); n++) {
		struct plug_tensor view;

		assert_int_equal(plug_tensor_slice(tensor, 1, slices[n].start, slices[n].stop,
						   slices[n].step, &view),
				 PLUG_OK);
		assert_int_equal(view.shape[1], slices[n].count);
		assert_int_equal(plug_tensor_check(&view), PLUG_OK);
		for (int64_t i = 0; i < D0; i++)
			for (int64_t j = 0; j < view.shape[1]; j++)
				for (int64_t k = 0; k < D2; k++)
					assert_int_equal(at(&view, i, j, k),
							 i * 100 +
								 (slices[n].start +
								  (j ? j * slices[n].step : 0)) *
									 10 +
								 k);
	}
	assert_int_equal(stats().copies, copies);
}

static void
test_slices_that_are_wrong(void **state)
{
	static const int64_t wrong[][3] = {{-1, 2, 1},
					   {0, D1 + 1, 1},
					   {3, 2, 1},
					   {0, 2, 0},
					   {D1, 0, -1},
					   {2, 3, -1},
					   {2, -2, -1},
					   {INT64_MIN, INT64_MAX, 1},
					   {INT64_MAX, INT64_MIN, -1}};
	const struct plug_tensor *tensor = *state;
	struct plug_tensor view = *tensor;

	for (size_t n = 0; n < sizeof(wrong) / sizeof(*wrong); n++)
		assert_int_equal(
			plug_tensor_slice(tensor, 1, wrong[n][0], wrong[n][1], wrong[n][2], &view),
			PLUG_EINVAL);
	assert_int_equal(plug_tensor_slice(tensor, 3, 0, 1, 1, &view), PLUG_EINVAL);
	assert_int_equal(plug_tensor_slice(tensor, -1, 0, 1, 1, &view), PLUG_EINVAL);
	assert_memory_equal(&view, tensor, sizeof(view));
}

static void
test_select(void **state)
{
	const struct plug_tensor *tensor = *state;
	struct plug_tensor view;

	for (int64_t j = 0; j < D1; j++) {
		assert_int_equal(plug_tensor_select(tensor, 1, j, &view), PLUG_OK);
		assert_int_equal(view.ndim, 2);
		for (int64_t i = 0; i < D0; i++)
			for (int64_t k = 0; k < D2; k++)
				assert_int_equal(at(&view, i, k, 0), i * 100 + j * 10 + k);
	}
	assert_int_equal(plug_tensor_select(tensor, 1, D1, &view), PLUG_EINVAL);
	assert_int_equal(plug_tensor_select(tensor, 1, -1, &view), PLUG_EINVAL);
	/* In place, down to a scalar. */
	view = *tensor;
	for (int64_t i = 3; i > 0; i--)
		assert_int_equal(plug_tensor_select(&view, 0, i, &view), PLUG_OK);
	assert_int_equal(view.ndim, 0);
	assert_int_equal(at(&view, 0, 0, 0), 321);
	assert_int_equal(plug_tensor_select(&view, 0, 0, &view), PLUG_EINVAL);
}

static void
test_transpose(void **state)
{
	static const int axes[] = {2, 0, 1}, twice[] = {0, 0, 1}, beyond[] = {0, 1, 3};
	const struct plug_tensor *tensor = *state;
	struct plug_tensor view;

	assert_int_equal(plug_tensor_transpose(tensor, axes, &view), PLUG_OK);
	for (int64_t i = 0; i < D0; i++)
		for (int64_t j = 0; j < D1; j++)
			for (int64_t k = 0; k < D2; k++)
				assert_int_equal(at(&view, k, i, j), i * 100 + j * 10 + k);
	assert_false(plug_tensor_contiguous(&view));
	assert_int_equal(plug_tensor_transpose(tensor, NULL, &view), PLUG_OK);
	assert_int_equal(at(&view, 5, 4, 3), 345);
	assert_int_equal(plug_tensor_transpose(&view, NULL, &view), PLUG_OK);
	assert_true(plug_tensor_contiguous(&view));
	assert_int_equal(plug_tensor_transpose(tensor, twice, &view), PLUG_EINVAL);
	assert_int_equal(plug_tensor_transpose(tensor, beyond, &view), PLUG_EINVAL);
}

static void
test_reshape(void **state)
{
	static const int64_t flat[] = {-1}, two[] = {D0 * D1, D2}, guess[] = {2, -1, 3},
			     odd[] = {7, -1}, other[] = {D0, D1}, twice[] = {-1, -1},
			     zero[] = {0, -1}, large[] = {1ll << 62, 4, -1};
	const struct plug_tensor *tensor = *state;
	struct plug_tensor view, slice;

	assert_int_equal(plug_tensor_reshape(tensor, 1, flat, &view), PLUG_OK);
	assert_int_equal(view.shape[0], D0 * D1 * D2);
	assert_int_equal(plug_tensor_reshape(tensor, 2, two, &view), PLUG_OK);
	assert_int_equal(at(&view, 7, 2, 0), 122);
	assert_int_equal(plug_tensor_reshape(tensor, 3, guess, &view), PLUG_OK);
	assert_int_equal(view.shape[1], 20);
	assert_int_equal(plug_tensor_reshape(tensor, 2, odd, &view), PLUG_EINVAL);
	assert_int_equal(plug_tensor_reshape(tensor, 2, other, &view), PLUG_EINVAL);
	assert_int_equal(plug_tensor_reshape(tensor, 2, twice, &view), PLUG_EINVAL);
	assert_int_equal(plug_tensor_reshape(tensor, 2, zero, &view), PLUG_EINVAL);
	assert_int_equal(plug_tensor_reshape(tensor, 3, large, &view), PLUG_EINVAL);
	assert_int_equal(plug_tensor_reshape(tensor, 9, large, &view), PLUG_EINVAL);
	assert_int_equal(plug_tensor_slice(tensor, 2, 0, 3, 1, &slice), PLUG_OK);
	assert_int_equal(plug_tensor_reshape(&slice, 1, flat, &view), PLUG_ESTATE);
	assert_int_equal(plug_tensor_slice(tensor, 0, 1, 3, 1, &slice), PLUG_OK); /* still a row */
	assert_int_equal(plug_tensor_reshape(&slice, 1, flat, &view), PLUG_OK);
	assert_int_equal(at(&view, 0, 0, 0), 100);
}

/* Any chain of views stays inside, and equals the indices that it stands for. */
static void
test_random_chains_stay_inside(void **state)
{
	const struct plug_tensor *tensor = *state;
	uint64_t seed = 5;

	for (unsigned n = 0; n < 20000; n++) {
		struct plug_tensor view = *tensor;

		for (unsigned step = 0; step < 6 && view.ndim; step++) {
			int dim = (int)chance_below(&seed, (uint64_t)view.ndim);
			int64_t size = view.shape[dim];
			int64_t a = (int64_t)chance_below(&seed, (uint64_t)size + 2) - 1;
			int64_t b = (int64_t)chance_below(&seed, (uint64_t)size + 2) - 1;
			int64_t by = (int64_t)chance_below(&seed, 7) - 3;

			switch (chance_below(&seed, 4)) {
			case 0:
				plug_tensor_select(&view, dim, a, &view);
				break;
			case 1:
				plug_tensor_transpose(&view, NULL, &view);
				break;
			default:
				plug_tensor_slice(&view, dim, a, b, by, &view);
			}
			assert_int_equal(plug_tensor_check(&view), PLUG_OK);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_slices, setup),
		cmocka_unit_test_setup(test_slices_that_are_wrong, setup),
		cmocka_unit_test_setup(test_select, setup),
		cmocka_unit_test_setup(test_transpose, setup),
		cmocka_unit_test_setup(test_reshape, setup),
		cmocka_unit_test_setup(test_random_chains_stay_inside, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
