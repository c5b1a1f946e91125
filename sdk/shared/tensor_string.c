#include <string.h>

#include "tensor.h"

/* Bytes of all strings; false beyond what an offset can say. */
static bool
measure(const char *const *strings, const size_t *lengths, size_t count, uint64_t *ret)
{
	uint64_t total = 0;

	for (size_t i = 0; i < count; i++) {
		total += lengths ? lengths[i] : strlen(strings[i]);
		if (total > UINT32_MAX)
			return false;
	}
	*ret = total;
	return true;
}

plug_err
plug_tensor_strings(struct plug_arena *arena, const char *const *strings, const size_t *lengths,
		    size_t count, struct plug_tensor *ret)
{
	struct plug_string *elements;
	struct plug_tensor tensor;
	int64_t shape = (int64_t)count;
	uint64_t total = 0, at;
	plug_err err;

	if (count > UINT32_MAX / sizeof(*elements) || !measure(strings, lengths, count, &total) ||
	    count * sizeof(*elements) + total > UINT32_MAX)
		return plugs_tensor_fail(PLUG_ETOOLARGE,
					 "%zu strings do not fit into the 4 GiB of a string tensor",
					 count);
	err = plugs_tensor_alloc(arena, total, PLUG_STRING, 1, &shape, &tensor);
	if (err != PLUG_OK)
		return err;
	elements = tensor.data;
	at = count * sizeof(*elements);
	for (size_t i = 0; i < count; i++) {
		size_t length = lengths ? lengths[i] : strlen(strings[i]);

		elements[i] = (struct plug_string){(uint32_t)at, (uint32_t)length};
		if (length)
			memcpy((char *)tensor.data + at, strings[i], length);
		at += length;
	}
	*ret = tensor;
	return PLUG_OK;
}

/* The element is read once: its memory may be another process's. */
static plug_err
string_at(const struct plug_tensor *tensor, const void *element, const char **ret,
	  size_t *ret_bytes)
{
	const volatile struct plug_string *shared = element;
	struct plug_string string = {shared->offset, shared->bytes};

	if ((uint64_t)string.offset + string.bytes > tensor->bytes)
		return plugs_tensor_fail(PLUG_EINVAL,
					 "a string reaches from byte %u to %llu of a buffer of "
					 "%llu bytes",
					 string.offset,
					 (unsigned long long)string.offset + string.bytes,
					 (unsigned long long)tensor->bytes);
	*ret = (const char *)tensor->data + string.offset;
	*ret_bytes = string.bytes;
	return PLUG_OK;
}

plug_err
plug_tensor_string(const struct plug_tensor *tensor, const int64_t *index, const char **ret,
		   size_t *ret_bytes)
{
	const char *element = plug_tensor_data(tensor);

	if (tensor->dtype.code != PLUG_CODE_STRING)
		return plugs_tensor_fail(PLUG_EINVAL, "it is not a tensor of strings");
	for (int i = 0; i < tensor->ndim; i++) {
		if (index[i] < 0 || index[i] >= tensor->shape[i])
			return plugs_tensor_fail(
				PLUG_EINVAL, "index %lld of dimension %d, which has %lld",
				(long long)index[i], i, (long long)tensor->shape[i]);
		element += index[i] * tensor->strides[i] * (int64_t)sizeof(struct plug_string);
	}
	return string_at(tensor, element, ret, ret_bytes);
}
