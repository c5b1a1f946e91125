/* Messages of a channel written by hand: what the wire format allows, and what it does not. */
#include "bytes.h"

/* ---- building ---- */

static struct bytes
nothing(void)
{
	return (struct bytes){.size = 0};
}

/* An Envelope with that body and id 7. */
static struct bytes
envelope(uint32_t body, const struct bytes *content)
{
	struct bytes env = nothing();

	put_varint(&env, ENVELOPE_ID, 7);
	put_inside(&env, body, content);
	return env;
}

/* A Call with that Tensor. */
static struct bytes
call_with(const struct bytes *tensor)
{
	struct bytes call = nothing();

	put_inside(&call, CALL_TENSORS, tensor);
	return envelope(ENVELOPE_CALL, &call);
}

/* ---- what is allowed ---- */

static void
put_unknown(struct bytes *to)
{
	put_typed(to, 77, WIRE_VARINT);
	put_typed(to, 78, WIRE_64);
	put_typed(to, 79, WIRE_BYTES);
	put_typed(to, 80, WIRE_32);
	put_typed(to, (1u << 29) - 1, WIRE_VARINT);
}

static void
test_unknown_fields_are_skipped(void **state)
{
	struct bytes env = nothing(), call = nothing(), tensor = nothing();
	struct found found = {.copy = NULL};

	(void)state;
	put_unknown(&tensor);
	put_varint(&tensor, TENSOR_ARENA, 3);
	put_unknown(&tensor);
	put_unknown(&call);
	put_data(&call, CALL_METHOD, "echo", 4);
	put_inside(&call, CALL_TENSORS, &tensor);
	put_unknown(&call);
	put_unknown(&env);
	put_inside(&env, ENVELOPE_CALL, &call);
	put_varint(&env, ENVELOPE_ID, 9);
	put_unknown(&env);
	expect_agreement(&env, &found);
	assert_int_equal(found.message.id, 9);
	assert_int_equal(found.message.method.size, 4);
	assert_int_equal(found.message.tensor_count, 1);
	assert_int_equal(found.tensors[0].arena, 3);
	forget(&found);
}

static void
test_fields_of_sessions_are_skipped(void **state)
{
	struct bytes env = nothing(), call = nothing();
	struct found found = {.copy = NULL};

	(void)state;
	put_data(&call, CALL_PLUGIN, "other", 5);
	put_data(&call, CALL_METHOD, "echo", 4);
	for (uint32_t number = ENVELOPE_ID + 1; number <= ENVELOPE_ACK; number++)
		put_varint(&env, number, 5);
	put_inside(&env, ENVELOPE_CALL, &call);
	expect_agreement(&env, &found);
	assert_int_equal(found.message.id, 0);
	forget(&found);
}

static void
test_the_last_of_a_field_counts(void **state)
{
	struct bytes env = nothing(), reply = nothing();
	struct found found = {.copy = NULL};

	(void)state;
	put_varint(&reply, REPLY_OUTCOME, 3);
	put_data(&reply, REPLY_PAYLOAD, "first", 5);
	put_varint(&reply, REPLY_MORE, 1);
	put_varint(&reply, REPLY_OUTCOME, 4);
	put_data(&reply, REPLY_PAYLOAD, "2nd", 3);
	put_varint(&reply, REPLY_MORE, 0);
	put_varint(&env, ENVELOPE_ID, 1);
	put_inside(&env, ENVELOPE_REPLY, &reply);
	put_varint(&env, ENVELOPE_ID, 2);
	expect_agreement(&env, &found);
	assert_int_equal(found.message.id, 2);
	assert_int_equal(found.message.code, 4);
	assert_int_equal(found.message.payload.size, 3);
	assert_false(found.message.more);
	forget(&found);
}

