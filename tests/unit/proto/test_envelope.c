/* Packing and unpacking of envelopes, and what is refused. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec.h"
#include "wire.h"

static Plug__Call call;

static Plug__Envelope
call_of(size_t payload)
{
	static uint8_t bytes[2 * PLUG_MESSAGE_BYTES];
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31);
	plug__call__init(&call);
	call.plugin = (char *)"echo";
	call.method = (char *)"stream";
	call.payload.data = bytes;
	call.payload.len = payload;
	call.timeout_us = UINT64_MAX;
	env.id = UINT64_MAX;
	env.generation = 7;
	env.seq = 1ull << 40;
	env.ack = 3;
	env.body_case = PLUG__ENVELOPE__BODY_CALL;
	env.call = &call;
	return env;
}

static void
test_round_trip(void **state)
{
	static const size_t payloads[] = {0, 1, 127, 128, 16383, 16384, PLUG_CHUNK_BYTES};

	(void)state;
	for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
		Plug__Envelope env = call_of(payloads[i]), *back = NULL;
		uint8_t packed[PLUG_MESSAGE_BYTES];
		size_t size = 0;

		assert_int_equal(plug_envelope_pack(&env, packed, sizeof(packed), &size), PLUG_OK);
		assert_int_equal(size, plug_envelope_size(&env));
		assert_int_equal(plug_envelope_unpack(packed, size, &back), PLUG_OK);
		assert_true(back->id == env.id && back->seq == env.seq && back->ack == env.ack);
		assert_int_equal(back->generation, 7);
		assert_int_equal(back->body_case, PLUG__ENVELOPE__BODY_CALL);
		assert_string_equal(back->call->plugin, "echo");
		assert_string_equal(back->call->method, "stream");
		assert_string_equal(plug_str(back->call->content_type), "");
		assert_true(back->call->timeout_us == UINT64_MAX);
		assert_int_equal(back->call->payload.len, payloads[i]);
		if (payloads[i])
			assert_memory_equal(back->call->payload.data, call.payload.data,
					    payloads[i]);
		plug_envelope_free(back);
	}
}

static void
test_packing_keeps_the_capacity(void **state)
{
	Plug__Envelope env = call_of(100);
	size_t size = plug_envelope_size(&env), written = 0;
	uint8_t *packed = malloc(size);

	(void)state;
	assert_int_equal(plug_envelope_pack(&env, packed, size - 1, &written), PLUG_ETOOLARGE);
	assert_int_equal(written, 0);
	assert_int_equal(plug_envelope_pack(&env, packed, size, &written), PLUG_OK);
	assert_int_equal(written, size);
	free(packed);
}

/* The longest message goes through, one byte more does not, on either side. */
static void
test_the_limit_of_a_message(void **state)
{
	static uint8_t packed[2 * PLUG_MESSAGE_BYTES];
	Plug__Envelope env = call_of(PLUG_CHUNK_BYTES), *back = NULL;
	size_t size = 0;

	(void)state;
	call.payload.len += PLUG_MESSAGE_BYTES - plug_envelope_size(&env);
	assert_int_equal(plug_envelope_size(&env), PLUG_MESSAGE_BYTES);
	assert_int_equal(plug_envelope_pack(&env, packed, sizeof(packed), &size), PLUG_OK);
	assert_int_equal(size, PLUG_MESSAGE_BYTES);
	assert_int_equal(plug_envelope_unpack(packed, size, &back), PLUG_OK);
	plug_envelope_free(back);

	back = NULL;
	call.payload.len++;
	assert_int_equal(plug_envelope_pack(&env, packed, sizeof(packed), &size), PLUG_ETOOLARGE);
	assert_int_equal(plug__envelope__pack(&env, packed), PLUG_MESSAGE_BYTES + 1);
	assert_int_equal(plug_envelope_unpack(packed, PLUG_MESSAGE_BYTES + 1, &back),
			 PLUG_ETOOLARGE);
	assert_null(back);
}

