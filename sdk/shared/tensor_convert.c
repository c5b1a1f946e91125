/*
 * Conversion in three steps over a block of elements: load them into a wide type that holds every
 * value of the source, change to the wide type of the destination, store.  Every element is read
 * exactly once, because its memory may belong to somebody else.
 */
#include "tensor_convert.h"

#include <stdio.h>
#include <string.h>

#define BLOCK 256

enum wide { WIDE_INT, WIDE_UINT, WIDE_FLOAT, WIDE_COMPLEX, WIDE_BOOL };

union block {
	int64_t i[BLOCK];
	uint64_t u[BLOCK];
	double f[2 * BLOCK];
};

struct convert {
	struct plug_dtype from, to;
	bool saturate;
	uint64_t at; /* number of the block's first element */
	size_t count;
};

static enum wide
wide_of(struct plug_dtype dtype)
{
	switch (dtype.code) {
	case PLUG_CODE_INT:
		return WIDE_INT;
	case PLUG_CODE_UINT:
		return WIDE_UINT;
	case PLUG_CODE_BOOL:
		return WIDE_BOOL;
	case PLUG_CODE_COMPLEX:
		return WIDE_COMPLEX;
	default:
		return WIDE_FLOAT;
	}
}

plug_err
plugs_convert_check(struct plug_dtype from, struct plug_dtype to)
{
	char a[PLUG_DTYPE_NAME], b[PLUG_DTYPE_NAME];

	if (!plugs_dtype_converts(from) || !plugs_dtype_converts(to))
		return plugs_tensor_fail(PLUG_EINVAL, "%s cannot be converted to %s",
					 plug_dtype_name(from, a), plug_dtype_name(to, b));
	if (wide_of(from) == WIDE_COMPLEX && wide_of(to) != WIDE_COMPLEX &&
	    wide_of(to) != WIDE_BOOL)
		return plugs_tensor_fail(
			PLUG_EINVAL,
			"%s cannot be converted to %s: a complex number is no real "
			"one",
			plug_dtype_name(from, a), plug_dtype_name(to, b));
	return PLUG_OK;
}

/* ---- loading ---- */

#define LOAD(type, into, expression)                              \
	do {                                                      \
		for (size_t n = 0; n < count; n++, src += step) { \
			type value;                               \
			memcpy(&value, src, sizeof(value));       \
			(into)[n] = (expression);                 \
		}                                                 \
	} while (0)

static void
load_int(unsigned bits, const char *src, int64_t step, size_t count, int64_t *into)
{
	if (bits == 8)
		LOAD(int8_t, into, value);
	else if (bits == 16)
		LOAD(int16_t, into, value);
	else if (bits == 32)
		LOAD(int32_t, into, value);
	else
		LOAD(int64_t, into, value);
}

static void
load_uint(unsigned bits, const char *src, int64_t step, size_t count, uint64_t *into)
{
	if (bits == 8)
		LOAD(uint8_t, into, value);
	else if (bits == 16)
		LOAD(uint16_t, into, value);
	else if (bits == 32)
		LOAD(uint32_t, into, value);
	else
		LOAD(uint64_t, into, value);
}

static void
load_float(struct plug_dtype from, const char *src, int64_t step, size_t count, double *into)
{
	if (from.code == PLUG_CODE_BFLOAT)
		LOAD(uint16_t, into, (double)plugs_from_bfloat16(value));
	else if (from.bits == 16)
		LOAD(uint16_t, into, (double)plugs_from_float16(value));
	else if (from.bits == 32)
		LOAD(float, into, (double)value);
	else
		LOAD(double, into, value);
}

struct complex32 {
	float re, im;
};

struct complex64 {
	double re, im;
};

static void
load_complex(unsigned bits, const char *src, int64_t step, size_t count, double *into)
{
	for (size_t n = 0; n < count; n++, src += step) {
		struct complex64 value;

		if (bits == 64) {
			struct complex32 narrow;

			memcpy(&narrow, src, sizeof(narrow));
			value = (struct complex64){(double)narrow.re, (double)narrow.im};
		} else {
			memcpy(&value, src, sizeof(value));
		}
		into[2 * n] = value.re;
		into[2 * n + 1] = value.im;
	}
}

static void
load(struct plug_dtype from, const char *src, int64_t step, size_t count, union block *into)
{
	switch (wide_of(from)) {
	case WIDE_INT:
		load_int(from.bits, src, step, count, into->i);
		break;
	case WIDE_UINT:
		load_uint(from.bits, src, step, count, into->u);
		break;
	case WIDE_BOOL:
		LOAD(uint8_t, into->u, value != 0);
		break;
	case WIDE_COMPLEX:
		load_complex(from.bits, src, step, count, into->f);
		break;
	case WIDE_FLOAT:
		load_float(from, src, step, count, into->f);
		break;
	}
}

