#include "core/semver.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A version as a range writes it: maybe with parts left out or starred. */
struct partial {
	struct semver version;
	unsigned given; /* number of parts written as digits, 0..3 */
	bool star;      /* the part after them is '*' */
};

static bool
is_identifier_char(char c)
{
	return isalnum((unsigned char)c) || c == '-';
}

static bool
all_digits(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isdigit((unsigned char)text[i]))
			return false;
	return length > 0;
}

static bool
scan_part(const char **text, uint32_t *ret, char *why)
{
	const char *p = *text;
	uint64_t value = 0;

	if (!isdigit((unsigned char)*p))
		return bounds_refuse(why, "a number is missing%s%.16s%s",
				     *p ? " before \"" : " at the end", p, *p ? "\"" : "");
	if (p[0] == '0' && isdigit((unsigned char)p[1]))
		return bounds_refuse(why, "\"%.16s\" begins with a 0 too many", p);
	for (; isdigit((unsigned char)*p); p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			return bounds_refuse(why, "a part is larger than %" PRIu32, UINT32_MAX);
	}
	*text = p;
	*ret = (uint32_t)value;
	return true;
}

/* Dot-separated identifiers; `numbers_strict`: those of digits only have no leading 0. */
static bool
scan_identifiers(const char **text, const char *what, bool numbers_strict, char *why)
{
	const char *p = *text;

	for (;; p++) {
		size_t length = 0;

		while (is_identifier_char(p[length]))
			length++;
		if (!length)
			return bounds_refuse(why, "the %s has an empty part", what);
		if (numbers_strict && length > 1 && p[0] == '0' && all_digits(p, length))
			return bounds_refuse(why, "the %s part \"%.*s\" begins with a 0 too many",
					     what, (int)length, p);
		p += length;
		if (*p != '.')
			break;
	}
	*text = p;
	return true;
}

/* What may follow the three numbers. */
static bool
scan_tail(const char **text, struct semver *version, char *why)
{
	if (**text == '-') {
		const char *start = ++*text;
		size_t length;

		if (!scan_identifiers(text, "prerelease", true, why))
			return false;
		length = (size_t)(*text - start);
		if (length >= sizeof(version->pre))
			return bounds_refuse(why, "the prerelease is longer than %zu bytes",
					     sizeof(version->pre) - 1);
		memcpy(version->pre, start, length);
		version->pre[length] = '\0';
	}
	if (**text == '+') {
		++*text;
		return scan_identifiers(text, "build metadata", false, why);
	}
	return true;
}

static bool
scan_partial(const char **text, struct partial *ret, char *why)
{
	uint32_t *const parts[] = {&ret->version.major, &ret->version.minor, &ret->version.patch};

	*ret = (struct partial){0};
	for (;;) {
		if (**text == '*') {
			++*text;
			ret->star = true;
			return true;
		}
		if (!scan_part(text, parts[ret->given], why))
			return false;
		ret->given++;
		if (ret->given == 3)
			return scan_tail(text, &ret->version, why);
		if (**text != '.')
			return true;
		++*text;
	}
}

bool
semver_parse(const char *text, struct semver *ret, char *why)
{
	struct partial partial;

	if (!*text)
		return bounds_refuse(why, "it is empty");
	if (!scan_partial(&text, &partial, why))
		return false;
	if (partial.star)
		return bounds_refuse(why, "a version has no *");
	if (partial.given < 3)
		return bounds_refuse(why, "it has %u of the three parts MAJOR.MINOR.PATCH",
				     partial.given);
	if (*text)
		return bounds_refuse(why, "\"%.16s\" follows the version", text);
	*ret = partial.version;
	return true;
}

static int
compare_numbers(uint32_t left, uint32_t right)
{
	return (left > right) - (left < right);
}

/* Numbers before words; numbers by value, which for equal lengths is their text. */
static int
compare_identifiers(const char *left, size_t left_length, const char *right, size_t right_length)
{
	bool left_number = all_digits(left, left_length);
	bool right_number = all_digits(right, right_length);
	int order;

	if (left_number != right_number)
		return left_number ? -1 : 1;
	if (left_number && left_length != right_length)
		return left_length < right_length ? -1 : 1;
	order = memcmp(left, right, left_length < right_length ? left_length : right_length);
	if (order)
		return order;
	return (left_length > right_length) - (left_length < right_length);
}

static int
compare_prereleases(const char *left, const char *right)
{
	if (!*left || !*right)
		return !*left - !*right;
	for (;;) {
		size_t left_length = strcspn(left, "."), right_length = strcspn(right, ".");
		int order = compare_identifiers(left, left_length, right, right_length);

		if (order)
			return order;
		left += left_length;
		right += right_length;
		if (!*left || !*right)
			return (*left != '\0') - (*right != '\0');
		left++;
		right++;
	}
}

int
semver_compare(const struct semver *left, const struct semver *right)
{
	int order = compare_numbers(left->major, right->major);

	if (!order)
		order = compare_numbers(left->minor, right->minor);
	if (!order)
		order = compare_numbers(left->patch, right->patch);
	return order ? order : compare_prereleases(left->pre, right->pre);
}

