/*
 * What was pinned when a version was installed: a small YAML file beside its files.  Its existence
 * is what makes a version installed; it is written last, and replaced whole.
 *
 * Immutable after parsing, owns its text.  Pure; any thread.
 */
#ifndef PLUGD_STORE_RECORD_H
#define PLUGD_STORE_RECORD_H

#include "core/fields.h"

#define STORE_DIGEST_BYTES 32 /* SHA-256 */
#define STORE_HEX_BYTES    65 /* of it as text, NUL included */

/* A file below the version's folder, and what it held. */
struct store_pin {
	const char *path;
	unsigned char digest[STORE_DIGEST_BYTES];
};

struct store_record {
	struct arena arena;
	const char *plugin, *version;
	const char *installed;        /* 2026-11-29T22:00:00Z */
	const char *source;           /* the archive's or folder's name, for people */
	const char *sha256;           /* of the archive; of a folder, that of its SHA256SUMS */
	const char *sums;             /* of SHA256SUMS, which lists every file that was unpacked */
	const char *signed_by;        /* the key's id; NULL: nobody */
	const char *comment;          /* that was signed with it, or NULL */
	struct field_strings checked; /* "DIGEST  PATH" */
	struct store_pin *pins;       /* the same */
};

/* NULL after at least one error was added. */
struct store_record *store_record_parse(const char *file, const char *text, size_t size,
					struct diags *diags);
void store_record_free(struct store_record *record); /* NULL is allowed */

/* Of this path, or NULL. */
const struct store_pin *store_record_pin(const struct store_record *record, const char *path);

/* The record as text; the caller's.  `pins` is not looked at.  NULL: out of memory. */
char *store_record_format(const struct store_record *record);

/* Lower-case hex, all of it. */
bool store_digest_parse(const char *text, unsigned char digest[STORE_DIGEST_BYTES]);
void store_digest_text(const unsigned char digest[STORE_DIGEST_BYTES], char text[STORE_HEX_BYTES]);

/* "DIGEST  PATH" */
bool store_pin_parse(const char *line, struct store_pin *ret);

/* A path below a folder: no empty part, no "." or "..", no control character, UTF-8. */
bool store_path_ok(const char *path);

#endif
