#include "core/pep440.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A version as a range writes it. */
struct partial {
	struct pep440 version;
	bool star; /* ".*" follows the release, or all of it is "*" */
};

static int
compare_numbers(uint64_t left, uint64_t right)
{
	return (left > right) - (left < right);
}

/* ---- parsing ---- */

static bool
is_digit(char c)
{
	return isdigit((unsigned char)c);
}

static bool
scan_number(const char **text, uint64_t *ret, char *why)
{
	const char *p = *text;
	uint64_t value = 0;

	if (!is_digit(*p))
		return bounds_refuse(why, "a number is missing%s%.16s%s",
				     *p ? " before \"" : " at the end", p, *p ? "\"" : "");
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return bounds_refuse(why, "a part is larger than %" PRIu64, UINT64_MAX);
	*text = p;
	*ret = value;
	return true;
}

static bool
scan_epoch(const char **text, uint64_t *ret, char *why)
{
	size_t digits = strspn(*text, "0123456789");

	if (!digits || (*text)[digits] != '!' || (*text)[digits + 1] == '=')
		return true;
	if (!scan_number(text, ret, why))
		return false;
	++*text;
	return true;
}

static bool
scan_release(const char **text, struct partial *ret, char *why)
{
	struct pep440 *version = &ret->version;

	for (;;) {
		if (**text == '*') {
			++*text;
			ret->star = true;
			return true;
		}
		if (version->parts == PEP440_PARTS)
			return bounds_refuse(why, "more than %d parts", PEP440_PARTS);
		if (!scan_number(text, &version->release[version->parts], why))
			return false;
		version->parts++;
		if (**text != '.' || (!is_digit((*text)[1]) && (*text)[1] != '*'))
			return true;
		++*text;
	}
}

/* One of `words`, with a separator before it, and one behind it if a number follows. */
static bool
scan_word(const char **text, const char *const *words, uint64_t *ret_number, bool *ret_found,
	  char *why)
{
	const char *p = *text + (**text && strchr("-_.", **text));
	size_t length = 0;

	for (; *words && !length; words++)
		if (!strncasecmp(p, *words, strlen(*words)))
			length = strlen(*words);
	*ret_found = length > 0;
	if (!length)
		return true;
	p += length;
	*text = p;
	p += *p && strchr("-_.", *p);
	if (!is_digit(*p))
		return true;
	*text = p;
	return scan_number(text, ret_number, why);
}

static bool
scan_pre(const char **text, struct pep440 *version, char *why)
{
	/* the longer spellings before those they begin with */
	static const char *const a[] = {"alpha", "a", NULL}, *const b[] = {"beta", "b", NULL},
				 *const rc[] = {"rc", "preview", "pre", "c", NULL};
	static const struct {
		const char *const *words;
		enum pep440_phase phase;
	} phases[] = {{a, PEP440_A}, {b, PEP440_B}, {rc, PEP440_RC}};
	bool found = false;

	version->phase = PEP440_FINAL;
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]) && !found; i++) {
		if (!scan_word(text, phases[i].words, &version->pre, &found, why))
			return false;
		if (found)
			version->phase = phases[i].phase;
	}
	return true;
}

static bool
scan_post(const char **text, struct pep440 *version, char *why)
{
	static const char *const words[] = {"post", "rev", "r", NULL};

	if (**text != '-' || !is_digit((*text)[1]))
		return scan_word(text, words, &version->post, &version->is_post, why);
	++*text; /* 1.0-1 is 1.0.post1 */
	version->is_post = true;
	return scan_number(text, &version->post, why);
}

static bool
scan_version(const char **text, struct partial *ret, char *why)
{
	static const char *const dev[] = {"dev", NULL};
	struct pep440 *version = &ret->version;

	*ret = (struct partial){.version = {.phase = PEP440_FINAL}};
	if ((**text == 'v' || **text == 'V') && is_digit((*text)[1]))
		++*text;
	if (!scan_epoch(text, &version->epoch, why) || !scan_release(text, ret, why))
		return false;
	if (ret->star)
		return true;
	if (!scan_pre(text, version, why) || !scan_post(text, version, why) ||
	    !scan_word(text, dev, &version->dev, &version->is_dev, why))
		return false;
	if (version->is_dev && !version->is_post && version->phase == PEP440_FINAL)
		version->phase = PEP440_DEV;
	return true;
}