void
semver_format(const struct semver *version, char buffer[SEMVER_TEXT_BYTES])
{
	snprintf(buffer, SEMVER_TEXT_BYTES, "%" PRIu32 ".%" PRIu32 ".%" PRIu32 "%s%s",
		 version->major, version->minor, version->patch, *version->pre ? "-" : "",
		 version->pre);
}

static bool
same_parts(const struct semver *left, const struct semver *right, unsigned parts)
{
	return (parts < 1 || left->major == right->major) &&
	       (parts < 2 || left->minor == right->minor) &&
	       (parts < 3 || left->patch == right->patch);
}

static bool
bound_holds(const struct semver_bound *bound, const struct semver *version)
{
	int order = semver_compare(version, &bound->version);
	bool same = bound->parts < 3 ? same_parts(version, &bound->version, bound->parts) : !order;

	switch (bound->op) {
	case SEMVER_LT:
		return order < 0;
	case SEMVER_LE:
		return order <= 0;
	case SEMVER_EQ:
		return same;
	case SEMVER_NE:
		return !same;
	case SEMVER_GE:
		return order >= 0;
	case SEMVER_GT:
		return order > 0;
	}
	return false;
}

bool
semver_range_matches(const struct semver_range *range, const struct semver *version)
{
	bool asked_for = !*version->pre;

	for (unsigned i = 0; i < range->count; i++) {
		const struct semver_bound *bound = &range->bounds[i];

		if (!bound_holds(bound, version))
			return false;
		if (bound->op != SEMVER_NE && *bound->version.pre &&
		    same_parts(&bound->version, version, 3))
			asked_for = true;
	}
	return asked_for;
}

static bool
add_bound(struct semver_range *range, enum semver_op op, const struct semver *version,
	  unsigned parts, char *why)
{
	if (range->count == SEMVER_BOUNDS)
		return bounds_refuse(why, "more than %d bounds", SEMVER_BOUNDS);
	range->bounds[range->count++] =
		(struct semver_bound){.op = op, .parts = (unsigned char)parts, .version = *version};
	return true;
}

/* >= version, while its first `kept` parts stay as they are. */
static bool
add_span(struct semver_range *range, const struct semver *version, unsigned kept, char *why)
{
	return add_bound(range, SEMVER_GE, version, 3, why) &&
	       add_bound(range, SEMVER_EQ, version, kept, why);
}

static unsigned
caret_parts(const struct partial *p)
{
	if (p->version.major || p->given == 1)
		return 1;
	return p->version.minor || p->given == 2 ? 2 : 3;
}

/*
 * ^0.0.3 allows 0.0.3 and its prereleases named in the bound, and nothing else: the third part
 * stays, but the prerelease may end.  As no bound compares three parts without the prerelease, it
 * is written as < 0.0.4.
 */
static bool
add_patch_span(struct semver_range *range, const struct semver *version, char *why)
{
	struct semver next = *version;

	if (next.patch == UINT32_MAX)
		return bounds_refuse(why, "a part is too large for ^");
	next.patch++;
	*next.pre = '\0';
	return add_bound(range, SEMVER_GE, version, 3, why) &&
	       add_bound(range, SEMVER_LT, &next, 3, why);
}

static bool
add_written(struct semver_range *range, enum bounds_op op, const struct partial *p, char *why)
{
	static const enum semver_op plain[] = {[BOUNDS_LT] = SEMVER_LT,
					       [BOUNDS_LE] = SEMVER_LE,
					       [BOUNDS_GE] = SEMVER_GE,
					       [BOUNDS_GT] = SEMVER_GT};

	if (p->star && op != BOUNDS_EXACT && op != BOUNDS_NOT)
		return bounds_refuse(why, "* goes with == and != only");
	switch (op) {
	case BOUNDS_EXACT:
		return add_bound(range, SEMVER_EQ, &p->version, p->star ? p->given : 3, why);
	case BOUNDS_NOT:
		if (p->star && !p->given)
			return bounds_refuse(why, "!=* allows no version at all");
		return add_bound(range, SEMVER_NE, &p->version, p->star ? p->given : 3, why);
	case BOUNDS_CARET:
		if (caret_parts(p) == 3)
			return add_patch_span(range, &p->version, why);
		return add_span(range, &p->version, caret_parts(p), why);
	case BOUNDS_TILDE:
		return add_span(range, &p->version, p->given == 1 ? 1 : 2, why);
	case BOUNDS_COMPATIBLE:
		if (p->given < 2)
			return bounds_refuse(why, "~= needs at least two parts, such as ~=1.4");
		return add_span(range, &p->version, p->given - 1, why);
	default:
		return add_bound(range, plain[op], &p->version, 3, why);
	}
}

static bool
take_bound(void *context, enum bounds_op op, const char **text, char *why)
{
	struct partial partial;

	return scan_partial(text, &partial, why) && add_written(context, op, &partial, why);
}

bool
semver_range_parse(const char *text, struct semver_range *ret, char *why)
{
	struct semver_range range = {0};

	if (!bounds_scan(text, take_bound, &range, why))
		return false;
	*ret = range;
	return true;
}