static void
test_lists_packed_or_not(void **state)
{
	struct bytes tensor = nothing(), packed = nothing(), env;
	struct found found = {.copy = NULL};

	(void)state;
	put_wide(&packed, 5, 1);
	put_wide(&packed, 6, 3);
	put_varint(&tensor, TENSOR_SHAPE, 4);
	put_inside(&tensor, TENSOR_SHAPE, &packed);
	put_data(&tensor, TENSOR_SHAPE, "", 0);
	put_varint(&tensor, TENSOR_SHAPE, UINT64_MAX);
	put_varint(&tensor, TENSOR_STRIDES, 1);
	put_inside(&tensor, TENSOR_STRIDES, &packed);
	put_varint(&tensor, TENSOR_STRIDES, UINT64_MAX);
	env = call_with(&tensor);
	expect_agreement(&env, &found);
	assert_int_equal(found.tensors[0].dims, 4);
	assert_int_equal(found.tensors[0].strides_count, 4);
	assert_true(found.tensors[0].strides[0] == -1);
	assert_true(found.tensors[0].strides[1] == -3);
	assert_true(found.tensors[0].strides[2] == 3);
	assert_true(found.tensors[0].strides[3] == INT64_MIN);
	forget(&found);
}

static void
test_padded_varints(void **state)
{
	struct bytes env = nothing(), credit = nothing();
	struct found found = {.copy = NULL};

	(void)state;
	put_wide(&credit, KEY(CREDIT_BYTES, WIRE_VARINT), 5);
	put_wide(&credit, 3, 10);
	put_wide(&env, KEY(ENVELOPE_ID, WIRE_VARINT), 5);
	put_wide(&env, 1ull << 63, 10);
	put_wide(&env, KEY(ENVELOPE_CREDIT, WIRE_BYTES), 5);
	put_wide(&env, credit.size, 5);
	memcpy(env.data + env.size, credit.data, credit.size);
	env.size += credit.size;
	expect_agreement(&env, &found);
	assert_true(found.message.id == 1ull << 63);
	assert_int_equal(found.message.credit, 3);
	forget(&found);
}

static void
test_numbers_of_32_bits_are_cut(void **state)
{
	struct bytes cancel = nothing(), env;
	struct found found = {.copy = NULL};

	(void)state;
	put_varint(&cancel, CANCEL_REASON, (1ull << 40) + 9);
	env = envelope(ENVELOPE_CANCEL, &cancel);
	expect_agreement(&env, &found);
	assert_int_equal(found.message.code, 9);
	forget(&found);
}

/* ---- what is not ---- */

static void
test_varints_that_are_too_long(void **state)
{
	struct bytes env = nothing(), credit = nothing();

	(void)state;
	put_key(&env, ENVELOPE_ID, WIRE_VARINT);
	put_wide(&env, 1, 11);
	put_inside(&env, ENVELOPE_CREDIT, &credit);
	expect_refused(&env); /* eleven bytes */

	env = nothing();
	put_key(&env, ENVELOPE_ID, WIRE_VARINT);
	put_wide(&env, 0, 10);
	env.data[env.size - 1] = 2;
	put_inside(&env, ENVELOPE_CREDIT, &credit);
	expect_refused(&env); /* bit 64 */

	env = nothing();
	put_wide(&env, KEY(ENVELOPE_CREDIT, WIRE_BYTES), 6);
	put_wide(&env, 0, 1);
	expect_refused(&env); /* a key of six bytes */

	env = nothing();
	put_wide(&env, 1ull << 32 | KEY(ENVELOPE_CREDIT, WIRE_BYTES), 5);
	put_wide(&env, 0, 1);
	expect_refused(&env); /* a key of 33 bits */

	env = nothing();
	put_key(&env, ENVELOPE_CREDIT, WIRE_BYTES);
	put_wide(&env, 0, 6);
	expect_refused(&env); /* a length of six bytes */
}

static void
test_lengths_beyond_the_end(void **state)
{
	static const uint64_t lengths[] = {1, 127, 128, INT32_MAX, 1ull << 31, (1ull << 35) - 1};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct bytes env = nothing(), inner = nothing();

		put_key(&env, ENVELOPE_CREDIT, WIRE_BYTES);
		put_wide(&env, lengths[i], 1);
		expect_refused(&env);

		put_key(&inner, CHUNK_DATA, WIRE_BYTES);
		put_wide(&inner, lengths[i], 1);
		env = envelope(ENVELOPE_CHUNK, &inner);
		put_unknown(&env); /* bytes follow, but not the Chunk's */
		expect_refused(&env);
	}
}

