#include "pretokenize.h"

#include "utf8.h"

#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

enum kind { LETTER, NUMBER, SPACE, OTHER };

static bool
is_space(uint32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

static enum kind
kind_of(uint32_t c)
{
	if (is_space(c))
		return SPACE;
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
		return LETTER;
	case UTF8PROC_CATEGORY_ND:
	case UTF8PROC_CATEGORY_NL:
	case UTF8PROC_CATEGORY_NO:
		return NUMBER;
	default:
		return OTHER;
	}
}

static enum kind
kind_at(const char *at, size_t left, size_t *ret_bytes)
{
	uint32_t c = 0;
	int n = utf8_next((const unsigned char *)at, left, &c);

	*ret_bytes = n > 0 ? (size_t)n : 1;
	return kind_of(c);
}

/* Bytes of the run of one kind at `at`; *ret_last is where its last character begins. */
static size_t
run_of(enum kind kind, const char *at, size_t left, size_t *ret_last)
{
	size_t done = 0, bytes;

	for (; done < left && kind_at(at + done, left - done, &bytes) == kind; done += bytes)
		*ret_last = done;
	return done;
}

static size_t
contraction(const char *at, size_t left)
{
	static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t n = strlen(endings[i]);

		if (left >= n && memcmp(at, endings[i], n) == 0)
			return n;
	}
	return 0;
}

/* Whitespace leaves its last character to the word that follows it. */
static size_t
whitespace(const char *at, size_t left)
{
	size_t last = 0;
	size_t run = run_of(SPACE, at, left, &last);

	return run < left && last > 0 ? last : run;
}

size_t
pretokenize(const char *at, size_t left)
{
	size_t lead = *at == ' ' ? 1 : 0, last = 0, bytes;
	enum kind kind;

	if (*at == '\'' && contraction(at, left))
		return contraction(at, left);
	if (lead == left)
		return left;
	kind = kind_at(at + lead, left - lead, &bytes);
	if (kind == SPACE)
		return whitespace(at, left);
	return lead + run_of(kind, at + lead, left - lead, &last);
}
