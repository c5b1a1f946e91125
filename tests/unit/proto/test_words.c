/* Names, hex and secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec.h"
#include "wire.h"

#define A31 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A63 A31 A31 "a"

static void
test_names(void **state)
{
	static const struct {
		const char *text;
		int valid;
	} cases[] = {
		{"a", 1},   {"0", 1},    {"echo", 1},     {"gpt-2_x", 1}, {"9lives", 1},
		{A63, 1},   {"a-", 1},   {"a_", 1},       {"", 0},        {"-a", 0},
		{"_a", 0},  {"Echo", 0}, {"a.b", 0},      {"a/b", 0},     {"..", 0},
		{"a b", 0}, {"a\n", 0},  {"\xc3\xa9", 0}, {A63 "a", 0},   {A63 A63, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (!!plug_name_valid(cases[i].text) != cases[i].valid)
			fail_msg("\"%s\": expected %d", cases[i].text, cases[i].valid);
}

static void
test_every_byte_in_a_name(void **state)
{
	(void)state;
	for (int byte = 1; byte < 256; byte++) {
		char first[] = {(char)byte, '\0'}, second[] = {'a', (char)byte, '\0'};
		int alnum = strchr("abcdefghijklmnopqrstuvwxyz0123456789", byte) != NULL;

		assert_int_equal(!!plug_name_valid(first), alnum);
		assert_int_equal(!!plug_name_valid(second), alnum || byte == '-' || byte == '_');
	}
}

static void
test_hex_round_trip_of_every_byte(void **state)
{
	uint8_t bytes[256], back[256];
	char text[513];

	(void)state;
	for (int i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	plug_hex_encode(bytes, sizeof(bytes), text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_string_equal(text + 506, "fdfeff");
	assert_int_equal(plug_hex_decode(text, back, sizeof(back)), 0);
	assert_memory_equal(bytes, back, sizeof(back));
	plug_hex_encode(bytes, 0, text);
	assert_string_equal(text, "");
}

static void
test_hex_refuses(void **state)
{
	static const char *const bad[] = {"",     "0",    "000",  "00000", "0g00",
					  "000 ", " 000", "0x00", "-100",  "\377000"};
	uint8_t bytes[2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!plug_hex_decode(bad[i], bytes, sizeof(bytes)))
			fail_msg("\"%s\" was taken for two bytes", bad[i]);
}

static void
test_hex_accepts_only_digits(void **state)
{
	uint8_t byte;

	(void)state;
	for (int c = 1; c < 256; c++) {
		char high[] = {(char)c, '0', '\0'}, low[] = {'0', (char)c, '\0'};
		int digit = strchr("0123456789abcdef", c) != NULL;

		assert_int_equal(plug_hex_decode(high, &byte, 1) == 0, digit);
		assert_int_equal(plug_hex_decode(low, &byte, 1) == 0, digit);
	}
}

/* Each single bit counts, wherever it is. */
static void
test_secrets_differ_by_any_bit(void **state)
{
	uint8_t a[PLUG_TOKEN_BYTES] = "0123456789abcde", b[PLUG_TOKEN_BYTES];

	(void)state;
	memcpy(b, a, sizeof(a));
	assert_true(plug_secret_equal(a, b, sizeof(a)));
	for (size_t bit = 0; bit < sizeof(a) * 8; bit++) {
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(plug_secret_equal(a, b, sizeof(a)));
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	b[15] ^= 1;
	assert_true(plug_secret_equal(a, b, 15));
	assert_true(plug_secret_equal(a, b, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_every_byte_in_a_name),
		cmocka_unit_test(test_hex_round_trip_of_every_byte),
		cmocka_unit_test(test_hex_refuses),
		cmocka_unit_test(test_hex_accepts_only_digits),
		cmocka_unit_test(test_secrets_differ_by_any_bit),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