/* "+cu118", "+repack": who built it is no part of the order. */
static bool
skip_local(const char **text, char *why)
{
	if (**text != '+')
		return true;
	do {
		size_t length = 0;

		++*text;
		while (isalnum((unsigned char)(*text)[length]))
			length++;
		if (!length)
			return bounds_refuse(why, "the local version has an empty part");
		*text += length;
	} while (**text && strchr("-_.", **text));
	return true;
}

bool
pep440_parse(const char *text, struct pep440 *ret, char *why)
{
	struct partial partial;

	if (!*text)
		return bounds_refuse(why, "it is empty");
	if (!scan_version(&text, &partial, why))
		return false;
	if (partial.star)
		return bounds_refuse(why, "a version has no *");
	if (!skip_local(&text, why))
		return false;
	if (*text)
		return bounds_refuse(why, "\"%.16s\" follows the version", text);
	*ret = partial.version;
	return true;
}

/* ---- order ---- */

static int
compare_releases(const struct pep440 *left, const struct pep440 *right, unsigned parts)
{
	int order = compare_numbers(left->epoch, right->epoch);

	for (unsigned i = 0; i < parts && !order; i++)
		order = compare_numbers(left->release[i], right->release[i]);
	return order;
}

int
pep440_compare(const struct pep440 *left, const struct pep440 *right)
{
	int order = compare_releases(left, right, PEP440_PARTS);

	if (!order)
		order = compare_numbers(left->phase, right->phase);
	if (!order)
		order = compare_numbers(left->pre, right->pre);
	if (!order)
		order = compare_numbers(left->is_post, right->is_post);
	if (!order)
		order = compare_numbers(left->post, right->post);
	if (!order) /* one without .dev is later */
		order = compare_numbers(!left->is_dev, !right->is_dev);
	return order ? order : compare_numbers(left->dev, right->dev);
}

static bool
is_prerelease(const struct pep440 *version)
{
	return version->is_dev || version->phase != PEP440_FINAL;
}

static bool
bound_holds(const struct pep440_bound *bound, const struct pep440 *version)
{
	const struct pep440 *than = &bound->version;
	int order = pep440_compare(version, than);
	bool same_release = !compare_releases(version, than, PEP440_PARTS);
	bool same = bound->is_prefix ? !compare_releases(version, than, bound->parts) : !order;

	switch (bound->op) {
	case PEP440_LT: /* "exclusive ordered comparison" of PEP 440, and for GT */
		return order < 0 &&
		       (!same_release || is_prerelease(than) || !is_prerelease(version));
	case PEP440_LE:
		return order <= 0;
	case PEP440_EQ:
		return same;
	case PEP440_NE:
		return !same;
	case PEP440_GE:
		return order >= 0;
	case PEP440_GT:
		return order > 0 && (!same_release || than->is_post || !version->is_post);
	}
	return false;
}

bool
pep440_range_matches(const struct pep440_range *range, const struct pep440 *version)
{
	bool asked_for = !is_prerelease(version);

	for (unsigned i = 0; i < range->count; i++) {
		const struct pep440_bound *bound = &range->bounds[i];

		if (!bound_holds(bound, version))
			return false;
		if (bound->op != PEP440_NE && is_prerelease(&bound->version) &&
		    !compare_releases(&bound->version, version, PEP440_PARTS))
			asked_for = true;
	}
	return asked_for;
}

/* ---- ranges ---- */

static bool
add_bound(struct pep440_range *range, const struct pep440_bound *bound, char *why)
{
	if (range->count == PEP440_BOUNDS)
		return bounds_refuse(why, "more than %d bounds", PEP440_BOUNDS);
	range->bounds[range->count++] = *bound;
	return true;
}

/* >= version, while its first `kept` parts stay as they are. */
static bool
add_span(struct pep440_range *range, const struct pep440 *version, unsigned kept, char *why)
{
	const struct pep440_bound least = {.op = PEP440_GE, .version = *version};
	const struct pep440_bound prefix = {.op = PEP440_EQ,
					    .is_prefix = true,
					    .parts = (unsigned char)kept,
					    .version = *version};

	return add_bound(range, &least, why) && add_bound(range, &prefix, why);
}