/* ---- what does not fit ---- */

static plug_err
no_fit(const struct convert *convert, size_t n, const char *value)
{
	char name[PLUG_DTYPE_NAME];

	return plugs_tensor_fail(PLUG_EINVAL,
				 "element %llu is %s, which %s cannot hold; PLUG_CONVERT_SATURATE "
				 "takes the nearest that it can",
				 (unsigned long long)(convert->at + n), value,
				 plug_dtype_name(convert->to, name));
}

static plug_err
no_fit_int(const struct convert *convert, size_t n, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%lld", (long long)value);
	return no_fit(convert, n, digits);
}

static plug_err
no_fit_float(const struct convert *convert, size_t n, double value)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%.9g", value);
	return no_fit(convert, n, digits);
}

/* ---- to an integer ---- */

static plug_err
int_within(const struct convert *convert, int64_t *values, int64_t min, int64_t max)
{
	for (size_t n = 0; n < convert->count; n++) {
		if (values[n] >= min && values[n] <= max)
			continue;
		if (!convert->saturate)
			return no_fit_int(convert, n, values[n]);
		values[n] = values[n] < min ? min : max;
	}
	return PLUG_OK;
}

static plug_err
uint_within(const struct convert *convert, uint64_t *values, uint64_t max)
{
	for (size_t n = 0; n < convert->count; n++) {
		char digits[24];

		if (values[n] <= max)
			continue;
		snprintf(digits, sizeof(digits), "%llu", (unsigned long long)values[n]);
		if (!convert->saturate)
			return no_fit(convert, n, digits);
		values[n] = max;
	}
	return PLUG_OK;
}

/* Both limits are powers of two or 0, so exact; `below` is the first number that is too large. */
static plug_err
float_to_int(const struct convert *convert, union block *block, bool is_signed)
{
	double below = is_signed ? 0x1p63 : 0x1p64;

	for (size_t n = 0; n < convert->count; n++) {
		double value = block->f[n];
		bool high = value >= below;
		bool low = is_signed ? value < -0x1p63 : value <= -1.0;

		if (!convert->saturate && (high || low || value != value))
			return no_fit_float(convert, n, value);
		if (high)
			block->u[n] = is_signed ? (uint64_t)INT64_MAX : UINT64_MAX;
		else if (low)
			block->i[n] = is_signed ? INT64_MIN : 0;
		else if (value != value)
			block->i[n] = 0;
		else if (is_signed)
			block->i[n] = (int64_t)value;
		else
			block->u[n] = (uint64_t)value;
	}
	return PLUG_OK;
}

/* Into block->i or block->u, within the limits of the destination. */
static plug_err
to_integer(const struct convert *convert, union block *block)
{
	bool is_signed = convert->to.code == PLUG_CODE_INT;
	uint64_t max = UINT64_MAX >> (64 - convert->to.bits + is_signed);
	enum wide from = wide_of(convert->from);
	plug_err err = PLUG_OK;

	if (from == WIDE_FLOAT)
		err = float_to_int(convert, block, is_signed);
	else if (from == WIDE_INT && !is_signed)
		err = int_within(convert, block->i, 0, INT64_MAX);
	else if (from == WIDE_UINT && is_signed)
		err = uint_within(convert, block->u, INT64_MAX);
	if (err != PLUG_OK)
		return err;
	if (is_signed)
		return int_within(convert, block->i, -(int64_t)max - 1, (int64_t)max);
	return uint_within(convert, block->u, max);
}

/* ---- to a float ---- */

/*
 * Rounded to odd: what is cut off leaves its trace in the last bit.  Rounding the result once more,
 * to fewer bits, is then as if it were rounded once.
 */
static double
odd(uint64_t magnitude)
{
	unsigned shift;
	uint64_t kept;

	if (magnitude < 1ull << 53)
		return (double)magnitude;
	shift = 11u - (unsigned)__builtin_clzll(magnitude);
	kept = magnitude >> shift;
	kept |= (magnitude & ((1ull << shift) - 1)) != 0;
	return (double)kept * (double)(1ull << shift);
}

