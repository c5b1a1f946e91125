/* Out of memory while packing and unpacking: PLUG_ENOMEM, and nothing is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec.h"
#include "failing.h"
#include "wire.h"

/* A HELLO has of everything: text, bytes, lists, messages in messages. */
static size_t
make(uint8_t *packed, size_t capacity)
{
	Plug__Method methods[4], *list[4];
	Plug__Resume resume = PLUG__RESUME__INIT;
	Plug__Hello hello = PLUG__HELLO__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	size_t size = 0;

	for (size_t i = 0; i < 4; i++) {
		plug__method__init(&methods[i]);
		methods[i].name = (char *)"method";
		methods[i].description = (char *)(i ? "" : "what it does");
		list[i] = &methods[i];
	}
	hello.name = (char *)"echo";
	hello.sdk = (char *)"libplug";
	hello.n_methods = 4;
	hello.methods = list;
	hello.token.data = (uint8_t *)(uintptr_t) "sixteen letters";
	hello.token.len = PLUG_TOKEN_BYTES;
	hello.resume = &resume;
	resume.nonce = hello.token;
	env.body_case = PLUG__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	assert_int_equal(plug_envelope_pack(&env, packed, capacity, &size), PLUG_OK);
	return size;
}

static void
test_unpacking(void **state)
{
	uint8_t packed[1024];
	size_t size = make(packed, sizeof(packed) - 16);
	unsigned long failing = 0;
	bool failed = true;

	(void)state;
	memcpy(packed + size, "\xc2\x3e\x03new", 6); /* field 1000, of another version */
	size += 6;
	for (; failed; failing++) {
		for (int how = FAILING_ONE; how <= FAILING_ALL; how++) {
			Plug__Envelope *env = NULL;
			plug_err err;

			failing_begin(failing, (enum failing_how)how);
			err = plug_envelope_unpack(packed, size, &env);
			failed = failing_end();
			assert_int_equal(err, failed ? PLUG_ENOMEM : PLUG_OK);
			assert_int_equal(!env, failed);
			plug_envelope_free(env);
		}
	}
	assert_true(failing > 10);
}

static void
test_packing_needs_none(void **state)
{
	uint8_t packed[1024];

	(void)state;
	failing_begin(0, FAILING_ALL);
	make(packed, sizeof(packed));
	assert_false(failing_end());
	assert_int_equal(failing_count(), 0);
}

/* What is wrong is told apart from what there is no memory for. */
static void
test_a_wrong_message_without_memory(void **state)
{
	static const uint8_t wrong[] = {0x52, 0x7f};
	Plug__Envelope *env = NULL;

	(void)state;
	assert_int_equal(plug_envelope_unpack(wrong, sizeof(wrong), &env), PLUG_EPROTO);
	failing_begin(0, FAILING_ALL);
	assert_int_equal(plug_envelope_unpack(wrong, sizeof(wrong), &env), PLUG_ENOMEM);
	failing_end();
	assert_null(env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unpacking),
		cmocka_unit_test(test_packing_needs_none),
		cmocka_unit_test(test_a_wrong_message_without_memory),
	};

	return cmocka_run_group_tests_name("proto_memory", tests, NULL, NULL);
}
