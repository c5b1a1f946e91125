/* The messages of a channel against protobuf-c: what is packed, and whatever a bit makes of it. */
#include "bytes.h"

#define ROUNDS  300 /* of each kind */
#define MUTANTS 6   /* samples of each kind of which every byte gets every value */

static void
expect_same(const char *what, uint64_t seed)
{
	if (what)
		fail_msg("%s differs, seed %llu", what, (unsigned long long)seed);
}

static void
pack(const struct plugs_message *message, struct bytes *ret)
{
	uint8_t *packed = malloc(plugs_message_bound(message));

	ret->size = plugs_message_pack(message, packed);
	assert_true(ret->size > 0 && ret->size <= plugs_message_bound(message));
	assert_true(ret->size <= sizeof(ret->data));
	memcpy(ret->data, packed, ret->size);
	free(packed);
}

/* Ours packs, both unpack; then protobuf-c packs and ours unpacks. */
static void
round_trip(enum plugs_kind kind, uint64_t seed)
{
	static struct bytes packed;
	struct sample sample;
	struct found found = {.copy = NULL};
	Plug__Envelope *env = NULL;
	uint64_t random = seed;

	sample_make(&sample, kind, &random);
	pack(&sample.message, &packed);
	assert_int_equal(unpack(packed.data, packed.size, &found), PLUG_OK);
	expect_same(same(&sample.message, &found.message), seed);
	assert_int_equal(plug_envelope_unpack(packed.data, packed.size, &env), PLUG_OK);
	expect_same(agree(&sample.message, env), seed);

	assert_int_equal(plug_envelope_pack(env, packed.data, sizeof(packed.data), &packed.size),
			 PLUG_OK);
	assert_int_equal(unpack(packed.data, packed.size, &found), PLUG_OK);
	expect_same(same(&sample.message, &found.message), seed);
	plug_envelope_free(env);
	forget(&found);
}

static void
test_round_trips(void **state)
{
	(void)state;
	for (int kind = 0; kind < SAMPLE_KINDS; kind++) {
		for (uint64_t seed = 1; seed <= ROUNDS; seed++)
			round_trip((enum plugs_kind)kind, seed);
	}
}

/* Everything at its largest stays within the bound. */
static void
test_bound(void **state)
{
	static struct sample sample;
	static struct bytes packed;

	(void)state;
	for (int kind = 0; kind < SAMPLE_KINDS; kind++) {
		struct plugs_bytes text = {sample.bytes, 100};

		sample.message = (struct plugs_message){
			.kind = (enum plugs_kind)kind,
			.id = UINT64_MAX,
			.method = text,
			.content_type = text,
			.payload = text,
			.text = text,
			.more = true,
			.partial = true,
			.last = true,
			.code = UINT32_MAX,
			.timeout_us = UINT64_MAX,
			.credit = UINT64_MAX,
			.tensor_count = 8,
			.tensors = sample.tensors,
			.buffer_count = PLUGS_BUFFERS_MAX,
			.buffers = sample.buffers,
		};
		for (int i = 0; i < 8; i++) {
			memset(&sample.tensors[i], 0xff, sizeof(sample.tensors[i]));
			sample.tensors[i].name = text;
			sample.tensors[i].yours = true;
			sample.tensors[i].dims = PLUGS_DIMS_MAX;
			sample.tensors[i].strides_count = PLUGS_DIMS_MAX;
			for (int d = 0; d < PLUGS_DIMS_MAX; d++)
				sample.tensors[i].strides[d] = INT64_MIN;
		}
		memset(sample.buffers, 0xff, sizeof(sample.buffers));
		pack(&sample.message, &packed);
	}
}

static void
test_lengths_at_the_edges_of_varints(void **state)
{
	static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 57344};
	static uint8_t payload[57344], packed[60000];
	struct found found = {.copy = NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct plugs_message message = {
			.kind = PLUGS_CHUNK, .id = 1, .payload = {payload, sizes[i]}};
		size_t size = plugs_message_pack(&message, packed);
		Plug__Envelope *env = NULL;

		assert_int_equal(unpack(packed, size, &found), PLUG_OK);
		assert_null(same(&message, &found.message));
		assert_int_equal(plug_envelope_unpack(packed, size, &env), PLUG_OK);
		assert_null(agree(&message, env));
		plug_envelope_free(env);
	}
	forget(&found);
}

static void
test_truncated_anywhere_is_refused(void **state)
{
	static struct bytes packed;
	struct found found = {.copy = NULL};
	struct sample sample;

	(void)state;
	for (int kind = 0; kind < SAMPLE_KINDS; kind++) {
		for (uint64_t seed = 1; seed <= 10; seed++) {
			uint64_t random = seed;

			sample_make(&sample, (enum plugs_kind)kind, &random);
			pack(&sample.message, &packed);
			for (size_t size = 0; size < packed.size; size++)
				assert_int_equal(unpack(packed.data, size, &found), PLUG_EPROTO);
		}
	}
	forget(&found);
}

/* What ours takes, protobuf-c takes, with the same values.  True: it was taken. */
static bool
mutant(const struct bytes *packed, struct found *found)
{
	Plug__Envelope *env = NULL;
	const char *what;

	if (unpack(packed->data, packed->size, found) != PLUG_OK)
		return false;
	assert_int_equal(plug_envelope_unpack(packed->data, packed->size, &env), PLUG_OK);
	what = agree(&found->message, env);
	if (what)
		fail_msg("%s differs in a mutant", what);
	plug_envelope_free(env);
	return true;
}

/* The next sample of this kind that is small enough for all its mutants. */
static void
small_sample(enum plugs_kind kind, uint64_t *random, struct bytes *ret)
{
	struct sample sample;

	do {
		sample_make(&sample, kind, random);
		pack(&sample.message, ret);
	} while (ret->size > 150);
}

static void
test_every_value_of_every_byte(void **state)
{
	static struct bytes packed;
	struct found found = {.copy = NULL};
	size_t taken = 0, refused = 0;
	uint64_t random = 5;

	(void)state;
	for (int i = 0; i < MUTANTS * SAMPLE_KINDS; i++) {
		small_sample((enum plugs_kind)(i % SAMPLE_KINDS), &random, &packed);
		for (size_t at = 0; at < packed.size; at++) {
			uint8_t right = packed.data[at];

			for (int value = 0; value < 256; value++) {
				packed.data[at] = (uint8_t)value;
				*(mutant(&packed, &found) ? &taken : &refused) += 1;
			}
			packed.data[at] = right;
		}
	}
	forget(&found);
	print_message("  %zu mutants taken, %zu refused\n", taken, refused);
	assert_true(taken > 10000 && refused > 10000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_lengths_at_the_edges_of_varints),
		cmocka_unit_test(test_truncated_anywhere_is_refused),
		cmocka_unit_test(test_every_value_of_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
