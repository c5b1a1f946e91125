/*
 * Versions of Python's packages and the ranges that a requirement names, after PEP 440 ("Version
 * Identification and Dependency Specification").
 *
 * A version is [epoch!]release[{a|b|rc}N][.postN][.devN][+local], in any spelling that PEP 440
 * normalizes ("v1.0-RC1", "1.0-1", "1.0alpha").  The local part is accepted in a version and
 * ignored, and refused in a range.  At most PEP440_PARTS numbers of 64 bits, where PEP 440 has no
 * limit.
 *
 * Ranges are written as in semver.h, for releases of any length:
 *
 *   >=1.2 >1.2 <=1.2 <2       in PEP 440's order; >1.2 leaves out 1.2.post1, as PEP 440 does
 *   ==1.2 1.2 !=1.2           exactly this one, 1.2.0 included; any but this one
 *   ==1.2.* 1.2.* !=1.2.*     all with these first parts; a lone * is any version
 *   ^1.2.3                    >=1.2.3, and the first part that is not 0 stays
 *   ~1.2.3 ~1.2 ~1            >=, and the first two parts stay (~1: 1.*)
 *   ~=1.4.2 ~=1.4             >=, and all but the last part written stay
 *
 * Prereleases, those with .dev included: as in semver.h, 2.0rc1 satisfies a range only if one of
 * its bounds, other than !=, names a prerelease of the same release.
 *
 * Everything here is pure.
 */
#ifndef PLUGD_PEP440_H
#define PLUGD_PEP440_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bounds.h"

#define PEP440_PARTS      16 /* of a release */
#define PEP440_BOUNDS     8  /* of one range; ^ ~ ~= count twice */
#define PEP440_TEXT_BYTES 128
#define PEP440_ERR_BYTES  BOUNDS_ERR_BYTES

/* In their order.  DEV is 1.0.dev3, which comes before every prerelease of 1.0. */
enum pep440_phase { PEP440_DEV, PEP440_A, PEP440_B, PEP440_RC, PEP440_FINAL };

struct pep440 {
	uint64_t epoch;
	uint64_t release[PEP440_PARTS];
	unsigned char parts; /* of the release, as written; those behind are 0 */
	unsigned char phase; /* enum pep440_phase */
	bool is_post, is_dev;
	uint64_t pre, post, dev; /* their numbers, 0 where there is none */
};

enum pep440_op { PEP440_LT, PEP440_LE, PEP440_EQ, PEP440_NE, PEP440_GE, PEP440_GT };

struct pep440_bound {
	enum pep440_op op;
	bool is_prefix;      /* EQ and NE: only epoch and `parts` count */
	unsigned char parts; /* of a prefix */
	struct pep440 version;
};

struct pep440_range {
	struct pep440_bound bounds[PEP440_BOUNDS];
	unsigned count; /* 0: any release */
};

/*
 * Parse the whole of `text`.  On failure *ret is untouched and `why`, of PEP440_ERR_BYTES bytes,
 * says what is wrong in a phrase that follows "…: ".
 */
bool pep440_parse(const char *text, struct pep440 *ret, char *why);
bool pep440_range_parse(const char *text, struct pep440_range *ret, char *why);

/* Negative, 0 or positive, a total order; 1.0 and 1.0.0 are equal. */
int pep440_compare(const struct pep440 *left, const struct pep440 *right);

bool pep440_range_matches(const struct pep440_range *range, const struct pep440 *version);

/* With PEP 440's own operators, as pip takes them: ">=1.26,==1.*".  Cut where it does not fit. */
void pep440_range_format(const struct pep440_range *range, char *buffer, size_t size);

#endif
