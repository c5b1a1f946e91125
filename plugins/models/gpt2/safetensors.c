#include "safetensors.h"

#include "scope.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define LENGTH_BYTES     8
#define HEADER_MAX_BYTES (16u << 20)

struct safetensors {
	char *path;
	unsigned char *map;
	size_t map_bytes;
	size_t data_bytes;
	const unsigned char *data;
	json_t *header; /* owns the names */
	struct tensor *tensors;
	size_t count;
};

static const struct {
	const char *name;
	size_t bytes;
} dtypes[] = {
#define TENSOR_DTYPE_ROW(dtype, size) {#dtype, size},
	TENSOR_DTYPE_MAP(TENSOR_DTYPE_ROW)
#undef TENSOR_DTYPE_ROW
};

const char *
tensor_dtype_name(enum tensor_dtype dtype)
{
	return dtypes[dtype].name;
}

const char *
tensor_shape_text(const size_t *shape, unsigned rank, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "[");

	for (unsigned i = 0; i < rank && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, i ? ", %zu" : "%zu", shape[i]);
	if (used < size)
		snprintf(text + used, size - used, "]");
	return text;
}

static int
map_file(struct safetensors *file, struct failure *failure)
{
	AUTO_CLOSE int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	void *map;

	if (fd < 0)
		return failf(failure, "%s: %s", file->path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return failf(failure, "%s: not a regular file", file->path);
	if (st.st_size < LENGTH_BYTES)
		return failf(failure, "%s: %jd bytes; a safetensors file has at least %d",
			     file->path, (intmax_t)st.st_size, LENGTH_BYTES);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return failf(failure, "%s: cannot map: %s", file->path, strerror(errno));
	file->map = map;
	file->map_bytes = (size_t)st.st_size;
	return 0;
}

static int
parse_header(struct safetensors *file, struct failure *failure)
{
	size_t room = file->map_bytes - LENGTH_BYTES;
	uint64_t length;
	json_error_t error;

	memcpy(&length, file->map, LENGTH_BYTES);
	length = le64toh(length);
	if (length > room || length > HEADER_MAX_BYTES)
		return failf(failure,
			     "%s: header of %ju bytes, but the file has %zu bytes left and %u is "
			     "the most; truncated, or not a safetensors file",
			     file->path, (uintmax_t)length, room, HEADER_MAX_BYTES);
	file->header = json_loadb((const char *)file->map + LENGTH_BYTES, (size_t)length,
				  JSON_REJECT_DUPLICATES, &error);
	if (!file->header)
		return failf(failure, "%s: header is not valid JSON: %s at byte %d", file->path,
			     error.text, LENGTH_BYTES + error.position);
	if (!json_is_object(file->header))
		return failf(failure, "%s: header is not a JSON object", file->path);
	file->data = file->map + LENGTH_BYTES + length;
	file->data_bytes = room - (size_t)length;
	return 0;
}

static int
bad_tensor(const struct safetensors *file, const char *name, const char *what,
	   struct failure *failure)
{
	return failf(failure, "%s: tensor %.200s: %s", file->path, name, what);
}

static bool
parse_dtype(const json_t *entry, enum tensor_dtype *ret)
{
	const char *text = json_string_value(json_object_get(entry, "dtype"));

	for (unsigned i = 0; text && i < TENSOR_DTYPE_COUNT; i++)
		if (strcmp(dtypes[i].name, text) == 0) {
			*ret = (enum tensor_dtype)i;
			return true;
		}
	return false;
}

static bool
parse_size(const json_t *value, size_t *ret)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = (size_t)json_integer_value(value);
	return true;
}

static bool
parse_shape(const json_t *entry, struct tensor *tensor)
{
	json_t *shape = json_object_get(entry, "shape");

	if (!json_is_array(shape) || json_array_size(shape) > TENSOR_MAX_RANK)
		return false;
	tensor->rank = (unsigned)json_array_size(shape);
	tensor->elements = 1;
	for (unsigned i = 0; i < tensor->rank; i++)
		if (!parse_size(json_array_get(shape, i), &tensor->shape[i]) ||
		    !size_mul(tensor->elements, tensor->shape[i], &tensor->elements))
			return false;
	return true;
}