static void
test_a_message_without_a_known_body(void **state)
{
	static const struct {
		const char *name, *bytes;
		size_t size;
	} cases[] = {
		{"nothing at all", "", 0},
		{"an id only", "\x08\x05", 2},
		{"a body of another version", "\x82\x7d\x00", 3},
		{"an end without a start", "\x0c", 1},
		{"a length beyond the end", "\x52\x7f", 2},
		{"a varint without an end", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
		{"text", "GET / HTTP/1.0\r\n\r\n", 18},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		Plug__Envelope *back = NULL;

		if (plug_envelope_unpack(cases[i].bytes, cases[i].size, &back) != PLUG_EPROTO)
			fail_msg("%s was not refused", cases[i].name);
		assert_null(back);
	}
}

/* Cut at any byte it is refused; the copy has the exact size, so that the sanitizer sees a read
 * past it. */
static void
test_truncated_at_every_byte(void **state)
{
	Plug__Envelope env = call_of(200);
	uint8_t packed[512];
	size_t size = 0, refused = 0;

	(void)state;
	assert_int_equal(plug_envelope_pack(&env, packed, sizeof(packed), &size), PLUG_OK);
	for (size_t cut = 0; cut < size; cut++) {
		Plug__Envelope *back = NULL;
		uint8_t *copy = malloc(cut ? cut : 1);
		plug_err err;

		memcpy(copy, packed, cut);
		err = plug_envelope_unpack(copy, cut, &back);
		free(copy);
		assert_int_equal(err, PLUG_EPROTO);
		assert_null(back);
		refused++;
	}
	assert_int_equal(refused, size);
}

/* Whatever one byte becomes, unpacking ends with a verdict and nothing leaks. */
static void
test_every_byte_damaged(void **state)
{
	Plug__Envelope env = call_of(20);
	uint8_t packed[512];
	size_t size = 0, taken = 0, refused = 0;

	(void)state;
	assert_int_equal(plug_envelope_pack(&env, packed, sizeof(packed), &size), PLUG_OK);
	for (size_t at = 0; at < size; at++) {
		uint8_t was = packed[at];

		for (int value = 0; value < 256; value++) {
			Plug__Envelope *back = NULL;
			plug_err err;

			packed[at] = (uint8_t)value;
			err = plug_envelope_unpack(packed, size, &back);
			assert_true((err == PLUG_OK) == (back != NULL));
			if (err == PLUG_OK)
				taken++;
			else
				refused++;
			plug_envelope_free(back);
		}
		packed[at] = was;
	}
	assert_true(taken > size && refused > 0);
}

/* HELLO with `count` methods of no bytes: two bytes each on the wire, about a hundred in memory. */
static size_t
pack_methods(size_t count, uint8_t *packed)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Hello hello = PLUG__HELLO__INIT;
	Plug__Method method = PLUG__METHOD__INIT;
	size_t size = 0;

	hello.methods = calloc(count, sizeof(*hello.methods));
	hello.n_methods = count;
	for (size_t i = 0; i < count; i++)
		hello.methods[i] = &method;
	env.body_case = PLUG__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	assert_int_equal(plug_envelope_pack(&env, packed, PLUG_MESSAGE_BYTES, &size), PLUG_OK);
	free(hello.methods);
	return size;
}

static void
test_a_message_that_grows_is_refused(void **state)
{
	static uint8_t packed[PLUG_MESSAGE_BYTES];
	size_t size = pack_methods(30000, packed);
	Plug__Envelope *back = NULL;

	(void)state;
	assert_true(30000 * sizeof(Plug__Method) > PLUG_UNPACK_BYTES);
	assert_int_equal(plug_envelope_unpack(packed, size, &back), PLUG_ETOOLARGE);
	assert_null(back);
}

static void
test_a_message_within_the_allowance_is_taken(void **state)
{
	static uint8_t packed[PLUG_MESSAGE_BYTES];
	size_t size = pack_methods(5000, packed);
	Plug__Envelope *back = NULL;

	(void)state;
	assert_int_equal(plug_envelope_unpack(packed, size, &back), PLUG_OK);
	assert_int_equal(back->hello->n_methods, 5000);
	plug_envelope_free(back);
}

/* What was unpacked before the allowance ended is given back: no growth over many refusals (under
 * the address sanitizer, whose heap mallinfo2() does not see, its own search for leaks says so). */
static void
test_refusals_leak_nothing(void **state)
{
	static uint8_t packed[PLUG_MESSAGE_BYTES];
	size_t size = pack_methods(30000, packed);
	Plug__Envelope *back = NULL;
	size_t before;

	(void)state;
	plug_envelope_unpack(packed, size, &back);
	before = mallinfo2().uordblks;
	for (int i = 0; i < 200; i++)
		assert_int_equal(plug_envelope_unpack(packed, size, &back), PLUG_ETOOLARGE);
	assert_true(mallinfo2().uordblks <= before + 4096);
}

static void
test_free_takes_null(void **state)
{
	(void)state;
	plug_envelope_free(NULL);
	assert_string_equal(plug_str(NULL), "");
	assert_string_equal(plug_str("x"), "x");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_packing_keeps_the_capacity),
		cmocka_unit_test(test_the_limit_of_a_message),
		cmocka_unit_test(test_a_message_without_a_known_body),
		cmocka_unit_test(test_truncated_at_every_byte),
		cmocka_unit_test(test_every_byte_damaged),
		cmocka_unit_test(test_a_message_that_grows_is_refused),
		cmocka_unit_test(test_a_message_within_the_allowance_is_taken),
		cmocka_unit_test(test_refusals_leak_nothing),
		cmocka_unit_test(test_free_takes_null),
	};

	return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
