/*
 * Semantic versions (SemVer 2.0.0) and the ranges that a requirement names.
 *
 * A range is a list of bounds, separated by commas or spaces, all of which must hold:
 *
 *   >=1.2  >1.2  <=1.2  <2    by precedence; parts left out are 0
 *   ==1.2.3  1.2.3  !=1.2.3   exactly this one, any but this one
 *   ==1.2.*  1.2.*  !=1.2.*   all with these first parts; a lone * is any version
 *   ^1.2.3                    >=1.2.3, and the first part that is not 0 stays
 *   ~1.2.3  ~1.2  ~1          >=, and all but the last of three parts stays (~1: 1.*)
 *   ~=1.4.2  ~=1.4            >=, and all but the last part written stays
 *
 * Prereleases: 2.0.0-rc.1 satisfies a range only if one of its bounds, other than !=, names a
 * prerelease of the same major.minor.patch.  So ">=1.0" never picks up a release candidate that
 * nobody asked for, and ">=2.0.0-rc.1" does.
 *
 * Build metadata ("+abc") is accepted and ignored.  Everything here is pure.
 */
#ifndef PLUGD_SEMVER_H
#define PLUGD_SEMVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bounds.h"

#define SEMVER_PRE_BYTES  48 /* prerelease, NUL included */
#define SEMVER_TEXT_BYTES 96 /* any formatted version, NUL included */
#define SEMVER_BOUNDS     8  /* of one range; ^ ~ ~= count twice */
#define SEMVER_ERR_BYTES  BOUNDS_ERR_BYTES

struct semver {
	uint32_t major, minor, patch;
	char pre[SEMVER_PRE_BYTES]; /* without '-'; empty: a release */
};

enum semver_op {
	SEMVER_LT,
	SEMVER_LE,
	SEMVER_EQ,
	SEMVER_NE,
	SEMVER_GE,
	SEMVER_GT,
};

struct semver_bound {
	enum semver_op op;
	unsigned char
		parts; /* EQ and NE: how many leading parts count; 3: all, and the prerelease */
	struct semver version;
};

struct semver_range {
	struct semver_bound bounds[SEMVER_BOUNDS];
	unsigned count; /* 0: any release */
};

/*
 * Parse the whole of `text`.  On failure *ret is untouched and `why`, of SEMVER_ERR_BYTES bytes,
 * says what is wrong in a phrase that follows "…: ".
 */
bool semver_parse(const char *text, struct semver *ret, char *why);
bool semver_range_parse(const char *text, struct semver_range *ret, char *why);

/* Precedence: negative, 0 or positive, a total order. */
int semver_compare(const struct semver *left, const struct semver *right);

bool semver_range_matches(const struct semver_range *range, const struct semver *version);

/* "1.2.3-rc.1" */
void semver_format(const struct semver *version, char buffer[SEMVER_TEXT_BYTES]);

#endif