static bool
parse_offsets(const json_t *entry, struct tensor *tensor)
{
	json_t *offsets = json_object_get(entry, "data_offsets");

	return json_is_array(offsets) && json_array_size(offsets) == 2 &&
	       parse_size(json_array_get(offsets, 0), &tensor->begin) &&
	       parse_size(json_array_get(offsets, 1), &tensor->end) && tensor->begin <= tensor->end;
}

static int
parse_tensor(struct safetensors *file, const json_t *entry, struct tensor *tensor,
	     struct failure *failure)
{
	char shape[128];
	size_t bytes;

	if (!parse_dtype(entry, &tensor->dtype))
		return bad_tensor(file, tensor->name, "dtype is missing or not known", failure);
	if (!parse_shape(entry, tensor))
		return bad_tensor(file, tensor->name, "shape is not up to 8 sane numbers", failure);
	if (!parse_offsets(entry, tensor))
		return bad_tensor(file, tensor->name,
				  "data_offsets is not [begin, end] with begin <= end", failure);
	if (tensor->end > file->data_bytes)
		return failf(failure,
			     "%s: tensor %.200s: ends at byte %zu of the data, but the file holds "
			     "%zu; truncated?",
			     file->path, tensor->name, tensor->end, file->data_bytes);
	if (!size_mul(tensor->elements, dtypes[tensor->dtype].bytes, &bytes) ||
	    bytes != tensor->end - tensor->begin)
		return failf(failure, "%s: tensor %.200s: %s %s does not fit its %zu bytes",
			     file->path, tensor->name, tensor_dtype_name(tensor->dtype),
			     tensor_shape_text(tensor->shape, tensor->rank, shape, sizeof(shape)),
			     tensor->end - tensor->begin);
	tensor->data = file->data + tensor->begin;
	return 0;
}

static int
parse_tensors(struct safetensors *file, struct failure *failure)
{
	const char *name;
	json_t *entry;

	file->tensors = calloc(json_object_size(file->header) + 1, sizeof(*file->tensors));
	if (!file->tensors)
		return fail_memory(failure, "reading the list of tensors");
	json_object_foreach(file->header, name, entry)
	{
		struct tensor *tensor = &file->tensors[file->count];

		if (strcmp(name, "__metadata__") == 0)
			continue;
		tensor->name = name;
		if (parse_tensor(file, entry, tensor, failure) < 0)
			return -1;
		file->count++;
	}
	return 0;
}

static int
compare_begin(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return (x->end > y->end) - (x->end < y->end);
}

/* The format allows neither overlaps nor bytes that no tensor claims. */
static int
check_cover(struct safetensors *file, struct failure *failure)
{
	size_t at = 0;

	qsort(file->tensors, file->count, sizeof(*file->tensors), compare_begin);
	for (size_t i = 0; i < file->count; i++) {
		const struct tensor *tensor = &file->tensors[i];

		if (tensor->begin != at)
			return failf(failure,
				     "%s: tensor %.200s: begins at byte %zu of the data, expected "
				     "%zu: it %s",
				     file->path, tensor->name, tensor->begin, at,
				     tensor->begin < at ? "overlaps another" : "leaves a gap");
		at = tensor->end;
	}
	if (at != file->data_bytes)
		return failf(failure, "%s: tensors end at byte %zu of the data, which has %zu",
			     file->path, at, file->data_bytes);
	return 0;
}

int
safetensors_open(const char *path, struct safetensors **ret_file, struct failure *failure)
{
	struct safetensors *file = calloc(1, sizeof(*file));

	if (!file || !(file->path = strdup(path))) {
		free(file);
		return fail_memory(failure, path);
	}
	if (map_file(file, failure) < 0 || parse_header(file, failure) < 0 ||
	    parse_tensors(file, failure) < 0 || check_cover(file, failure) < 0) {
		safetensors_close(file);
		return -1;
	}
	*ret_file = file;
	return 0;
}

void
safetensors_close(struct safetensors *file)
{
	if (!file)
		return;
	if (file->map)
		munmap(file->map, file->map_bytes);
	json_decref(file->header);
	free(file->tensors);
	free(file->path);
	free(file);
}

const char *
safetensors_path(const struct safetensors *file)
{
	return file->path;
}

size_t
safetensors_count(const struct safetensors *file)
{
	return file->count;
}

const struct tensor *
safetensors_find(const struct safetensors *file, const char *name)
{
	for (size_t i = 0; i < file->count; i++)
		if (strcmp(file->tensors[i].name, name) == 0)
			return &file->tensors[i];
	return NULL;
}