static unsigned
caret_parts(const struct pep440 *version)
{
	unsigned zeros = 0;

	while (zeros + 1u < version->parts && !version->release[zeros])
		zeros++;
	return zeros + 1;
}

static bool
take_bound(void *context, enum bounds_op op, const char **text, char *why)
{
	static const enum pep440_op ops[] = {
		[BOUNDS_EXACT] = PEP440_EQ, [BOUNDS_NOT] = PEP440_NE, [BOUNDS_LT] = PEP440_LT,
		[BOUNDS_LE] = PEP440_LE,    [BOUNDS_GE] = PEP440_GE,  [BOUNDS_GT] = PEP440_GT};
	struct pep440_range *range = context;
	struct partial partial;
	const struct pep440 *version = &partial.version;

	if (!scan_version(text, &partial, why))
		return false;
	if (**text == '+')
		return bounds_refuse(why, "\"%.16s\" is a local version, which is not compared",
				     *text);
	if (partial.star && op != BOUNDS_EXACT && op != BOUNDS_NOT)
		return bounds_refuse(why, "* goes with == and != only");
	if (partial.star && op == BOUNDS_NOT && !version->parts)
		return bounds_refuse(why, "!=* allows no version at all");
	switch (op) {
	case BOUNDS_CARET:
		return add_span(range, version, caret_parts(version), why);
	case BOUNDS_TILDE:
		return add_span(range, version, version->parts == 1 ? 1 : 2, why);
	case BOUNDS_COMPATIBLE:
		if (version->parts < 2)
			return bounds_refuse(why, "~= needs at least two parts, such as ~=1.4");
		return add_span(range, version, version->parts - 1u, why);
	default:
		return (partial.star && !version->parts) /* any */ ||
		       add_bound(range,
				 &(struct pep440_bound){.op = ops[op],
							.is_prefix = partial.star,
							.parts = version->parts,
							.version = *version},
				 why);
	}
}

bool
pep440_range_parse(const char *text, struct pep440_range *ret, char *why)
{
	struct pep440_range range = {0};

	if (!bounds_scan(text, take_bound, &range, why))
		return false;
	*ret = range;
	return true;
}

/* ---- text ---- */

struct line {
	char *at;
	size_t room;
};

static void append(struct line *line, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
append(struct line *line, const char *format, ...)
{
	va_list args;
	int length;
	size_t used;

	va_start(args, format);
	length = vsnprintf(line->at, line->room, format, args);
	va_end(args);
	used = length < 0 ? 0 : (size_t)length < line->room ? (size_t)length : line->room - 1;
	line->at += used;
	line->room -= used;
}

static void
append_ending(struct line *line, const struct pep440 *version)
{
	static const char *const phases[] = {
		[PEP440_A] = "a", [PEP440_B] = "b", [PEP440_RC] = "rc"};

	if (version->phase != PEP440_DEV && version->phase != PEP440_FINAL)
		append(line, "%s%" PRIu64, phases[version->phase], version->pre);
	if (version->is_post)
		append(line, ".post%" PRIu64, version->post);
	if (version->is_dev)
		append(line, ".dev%" PRIu64, version->dev);
}

static void
append_bound(struct line *line, const struct pep440_bound *bound)
{
	static const char *const ops[] = {
		[PEP440_LT] = "<",  [PEP440_LE] = "<=", [PEP440_EQ] = "==",
		[PEP440_NE] = "!=", [PEP440_GE] = ">=", [PEP440_GT] = ">"};
	const struct pep440 *version = &bound->version;
	unsigned parts = bound->is_prefix ? bound->parts : version->parts;

	append(line, "%s", ops[bound->op]);
	if (version->epoch)
		append(line, "%" PRIu64 "!", version->epoch);
	for (unsigned i = 0; i < parts; i++)
		append(line, "%s%" PRIu64, i ? "." : "", version->release[i]);
	if (bound->is_prefix)
		append(line, ".*");
	else
		append_ending(line, version);
}

void
pep440_range_format(const struct pep440_range *range, char *buffer, size_t size)
{
	struct line line = {buffer, size};

	*buffer = '\0';
	for (unsigned i = 0; i < range->count; i++) {
		append(&line, "%s", i ? "," : "");
		append_bound(&line, &range->bounds[i]);
	}
}
