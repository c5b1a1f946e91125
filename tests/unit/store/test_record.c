#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>

#include "store/record.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const checked[] = {DIGEST "  plugin.yaml", DIGEST "  a \"b\" \\ c/d.py"};

static const struct store_record whole = {
	.plugin = "gpt2",
	.version = "1.2.0-rc.1+b",
	.installed = "2026-11-29T22:00:00Z",
	.source = "gpt2 \"final\".tar.gz",
	.sha256 = DIGEST,
	.sums = DIGEST,
	.signed_by = "0011223344AABBCC",
	.comment = "timestamp:1 file: \"x\" # no: comment, \\ ä",
	.checked = {checked, 2},
};

static struct store_record *
parse(const char *text)
{
	struct diags diags;
	struct store_record *record;

	diags_init(&diags);
	record = store_record_parse("pinned.yaml", text, strlen(text), &diags);
	assert_true(record ? !diags.errors : diags.errors);
	diags_fini(&diags);
	return record;
}

static void
test_what_is_written_is_read(void **state)
{
	char *text = store_record_format(&whole);
	struct store_record *record = parse(text);

	(void)state;
	assert_non_null(record);
	assert_string_equal(record->plugin, whole.plugin);
	assert_string_equal(record->version, whole.version);
	assert_string_equal(record->installed, whole.installed);
	assert_string_equal(record->source, whole.source);
	assert_string_equal(record->sha256, whole.sha256);
	assert_string_equal(record->sums, whole.sums);
	assert_string_equal(record->signed_by, whole.signed_by);
	assert_string_equal(record->comment, whole.comment);
	assert_int_equal(record->checked.count, 2);
	assert_non_null(store_record_pin(record, "a \"b\" \\ c/d.py"));
	assert_null(store_record_pin(record, "a"));
	assert_int_equal(store_record_pin(record, "plugin.yaml")->digest[1], 0x23);
	store_record_free(record);
	free(text);
}

static void
test_what_is_left_out_stays_out(void **state)
{
	struct store_record part = whole, *record;
	char *text;

	(void)state;
	part.signed_by = part.comment = part.source = NULL;
	text = store_record_format(&part);
	record = parse(text);
	assert_non_null(record);
	assert_null(record->signed_by);
	assert_null(record->comment);
	store_record_free(record);
	free(text);
}

#define START "plugin: a\nversion: 1.0.0\nsha256: \"" DIGEST "\"\nsums: \"" DIGEST "\"\nchecked:\n"

static void
test_a_record_that_says_less_is_none(void **state)
{
	const char *const texts[] = {
		"",
		"plugin: a\n",
		"plugin: a\nversion: 1.0.0\nsha256: 1\nsums: \"" DIGEST "\"\nchecked: []\n",
		START "  - \"" DIGEST " plugin.yaml\"\n",
		START "  - \"" DIGEST "  /etc/passwd\"\n",
		START "  - \"" DIGEST "  a/../b\"\n",
		START "  - \"x" DIGEST "  a\"\n",
		START "  - \"" DIGEST "  a\"\nsigned_by: nobody\n",
		START "  - \"" DIGEST "  a\"\nmore: 1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_null(parse(texts[i]));
}

static void
test_paths(void **state)
{
	const char *const good[] = {"a", "a/b", "..a", "a..", ".a/...", "ä ö/ü"};
	const char *const bad[] = {"",     "/",    "/a",   "a/",   "a//b", ".",
				   "..",   "./a",  "a/.",  "a/..", "../a", "a/../b",
				   "a\nb", "a\tb", "\xff", "a\x7f"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(store_path_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(store_path_ok(bad[i]));
}

static void
test_digests(void **state)
{
	unsigned char digest[STORE_DIGEST_BYTES] = {9}, before[STORE_DIGEST_BYTES] = {9};
	char text[STORE_HEX_BYTES];

	(void)state;
	assert_false(store_digest_parse("", digest));
	assert_false(store_digest_parse(DIGEST "0", digest));
	assert_false(store_digest_parse("g" DIGEST, digest));
	assert_memory_equal(digest, before, sizeof(digest));
	assert_true(store_digest_parse(DIGEST, digest));
	store_digest_text(digest, text);
	assert_string_equal(text, DIGEST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_what_is_left_out_stays_out),
		cmocka_unit_test(test_a_record_that_says_less_is_none),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
