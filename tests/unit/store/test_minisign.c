/* The texts were made by minisign 0.11, of the bytes "a plugin\n". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "store/minisign.h"

static const char key_text[] = "untrusted comment: minisign public key 8BA0882BAC705CA2\n"
			       "RWSiXHCsK4igizOsSkZuRpjyPG5beHt4wkylHxoWtyiChsfBRsDIPPrK\n";

static const char prehashed[] = "untrusted comment: signature from minisign secret key\n"
				"RUSiXHCsK4igi34mHD/7VT/KwdnED9Q5Pr5n+np/"
				"9NyL9yiKjMeBsrwYLQ0uJMspHm8K5Z+VprgJFtlI/g7MPU5eVoaY0EE3PwE=\n"
				"trusted comment: file of a test\n"
				"KxTLGroCsRdMwJy9u11i0urVKLBgG51Jg/"
				"S7c8kA9yT4iHDQ5t5g3KIULH+efvlozjRD/1OKOmsbB2Qs88imBg==\n";

static const char legacy[] =
	"untrusted comment: signature from minisign secret key\n"
	"RWSiXHCsK4igi2c+4IvbFYY16bWowx9kOhlQBOokJlGmRGtxqfVJ8Ci8jbkSInm37mBB4RupLsIj3xxaElu3fv/"
	"raNEG6utSvAE=\n"
	"trusted comment: legacy one\n"
	"jdlfU7j+ej0h+DOi974Iq0nA28cW6wubVahlByf8Z475At2LGQrPzTVndYI+Txf9yUE8hAkBiKQwyn6VC7YZCQ=="
	"\n";

static const unsigned char bytes[] = "a plugin\n";
#define BYTES (sizeof(bytes) - 1)

static void
parse(const char *text, struct minisign_key *key, struct minisign_signature *signature)
{
	struct reason why = {""};

	assert_int_equal(minisign_parse_key(key_text, strlen(key_text), key, &why), PLUG_OK);
	assert_int_equal(minisign_parse_signature(text, strlen(text), signature, &why), PLUG_OK);
}

static plug_err
verify(const struct minisign_signature *signature, const struct minisign_key *key,
       const unsigned char *data, size_t size, struct reason *why)
{
	unsigned char hash[MINISIGN_HASH_BYTES];
	struct minisign_message message = {hash, data, size};

	crypto_generichash(hash, sizeof(hash), data, size, NULL, 0);
	return minisign_verify(signature, key, &message, why);
}

static void
test_both_kinds_are_verified(void **state)
{
	const char *const texts[] = {prehashed, legacy};
	const char *const comments[] = {"file of a test", "legacy one"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct minisign_signature signature;
		struct minisign_key key;
		struct reason why = {""};

		parse(texts[i], &key, &signature);
		assert_int_equal(signature.prehashed, i == 0);
		assert_string_equal(signature.comment, comments[i]);
		assert_int_equal(verify(&signature, &key, bytes, BYTES, &why), PLUG_OK);
		assert_int_equal(verify(&signature, &key, bytes, BYTES - 1, &why), PLUG_EDENIED);
		assert_non_null(strstr(why.text, "is not of these bytes"));
		assert_int_equal(verify(&signature, &key, NULL, 0, &why), PLUG_EDENIED);
	}
}

/* No single bit of a signature or key may be another. */
static void
test_every_bit_counts(void **state)
{
	struct minisign_signature good, bad;
	struct minisign_key key, other;
	struct reason why;

	(void)state;
	parse(prehashed, &key, &good);
	for (size_t bit = 0; bit < 8 * sizeof(good.bytes); bit++) {
		bad = good;
		bad.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_int_equal(verify(&bad, &key, bytes, BYTES, &why), PLUG_EDENIED);
		bad = good;
		bad.global[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_int_equal(verify(&bad, &key, bytes, BYTES, &why), PLUG_EDENIED);
	}
	for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
		other = key;
		((unsigned char *)&other)[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_int_equal(verify(&good, &other, bytes, BYTES, &why), PLUG_EDENIED);
	}
	bad = good;
	bad.comment[0] = 'F';
	assert_int_equal(verify(&bad, &key, bytes, BYTES, &why), PLUG_EDENIED);
	assert_non_null(strstr(why.text, "trusted comment"));
}

static void
test_another_key_is_named(void **state)
{
	struct minisign_signature signature;
	struct minisign_key key;
	struct reason why = {""};
	char id[MINISIGN_ID_BYTES];

	(void)state;
	parse(prehashed, &key, &signature);
	minisign_id_text(signature.id, id);
	assert_non_null(strstr(prehashed, "minisign"));
	assert_non_null(strstr(key_text, id)); /* as minisign shows it */
	key.id[0] ^= 1;
	assert_int_equal(verify(&signature, &key, bytes, BYTES, &why), PLUG_EDENIED);
	assert_non_null(strstr(why.text, id));
}

static void
test_a_key_may_be_its_second_line(void **state)
{
	const char *line = strchr(key_text, '\n') + 1;
	struct minisign_key whole, alone, crlf;
	char text[128];

	(void)state;
	assert_int_equal(minisign_parse_key(key_text, strlen(key_text), &whole, NULL), PLUG_OK);
	assert_int_equal(minisign_parse_key(line, strlen(line) - 1, &alone, NULL), PLUG_OK);
	snprintf(text, sizeof(text), "%.*s\r\n", (int)strlen(line) - 1, line);
	assert_int_equal(minisign_parse_key(text, strlen(text), &crlf, NULL), PLUG_OK);
	assert_memory_equal(&whole, &alone, sizeof(whole));
	assert_memory_equal(&whole, &crlf, sizeof(whole));
}

/* Whatever is cut off or put behind, it is refused, and nothing is written. */
static void
test_parts_are_refused(void **state)
{
	struct minisign_signature signature, untouched;
	struct minisign_key key, same;
	size_t size = strlen(prehashed);
	char *text;

	(void)state;
	memset(&untouched, 0x5a, sizeof(untouched));
	memset(&same, 0x5a, sizeof(same));
	for (size_t cut = 0; cut < size - 1; cut++) {
		signature = untouched;
		text = malloc(cut + 1); /* exactly so much, for the sanitizer */
		memcpy(text, prehashed, cut);
		assert_int_equal(minisign_parse_signature(text, cut, &signature, NULL),
				 PLUG_EINVAL);
		assert_memory_equal(&signature, &untouched, sizeof(signature));
		free(text);
	}
	for (size_t cut = 0; cut + 1 < strlen(key_text); cut++) {
		key = same;
		assert_int_equal(minisign_parse_key(key_text, cut, &key, NULL), PLUG_EINVAL);
		assert_memory_equal(&key, &same, sizeof(key));
	}
	text = malloc(2 * size);
	memcpy(text, prehashed, size);
	memcpy(text + size, "more\n", 5);
	assert_int_equal(minisign_parse_signature(text, size + 5, &signature, NULL), PLUG_EINVAL);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_kinds_are_verified),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_another_key_is_named),
		cmocka_unit_test(test_a_key_may_be_its_second_line),
		cmocka_unit_test(test_parts_are_refused),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
