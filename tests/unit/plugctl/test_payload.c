/* From the words after `call NAME METHOD` to the bytes that are sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "payload.h"

static size_t
count_words(const char *const *words)
{
	size_t count = 0;

	while (words[count])
		count++;
	return count;
}

static const struct {
	const char *label;
	const char *words[6];
	const char *expected;
} good[] = {
	{"no words", {NULL}, "{}"},
	{"a string", {"text=hello"}, "{\"text\":\"hello\"}"},
	{"an empty string", {"text="}, "{\"text\":\"\"}"},
	{"equals signs in a value", {"e=a=b=c"}, "{\"e\":\"a=b=c\"}"},
	{"an integer", {"n=3"}, "{\"n\":3}"},
	{"a negative integer", {"n=-17"}, "{\"n\":-17}"},
	{"zero", {"n=0"}, "{\"n\":0}"},
	{"the largest integer", {"n=9223372036854775807"}, "{\"n\":9223372036854775807}"},
	{"a real", {"t=0.5"}, "{\"t\":0.5}"},
	{"an exponent", {"t=1e3"}, "{\"t\":1000.0}"},
	{"true, false, null",
	 {"a=true", "b=false", "c=null"},
	 "{\"a\":true,\"b\":false,\"c\":null}"},
	{"True is a string", {"a=True"}, "{\"a\":\"True\"}"},
	{"a number in quotes", {"a=\"3\""}, "{\"a\":\"3\"}"},
	{"escapes in quotes", {"a=\"x\\ny\""}, "{\"a\":\"x\\ny\"}"},
	{"one quote is a string", {"a=\""}, "{\"a\":\"\\\"\"}"},
	{"not quite numbers",
	 {"a=1.2.3", "b=0x10", "c=007", "d=1.", "e=-"},
	 "{\"a\":\"1.2.3\",\"b\":\"0x10\",\"c\":\"007\",\"d\":\"1.\",\"e\":\"-\"}"},
	{"a version", {"v=1.2.3-rc1"}, "{\"v\":\"1.2.3-rc1\"}"},
	{"raw JSON", {"tags:=[\"a\", {\"b\": 1}]"}, "{\"tags\":[\"a\",{\"b\":1}]}"},
	{"a raw string", {"s:=\"x\""}, "{\"s\":\"x\"}"},
	{"an object as text", {"{\"b\": [1, 2]}"}, "{\"b\": [1, 2]}"},
	{"a list as text", {"[1, 2]"}, "[1, 2]"},
	{"a number as text", {"42"}, "42"},
	{"a string as text", {"\"k=v\""}, "\"k=v\""},
	{"keys with - and . and _", {"a-b=1", "c.d=2", "_e=3"}, "{\"a-b\":1,\"c.d\":2,\"_e\":3}"},
	{"an at sign inside", {"mail=a@b"}, "{\"mail\":\"a@b\"}"},
	{"UTF-8", {"t=über"}, "{\"t\":\"über\"}"},
};

static void
test_words(void **state)
{
	char why[PAYLOAD_WHY_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct payload payload;

		if (!payload_from_words(good[i].words, count_words(good[i].words), NULL, stdin,
					&payload, why))
			fail_msg("%s: %s", good[i].label, why);
		if (strcmp(payload.data, good[i].expected) != 0)
			fail_msg("%s: %s, expected %s", good[i].label, payload.data,
				 good[i].expected);
		assert_int_equal(payload.size, strlen(good[i].expected));
		assert_string_equal(payload.content_type, "application/json");
		payload_fini(&payload);
	}
}

static const struct {
	const char *words[4];
	const char *type;
	const char *why; /* part of it */
} bad[] = {
	{{"{\"a\":}"}, NULL, "line 1, column 6"},
	{{"{\"a\":1,\"a\":2}"}, NULL, "duplicate"},
	{{"hello"}, NULL, "not JSON"},
	{{"hello"}, NULL, "give key=value words, or -c text/plain"},
	{{""}, NULL, "not JSON"},
	{{"a=1", "hello"}, NULL, "\"hello\" is not key=value"},
	{{"hello", "a=1"}, NULL, "\"hello\" is not key=value"},
	{{"a=1", "-"}, NULL, "\"-\" is not key=value"},
	{{"a=1", "a=2"}, NULL, "a is given twice"},
	{{"a:={"}, NULL, "a is not JSON: line 1"},
	{{"a:="}, NULL, "a is not JSON"},
	{{"a=\"x\\q\""}, NULL, "a is not JSON"},
	{{"a=92233720368547758080"}, NULL, "a is not JSON"},
	{{"a=@/no/such/file"}, NULL, "cannot read /no/such/file: No such file"},
	{{"a=@/"}, NULL, "cannot read /: Is a directory"},
	{{"a=\xff"}, NULL, "not UTF-8"},
	{{"two", "words"}, "text/plain", "2 words"},
};

