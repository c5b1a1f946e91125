#include "core/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Each table from the largest to the smallest: formatting takes the first that divides. */
static const struct unit duration_units[] = {
	{"d", UINT64_C(86400000000000)},
	{"h", UINT64_C(3600000000000)},
	{"m", UINT64_C(60000000000)},
	{"s", UINT64_C(1000000000)},
	{"ms", UINT64_C(1000000)},
	{"us", UINT64_C(1000)},
	{"ns", 1},
};

static const struct unit size_units[] = {
	{"TiB", UINT64_C(1) << 40}, {"TB", UINT64_C(1000000000000)},
	{"GiB", UINT64_C(1) << 30}, {"GB", UINT64_C(1000000000)},
	{"MiB", UINT64_C(1) << 20}, {"MB", UINT64_C(1000000)},
	{"KiB", UINT64_C(1) << 10}, {"kB", UINT64_C(1000)},
	{"KB", UINT64_C(1000)},     {"T", UINT64_C(1) << 40},
	{"G", UINT64_C(1) << 30},   {"M", UINT64_C(1) << 20},
	{"K", UINT64_C(1) << 10},   {"B", 1},
};

/* A decimal number without a unit: whole + fraction / scale. */
struct number {
	uint64_t whole, fraction, scale;
};

static enum units_err
scan_number(const char **text, struct number *ret)
{
	const char *p = *text;
	struct number n = {.scale = 1};

	if (!isdigit((unsigned char)*p))
		return UNITS_NO_NUMBER;
	for (; isdigit((unsigned char)*p); p++) {
		if (n.whole > (UINT64_MAX - 9) / 10)
			return UNITS_TOO_LARGE;
		n.whole = n.whole * 10 + (uint64_t)(*p - '0');
	}
	if (*p == '.' && !isdigit((unsigned char)p[1]))
		return UNITS_NO_NUMBER;
	if (*p == '.')
		p++;
	for (; isdigit((unsigned char)*p); p++) {
		if (n.scale < UINT64_C(1000000000)) {
			n.fraction = n.fraction * 10 + (uint64_t)(*p - '0');
			n.scale *= 10;
		}
	}
	*text = p;
	*ret = n;
	return UNITS_OK;
}

static const struct unit *
scan_unit(const char **text, const struct unit *units, size_t count)
{
	size_t length = 0;

	while (isalpha((unsigned char)(*text)[length]))
		length++;
	for (size_t i = 0; i < count; i++) {
		if (strlen(units[i].name) == length && !strncmp(units[i].name, *text, length)) {
			*text += length;
			return &units[i];
		}
	}
	return NULL;
}

/* *total += n * factor, unless the sum leaves int64. */
static enum units_err
accumulate(const struct number *n, uint64_t factor, uint64_t *total)
{
	uint64_t product, part;

	if (__builtin_mul_overflow(n->whole, factor, &product))
		return UNITS_TOO_LARGE;
	part = (uint64_t)((unsigned __int128)n->fraction * factor / n->scale);
	if (__builtin_add_overflow(product, part, &product) ||
	    __builtin_add_overflow(product, *total, &product) || product > INT64_MAX)
		return UNITS_TOO_LARGE;
	*total = product;
	return UNITS_OK;
}

enum units_err
units_duration_ns(const char *text, uint64_t *ret_ns)
{
	uint64_t total = 0;
	enum units_err err;

	if (!strcmp(text, "0")) {
		*ret_ns = 0;
		return UNITS_OK;
	}
	do {
		const struct unit *unit;
		struct number n;

		err = scan_number(&text, &n);
		if (err)
			return err;
		if (!*text)
			return UNITS_NO_UNIT;
		unit = scan_unit(&text, duration_units, ARRAY_SIZE(duration_units));
		if (!unit)
			return UNITS_BAD_UNIT;
		err = accumulate(&n, unit->factor, &total);
		if (err)
			return err;
	} while (*text);
	*ret_ns = total;
	return UNITS_OK;
}

enum units_err
units_size_bytes(const char *text, uint64_t *ret_bytes)
{
	static const struct unit plain = {"", 1};
	const struct unit *unit = &plain;
	uint64_t total = 0;
	struct number n;
	enum units_err err = scan_number(&text, &n);

	if (err)
		return err;
	if (*text)
		unit = scan_unit(&text, size_units, ARRAY_SIZE(size_units));
	if (!unit || *text)
		return UNITS_BAD_UNIT;
	err = accumulate(&n, unit->factor, &total);
	if (!err)
		*ret_bytes = total;
	return err;
}

const char *
units_err_text(enum units_err err)
{
	static const char *const texts[UNITS_ERR_COUNT] = {
		[UNITS_OK] = "it is fine",
		[UNITS_NO_NUMBER] = "a number is missing",
		[UNITS_NO_UNIT] = "it has no unit",
		[UNITS_BAD_UNIT] = "its unit is not known",
		[UNITS_TOO_LARGE] = "it is too large",
	};

	return (unsigned)err < UNITS_ERR_COUNT ? texts[err] : "it is not valid";
}

void
units_format_duration(uint64_t ns, char *buffer, size_t size)
{
	size_t used = 0;

	if (!ns)
		snprintf(buffer, size, "0s");
	for (size_t i = 0; i < ARRAY_SIZE(duration_units) && ns && used < size; i++) {
		uint64_t factor = duration_units[i].factor;

		if (ns < factor || (factor <= 1000000000 && ns % factor))
			continue;
		used += (size_t)snprintf(buffer + used, size - used, "%" PRIu64 "%s", ns / factor,
					 duration_units[i].name);
		ns %= factor;
	}
}

void
units_format_size(uint64_t bytes, char *buffer, size_t size)
{
	for (size_t i = 0; bytes && i < ARRAY_SIZE(size_units); i++) {
		if (bytes % size_units[i].factor == 0 && size_units[i].factor > 1) {
			snprintf(buffer, size, "%" PRIu64 "%s", bytes / size_units[i].factor,
				 size_units[i].name);
			return;
		}
	}
	snprintf(buffer, size, "%" PRIu64, bytes);
}