static void
test_field_0_and_groups(void **state)
{
	static const uint32_t types[] = {3, 4, 6, 7};
	struct bytes env, none = nothing();

	(void)state;
	env = envelope(ENVELOPE_CREDIT, &none);
	put_typed(&env, 0, WIRE_VARINT);
	expect_refused(&env);
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		env = envelope(ENVELOPE_CREDIT, &none);
		put_key(&env, 99, types[i]);
		put_key(&env, 99, 4);
		expect_refused(&env);
	}
}

static void
test_no_body_and_two(void **state)
{
	struct bytes env = nothing(), none = nothing();

	(void)state;
	expect_refused(&env);
	put_varint(&env, ENVELOPE_ID, 3);
	expect_refused(&env);
	put_unknown(&env);
	expect_refused(&env);
	env = envelope(ENVELOPE_CALL, &none);
	put_inside(&env, ENVELOPE_CALL, &none);
	expect_refused(&env);
	env = envelope(ENVELOPE_CALL, &none);
	put_inside(&env, ENVELOPE_REPLY, &none);
	expect_refused(&env);
}

static bool
of_channels(uint32_t body)
{
	return (body >= ENVELOPE_CALL && body <= ENVELOPE_CREDIT) || body == ENVELOPE_RELEASE;
}

/* Every body that plug.proto knows is either ours or refused, alone and beside one of ours. */
static void
test_bodies_of_sessions_are_refused(void **state)
{
	const ProtobufCMessageDescriptor *descriptor = &plug__envelope__descriptor;
	struct bytes none = nothing();
	unsigned refused = 0;

	(void)state;
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		uint32_t number = descriptor->fields[i].id;
		struct bytes env;

		if (descriptor->fields[i].type != PROTOBUF_C_TYPE_MESSAGE || of_channels(number))
			continue;
		print_message("  %s\n", descriptor->fields[i].name);
		env = envelope(number, &none);
		expect_refused(&env);
		env = envelope(ENVELOPE_CALL, &none);
		put_inside(&env, number, &none);
		expect_refused(&env);
		refused++;
	}
	assert_int_equal(refused, descriptor->n_fields - 4 - 6);
}

static bool
type_fits(const ProtobufCFieldDescriptor *field, uint32_t type)
{
	bool bytes = field->type == PROTOBUF_C_TYPE_STRING ||
		     field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_MESSAGE;

	if (type == WIRE_BYTES)
		return bytes || field->label == PROTOBUF_C_LABEL_REPEATED;
	return type == WIRE_VARINT && !bytes;
}

static struct bytes
wrap(uint32_t body, uint32_t inner, const struct bytes *content)
{
	struct bytes middle = nothing();

	if (!inner)
		return body ? envelope(body, content) : *content;
	put_inside(&middle, inner, content);
	return envelope(body, &middle);
}

/* The field numbers and types are those of plug.proto. */
static void
test_fields_of_the_wrong_type(void **state)
{
	static const struct {
		const ProtobufCMessageDescriptor *descriptor;
		uint32_t body, inner;
	} levels[] = {
		{&plug__envelope__descriptor, 0, 0},
		{&plug__call__descriptor, ENVELOPE_CALL, 0},
		{&plug__reply__descriptor, ENVELOPE_REPLY, 0},
		{&plug__chunk__descriptor, ENVELOPE_CHUNK, 0},
		{&plug__cancel__descriptor, ENVELOPE_CANCEL, 0},
		{&plug__credit__descriptor, ENVELOPE_CREDIT, 0},
		{&plug__release__descriptor, ENVELOPE_RELEASE, 0},
		{&plug__tensor__descriptor, ENVELOPE_CALL, CALL_TENSORS},
		{&plug__tensor__descriptor, ENVELOPE_REPLY, REPLY_TENSORS},
		{&plug__buffer__descriptor, ENVELOPE_RELEASE, RELEASE_BUFFERS},
	};
	static const uint32_t types[] = {WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32};

	(void)state;
	for (size_t l = 0; l < sizeof(levels) / sizeof(*levels); l++) {
		const ProtobufCMessageDescriptor *descriptor = levels[l].descriptor;

		for (unsigned i = 0; i < 4 * descriptor->n_fields; i++) {
			const ProtobufCFieldDescriptor *field = &descriptor->fields[i / 4];
			struct bytes content = nothing(), env;

			if (!levels[l].body)
				put_data(&content, ENVELOPE_CREDIT, "", 0);
			put_typed(&content, field->id, types[i % 4]);
			env = wrap(levels[l].body, levels[l].inner, &content);
			if (!type_fits(field, types[i % 4]))
				expect_refused(&env);
		}
	}
}