static void
to_float(const struct convert *convert, union block *block)
{
	bool exact = convert->to.bits == (convert->to.code == PLUG_CODE_COMPLEX ? 128 : 64);
	enum wide from = wide_of(convert->from);

	for (size_t n = 0; n < convert->count; n++) {
		int64_t value = block->i[n];
		uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;

		if (from == WIDE_INT && exact)
			block->f[n] = (double)value;
		else if (from == WIDE_INT)
			block->f[n] = value < 0 ? -odd(magnitude) : odd(magnitude);
		else if (exact)
			block->f[n] = (double)block->u[n];
		else
			block->f[n] = odd(block->u[n]);
	}
}

static void
to_bool(enum wide from, union block *block, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		if (from == WIDE_COMPLEX)
			block->u[n] = block->f[2 * n] != 0 || block->f[2 * n + 1] != 0;
		else if (from == WIDE_FLOAT)
			block->u[n] = block->f[n] != 0;
		else
			block->u[n] = block->u[n] != 0;
	}
}

/* From the wide type of the source to that of the destination. */
static plug_err
change(const struct convert *convert, union block *block)
{
	enum wide from = wide_of(convert->from), to = wide_of(convert->to);

	if (to == WIDE_BOOL) {
		to_bool(from, block, convert->count);
		return PLUG_OK;
	}
	if (to == WIDE_INT || to == WIDE_UINT)
		return to_integer(convert, block);
	if (from != WIDE_FLOAT && from != WIDE_COMPLEX)
		to_float(convert, block);
	if (to == WIDE_COMPLEX && from != WIDE_COMPLEX) {
		for (size_t n = convert->count; n-- > 0;) {
			block->f[2 * n] = block->f[n];
			block->f[2 * n + 1] = 0;
		}
	}
	return PLUG_OK;
}

/* ---- storing ---- */

#define STORE(type, expression)                                   \
	do {                                                      \
		for (size_t n = 0; n < count; n++, dst += step) { \
			type value = (type)(expression);          \
			memcpy(dst, &value, sizeof(value));       \
		}                                                 \
	} while (0)

/* The low bits are the same for both kinds of integers. */
static void
store_integer(unsigned bits, const union block *from, char *dst, int64_t step, size_t count)
{
	if (bits == 8)
		STORE(uint8_t, from->u[n]);
	else if (bits == 16)
		STORE(uint16_t, from->u[n]);
	else if (bits == 32)
		STORE(uint32_t, from->u[n]);
	else
		STORE(uint64_t, from->u[n]);
}

static void
store_float(struct plug_dtype to, const union block *from, char *dst, int64_t step, size_t count)
{
	if (to.code == PLUG_CODE_BFLOAT)
		STORE(uint16_t, plugs_to_bfloat16(from->f[n]));
	else if (to.bits == 16)
		STORE(uint16_t, plugs_to_float16(from->f[n]));
	else if (to.bits == 32)
		STORE(float, from->f[n]);
	else
		STORE(double, from->f[n]);
}

static void
store_complex(unsigned bits, const union block *from, char *dst, int64_t step, size_t count)
{
	for (size_t n = 0; n < count; n++, dst += step) {
		struct complex64 value = {from->f[2 * n], from->f[2 * n + 1]};
		struct complex32 narrow = {(float)value.re, (float)value.im};

		if (bits == 64)
			memcpy(dst, &narrow, sizeof(narrow));
		else
			memcpy(dst, &value, sizeof(value));
	}
}

static void
store(struct plug_dtype to, const union block *from, char *dst, int64_t step, size_t count)
{
	enum wide wide = wide_of(to);

	if (wide == WIDE_FLOAT)
		store_float(to, from, dst, step, count);
	else if (wide == WIDE_COMPLEX)
		store_complex(to.bits, from, dst, step, count);
	else
		store_integer(to.bits, from, dst, step, count);
}

/* ---- rows ---- */

plug_err
plugs_convert_row(struct plug_dtype from, struct plug_dtype to, uint32_t flags,
		  const struct plugs_row *row, uint64_t at)
{
	struct convert convert = {
		.from = from,
		.to = to,
		.saturate = flags & PLUG_CONVERT_SATURATE,
	};

	for (uint64_t done = 0; done < row->count; done += convert.count) {
		const char *src = row->src + (int64_t)done * row->src_step;
		char *dst = row->dst + (int64_t)done * row->dst_step;
		union block block;
		plug_err err;

		convert.at = at + done;
		convert.count = row->count - done < BLOCK ? (size_t)(row->count - done) : BLOCK;
		load(from, src, row->src_step, convert.count, &block);
		err = change(&convert, &block);
		if (err != PLUG_OK)
			return err;
		store(to, &block, dst, row->dst_step, convert.count);
	}
	return PLUG_OK;
}
