#include "store/record.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/text.h"

#define PINS_MAX           256
#define RECORD_ARENA_BYTES (2 * YAML_ARENA_BYTES)

/* ---- digests and paths ---- */

bool
store_digest_parse(const char *text, unsigned char digest[STORE_DIGEST_BYTES])
{
	unsigned char made[STORE_DIGEST_BYTES];
	size_t got;

	if (strlen(text) != STORE_HEX_BYTES - 1 ||
	    sodium_hex2bin(made, sizeof(made), text, STORE_HEX_BYTES - 1, NULL, &got, NULL) ||
	    got != sizeof(made))
		return false;
	memcpy(digest, made, sizeof(made));
	return true;
}

void
store_digest_text(const unsigned char digest[STORE_DIGEST_BYTES], char text[STORE_HEX_BYTES])
{
	sodium_bin2hex(text, STORE_HEX_BYTES, digest, STORE_DIGEST_BYTES);
}

bool
store_path_ok(const char *path)
{
	if (!*path || !text_is_clean(path, strlen(path)) || strpbrk(path, "\t\n"))
		return false;
	for (const char *part = path;; part++) {
		size_t length = strcspn(part, "/");

		if (!length || (length == 1 && *part == '.') ||
		    (length == 2 && !memcmp(part, "..", 2)))
			return false;
		part += length;
		if (!*part)
			return true;
	}
}

bool
store_pin_parse(const char *line, struct store_pin *ret)
{
	char hex[STORE_HEX_BYTES];

	if (strlen(line) < STORE_HEX_BYTES + 2 || memcmp(line + STORE_HEX_BYTES - 1, "  ", 2))
		return false;
	memcpy(hex, line, STORE_HEX_BYTES - 1);
	hex[STORE_HEX_BYTES - 1] = '\0';
	ret->path = line + STORE_HEX_BYTES + 1;
	return store_path_ok(ret->path) && store_digest_parse(hex, ret->digest);
}

/* ---- reading ---- */

static bool
is_digest(const char *text)
{
	unsigned char digest[STORE_DIGEST_BYTES];

	return store_digest_parse(text, digest);
}

static bool
is_pin(const char *text)
{
	struct store_pin pin;

	return store_pin_parse(text, &pin);
}

static bool
is_key_id(const char *text)
{
	return strlen(text) == 16 && strspn(text, "0123456789ABCDEF") == 16;
}

static const struct field_names key_ids = {is_key_id, "a key's id of 16 hex digits in capitals"};
static const struct field_names digests = {is_digest, "a SHA-256 of 64 hex digits"};
static const struct field_names pins = {is_pin, "a SHA-256, two spaces and a path"};

static const struct field record_fields[] = {
	FIELD(struct store_record, "plugin", plugin, name, .names = &field_plugin_names,
	      .flags = FIELD_REQUIRED, .help = "Whose version it is."),
	FIELD(struct store_record, "version", version, string, .max = 128, .flags = FIELD_REQUIRED,
	      .help = "Which."),
	FIELD(struct store_record, "installed", installed, string, .max = 64, .help = "When."),
	FIELD(struct store_record, "source", source, string, .max = 4096, .help = "From what."),
	FIELD(struct store_record, "sha256", sha256, name, .names = &digests,
	      .flags = FIELD_REQUIRED, .help = "Of the archive."),
	FIELD(struct store_record, "sums", sums, name, .names = &digests, .flags = FIELD_REQUIRED,
	      .help = "Of SHA256SUMS."),
	FIELD(struct store_record, "signed_by", signed_by, name, .names = &key_ids,
	      .help = "Id of the key."),
	FIELD(struct store_record, "comment", comment, string, .max = 4096,
	      .help = "Signed with it."),
	FIELD(struct store_record, "checked", checked, strings, .names = &pins, .max = PINS_MAX,
	      .flags = FIELD_REQUIRED, .help = "Checked at every start."),
};
static const struct field_table record_table = FIELD_TABLE(struct store_record, record_fields);

static void
fill(struct store_record *record, const struct yaml_source *source, struct diags *diags)
{
	struct field_ctx ctx = {.arena = &record->arena, .diags = diags, .file = source->file};
	const struct yaml_node *root = yaml_parse(source, &record->arena, diags);

	if (!root)
		return;
	fields_decode(&ctx, &record_table, root, record);
	record->pins = field_alloc(&ctx, root, record->checked.count + 1, sizeof(*record->pins));
	for (size_t i = 0; record->pins && !diags->errors && i < record->checked.count; i++)
		store_pin_parse(record->checked.items[i], &record->pins[i]);
}

struct store_record *
store_record_parse(const char *file, const char *text, size_t size, struct diags *diags)
{
	struct yaml_source source = {.file = file, .text = text, .length = size};
	struct store_record *record = calloc(1, sizeof(*record));
	size_t errors = diags->errors;

	if (!record) {
		diag_error(diags, &(struct diag_pos){.file = file}, "out of memory");
		return NULL;
	}
	arena_init(&record->arena, RECORD_ARENA_BYTES);
	fill(record, &source, diags);
	if (diags->errors == errors)
		return record;
	store_record_free(record);
	return NULL;
}

void
store_record_free(struct store_record *record)
{
	if (!record)
		return;
	arena_fini(&record->arena);
	free(record);
}

const struct store_pin *
store_record_pin(const struct store_record *record, const char *path)
{
	for (size_t i = 0; i < record->checked.count; i++)
		if (!strcmp(record->pins[i].path, path))
			return &record->pins[i];
	return NULL;
}

/* ---- writing ---- */

/* A stream in memory loses bytes without a word when there is no more memory, so they are counted.
 */
struct writing {
	FILE *out;
	size_t bytes;
};

static void
put(struct writing *writing, const char *text)
{
	if (fputs(text, writing->out) >= 0)
		writing->bytes += strlen(text);
	else
		writing->bytes = SIZE_MAX / 2;
}

static void
put_text(struct writing *writing, const char *key, const char *text)
{
	char character[2] = "";

	if (!text)
		return;
	put(writing, key);
	put(writing, "\"");
	for (; *text; text++) {
		if (strchr("\"\\", *text))
			put(writing, "\\");
		character[0] = *text;
		put(writing, character);
	}
	put(writing, "\"\n");
}

char *
store_record_format(const struct store_record *record)
{
	char *text = NULL;
	size_t size = 0;
	struct writing writing = {open_memstream(&text, &size), 0};

	if (!writing.out)
		return NULL;
	put(&writing, "# Written when this version was installed; plugd checks these files at "
		      "every start.\n");
	put_text(&writing, "plugin: ", record->plugin);
	put_text(&writing, "version: ", record->version);
	put_text(&writing, "installed: ", record->installed);
	put_text(&writing, "source: ", record->source);
	put_text(&writing, "sha256: ", record->sha256);
	put_text(&writing, "sums: ", record->sums);
	put_text(&writing, "signed_by: ", record->signed_by);
	put_text(&writing, "comment: ", record->comment);
	put(&writing, "checked:\n");
	for (size_t i = 0; i < record->checked.count; i++)
		put_text(&writing, "  - ", record->checked.items[i]);
	if (!fclose(writing.out) && size == writing.bytes)
		return text;
	free(text);
	return NULL;
}