/* ---- limits ---- */

static void
test_limits_of_tensors(void **state)
{
	struct bytes call = nothing(), tensor = nothing(), env;
	struct found found = {.copy = NULL};

	(void)state;
	for (int i = 0; i < PLUGS_TENSORS_MAX; i++)
		put_inside(&call, CALL_TENSORS, &tensor);
	env = envelope(ENVELOPE_CALL, &call);
	expect_agreement(&env, &found);
	assert_int_equal(found.message.tensor_count, PLUGS_TENSORS_MAX);
	put_inside(&call, CALL_TENSORS, &tensor);
	env = envelope(ENVELOPE_CALL, &call);
	expect_refused(&env);

	for (int i = 0; i < PLUGS_DIMS_MAX; i++) {
		put_varint(&tensor, TENSOR_SHAPE, 1);
		put_varint(&tensor, TENSOR_STRIDES, 1);
	}
	env = call_with(&tensor);
	expect_agreement(&env, &found);
	call = tensor;
	put_varint(&call, TENSOR_SHAPE, 1);
	env = call_with(&call);
	expect_refused(&env);
	call = tensor;
	put_data(&call, TENSOR_STRIDES, "\1", 1);
	env = call_with(&call);
	expect_refused(&env);
	forget(&found);
}

static void
test_limits_of_buffers(void **state)
{
	struct bytes release = nothing(), buffer = nothing(), env;
	struct found found = {.copy = NULL};

	(void)state;
	for (int i = 0; i < PLUGS_BUFFERS_MAX; i++)
		put_inside(&release, RELEASE_BUFFERS, &buffer);
	env = envelope(ENVELOPE_RELEASE, &release);
	expect_agreement(&env, &found);
	assert_int_equal(found.message.buffer_count, PLUGS_BUFFERS_MAX);
	put_inside(&release, RELEASE_BUFFERS, &buffer);
	env = envelope(ENVELOPE_RELEASE, &release);
	expect_refused(&env);
	forget(&found);
}

/* Who gives no room for them takes none. */
static void
test_no_room_for_tensors(void **state)
{
	struct plugs_message message = {.tensors = NULL};
	struct bytes tensor = nothing(), release = nothing(), env = call_with(&tensor);

	(void)state;
	assert_int_equal(plugs_message_unpack(env.data, env.size, &message), PLUG_EPROTO);
	put_inside(&release, RELEASE_BUFFERS, &tensor);
	env = envelope(ENVELOPE_RELEASE, &release);
	message.buffers = NULL;
	assert_int_equal(plugs_message_unpack(env.data, env.size, &message), PLUG_EPROTO);
	release = nothing();
	env = envelope(ENVELOPE_RELEASE, &release);
	assert_int_equal(plugs_message_unpack(env.data, env.size, &message), PLUG_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_fields_are_skipped),
		cmocka_unit_test(test_fields_of_sessions_are_skipped),
		cmocka_unit_test(test_the_last_of_a_field_counts),
		cmocka_unit_test(test_lists_packed_or_not),
		cmocka_unit_test(test_padded_varints),
		cmocka_unit_test(test_numbers_of_32_bits_are_cut),
		cmocka_unit_test(test_varints_that_are_too_long),
		cmocka_unit_test(test_lengths_beyond_the_end),
		cmocka_unit_test(test_field_0_and_groups),
		cmocka_unit_test(test_no_body_and_two),
		cmocka_unit_test(test_bodies_of_sessions_are_refused),
		cmocka_unit_test(test_fields_of_the_wrong_type),
		cmocka_unit_test(test_limits_of_tensors),
		cmocka_unit_test(test_limits_of_buffers),
		cmocka_unit_test(test_no_room_for_tensors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