static void
test_refused_words(void **state)
{
	char why[PAYLOAD_WHY_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct payload payload;

		if (payload_from_words(bad[i].words, count_words(bad[i].words), bad[i].type, stdin,
				       &payload, why))
			fail_msg("%s: taken as %s", bad[i].words[0], payload.data);
		if (!strstr(why, bad[i].why))
			fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].words[0], why,
				 bad[i].why);
	}
}

static void
test_files(void **state)
{
	char path[] = "/tmp/plugctl-test-XXXXXX", word[64], why[PAYLOAD_WHY_BYTES];
	const char *const words[] = {word};
	struct payload payload;
	int fd = mkstemp(path);

	(void)state;
	snprintf(word, sizeof(word), "note=@%s", path);
	assert_int_equal(write(fd, "a \"b\"\n", 6), 6);
	assert_true(payload_from_words(words, 1, NULL, stdin, &payload, why));
	assert_string_equal(payload.data, "{\"note\":\"a \\\"b\\\"\\n\"}");
	payload_fini(&payload);
	assert_int_equal(write(fd, "\xff", 1), 1);
	assert_false(payload_from_words(words, 1, NULL, stdin, &payload, why));
	assert_non_null(strstr(why, "is not UTF-8"));
	close(fd);
	unlink(path);
}

static FILE *
input_of(const void *data, size_t size)
{
	FILE *file = tmpfile();

	fwrite(data, 1, size, file);
	rewind(file);
	return file;
}

static void
test_standard_input(void **state)
{
	static const char *const words[] = {"-"};
	char why[PAYLOAD_WHY_BYTES], big[100000];
	struct payload payload;
	FILE *input = input_of("{\"a\":\n 1}\n", 10);

	(void)state;
	assert_true(payload_from_words(words, 1, NULL, input, &payload, why));
	assert_int_equal(payload.size, 10);
	assert_memory_equal(payload.data, "{\"a\":\n 1}\n", 10);
	payload_fini(&payload);
	fclose(input);

	input = input_of("{\n\"a\":]}", 8);
	assert_false(payload_from_words(words, 1, NULL, input, &payload, why));
	assert_non_null(strstr(why, "the standard input is not JSON: line 2, column 5"));
	fclose(input);

	memset(big, '\0', sizeof(big));
	input = input_of(big, sizeof(big));
	assert_true(payload_from_words(words, 1, "application/octet-stream", input, &payload, why));
	assert_int_equal(payload.size, sizeof(big));
	payload_fini(&payload);
	fclose(input);
}

static void
test_other_types(void **state)
{
	static const char *const pair[] = {"k=v"}, *const json[] = {"{bad"};
	char why[PAYLOAD_WHY_BYTES];
	struct payload payload;

	(void)state;
	assert_true(payload_from_words(pair, 1, "text/plain", stdin, &payload, why));
	assert_string_equal(payload.data, "k=v");
	assert_string_equal(payload.content_type, "text/plain");
	payload_fini(&payload);
	assert_true(payload_from_words(NULL, 0, "application/x-protobuf", stdin, &payload, why));
	assert_int_equal(payload.size, 0);
	payload_fini(&payload);
	assert_false(payload_from_words(json, 1, "application/problem+json", stdin, &payload, why));
}

static void
test_types(void **state)
{
	(void)state;
	assert_true(payload_is_json("application/json"));
	assert_true(payload_is_json("Application/JSON; charset=utf-8"));
	assert_true(payload_is_json("application/problem+json"));
	assert_false(payload_is_json("application/jsonl"));
	assert_false(payload_is_json("text/plain"));
	assert_false(payload_is_json(""));
	assert_true(payload_is_text("text/plain"));
	assert_false(payload_is_text("application/json"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),       cmocka_unit_test(test_refused_words),
		cmocka_unit_test(test_files),       cmocka_unit_test(test_standard_input),
		cmocka_unit_test(test_other_types), cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests_name("plugctl_payload", tests, NULL, NULL);
}
