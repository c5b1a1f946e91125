/* Callers that break the rules: theirs is the channel that ends, and nothing else. */
#include <plug/plugin.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caller.h"
#include "cases.h"

static int
start_probe(void **state)
{
	struct peer *peer;
	int failed = start_plugin(state, PROBE_PLUGIN, NULL);

	peer = *state;
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_LOG, 0)); /* "starting" */
	return failed;
}

static void
expect_call(struct caller *caller, const char *method, const char *text, uint32_t outcome,
	    const char *answer)
{
	caller_expect(caller, caller_call_text(caller, method, text), outcome, answer);
}

static void
post_kind(struct caller *caller, enum plugs_kind kind, uint64_t id)
{
	struct plugs_message msg = {.kind = kind, .id = id};

	msg.method = (struct plugs_bytes){(const uint8_t *)"mirror", 6};
	caller_post(caller, &msg);
}

/* ---- one rule each ---- */

static void
bad_header(struct caller *caller)
{
	uint64_t *at = (uint64_t *)(caller->own.ring + caller->poster.place);

	__atomic_store_n(at, 0xdeadbeefcafef00d, __ATOMIC_SEQ_CST);
	plugs_wake(caller->wake_fd);
}

static void
too_long(struct caller *caller)
{
	uint64_t *at = (uint64_t *)(caller->own.ring + caller->poster.place);
	uint64_t stamp = caller->poster.position / 8 + 1;

	__atomic_store_n(at, stamp << 32 | (PLUG_RECORD_BYTES_MAX + 1), __ATOMIC_SEQ_CST);
	plugs_wake(caller->wake_fd);
}

static void
garbage(struct caller *caller)
{
	caller_post_raw(caller, "\xff\xff\xff\xff garbage", 12);
}

static void
wrong_number(struct caller *caller)
{
	post_kind(caller, PLUGS_CALL, caller->last_id + 2);
}

static void
number_again(struct caller *caller)
{
	post_kind(caller, PLUGS_CALL, caller->last_id);
}

static void
chunk_of_nothing(struct caller *caller)
{
	post_kind(caller, PLUGS_CHUNK, caller->last_id + 1);
}

static void
cancel_of_zero(struct caller *caller)
{
	post_kind(caller, PLUGS_CANCEL, 0);
}

static void
reply(struct caller *caller)
{
	post_kind(caller, PLUGS_REPLY, caller->last_id);
}

static void
credit_beyond(struct caller *caller)
{
	uint64_t id = caller_call_text(caller, "wait", "");

	caller_credit(caller, id, 1);
}

static void
credit_overflow(struct caller *caller)
{
	struct peer_answer answer;
	uint64_t id = caller_call_text(caller, "pieces", "30");

	caller->no_credit = true; /* 13 of 30 pieces go */
	answer = caller_answer(caller, id);
	peer_answer_free(&answer);
	caller_credit(caller, id, 10000);
	caller_credit(caller, id, UINT64_MAX);
}

static void
taken_beyond(struct caller *caller)
{
	__atomic_store_n(&caller->own.head->taken, 1ull << 40, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 40; i++) /* until the plugin has to look at it */
		caller_call(caller, "big", "16000", 5, 0);
}

static void
taken_backwards(struct caller *caller)
{
	for (int i = 0; i < 8; i++)
		expect_call(caller, "mirror", "x", PLUG_OK, "x");
	caller->deaf = true;
	for (int i = 0; i < 20; i++)
		caller_call(caller, "big", "16000", 5, 0);
	usleep(50000);
	__atomic_store_n(&caller->own.head->taken, 8, __ATOMIC_SEQ_CST);
	usleep(50000);
	__atomic_store_n(&caller->own.head->taken, 0, __ATOMIC_SEQ_CST);
	post_kind(caller, PLUGS_CANCEL, 1);
}

static void
wake_message(struct caller *caller)
{
	for (int i = 0; i < 200; i++)
		expect_call(caller, "mirror", "x", PLUG_OK, "x");
	assert_int_equal(send(caller->wake_fd, "no wake", 7, 0), 7);
	for (int i = 0; i < 200; i++) { /* until the socket is emptied */
		struct plugs_message msg = {.kind = PLUGS_CANCEL, .id = 1};

		usleep(200);
		caller_post(caller, &msg);
	}
}

static const struct violation {
	const char *name;
	void (*commit)(struct caller *caller);
	const char *reason;
} violations[] = {
	{"bad header", bad_header, "a record has a header that is none"},
	{"too long", too_long, "a record has a header that is none"},
	{"garbage", garbage, "a record is no message of a channel"},
	{"wrong number", wrong_number, "its calls are not numbered one after the other"},
	{"number again", number_again, "its calls are not numbered one after the other"},
	{"chunk of nothing", chunk_of_nothing, "a message is about a call that was not posted"},
	{"cancel of zero", cancel_of_zero, "a message is about a call that was not posted"},
	{"reply", reply, "it sent what only plugins send"},
	{"credit beyond", credit_beyond, "it gave credit for more than was sent to it"},
	{"credit overflow", credit_overflow, "it gave credit for more than was sent to it"},
	{"taken beyond", taken_beyond, "it claims to have taken what was never posted"},
	{"taken backwards", taken_backwards, "it claims to have taken what was never posted"},
	{"wake message", wake_message, "it sent a wake message that is none"},
};

static void
assert_logged(struct peer *peer, uint64_t number, const char *reason)
{
	Plug__Envelope *env = peer_expect(peer, PLUG__ENVELOPE__BODY_LOG, 0);
	char text[512];

	snprintf(text, sizeof(text),
		 "channel %llu is closed: the caller broke its rules (pid %d, \"a test\"): %s; its "
		 "calls here are cancelled",
		 (unsigned long long)number, getpid(), reason);
	assert_string_equal(env->log->message, text);
	assert_int_equal(env->log->level, PLUG_LOG_WARNING);
	plug_envelope_free(env);
}

static void
assert_punished(struct peer *peer, struct caller *guilty, const char *reason)
{
	Plug__Envelope *env;

	assert_true(caller_sees_end(guilty, PEER_WAIT_MS));
	env = caller_closed(peer, PEER_WAIT_MS);
	assert_non_null(env);
	assert_string_equal(env->channel_closed->reason, reason);
	assert_int_equal(env->channel_closed->channel, guilty->number);
	assert_true(env->channel_closed->violated);
	plug_envelope_free(env);
	assert_logged(peer, guilty->number, reason);
}

static void
test_who_breaks_a_rule_loses_the_channel(void **state)
{
	struct peer *peer = *state;
	struct caller innocent, guilty;

	caller_open(peer, &innocent, 0);
	for (size_t i = 0; i < sizeof(violations) / sizeof(violations[0]); i++) {
		print_message("%s\n", violations[i].name);
		caller_open(peer, &guilty, 0);
		expect_call(&guilty, "mirror", "x", PLUG_OK, "x");
		caller_call_text(&guilty, "nap", "60000"); /* is cancelled with it */
		violations[i].commit(&guilty);
		assert_punished(peer, &guilty, violations[i].reason);
		expect_call(&innocent, "mirror", "x", PLUG_OK, "x");
		assert_int_equal(peer_vitals(peer).violations, i + 1);
		caller_close(&guilty);
	}
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_LOG, 0, 50)); /* each once */
	caller_close(&innocent);
}

/* Records of every kind with a byte changed, over and over: some mean something, none does harm. */
static void
test_changed_records_do_no_harm(void **state)
{
	struct peer *peer = *state;
	struct caller innocent, guilty;
	unsigned seed = 1;

	caller_open(peer, &innocent, 0);
	for (int round = 0; round < 150; round++) {
		caller_open(peer, &guilty, PLUG_REGION_BYTES_MIN);
		for (uint64_t n = 1; n <= 20; n++) {
			struct plugs_message msg = {.kind = (enum plugs_kind)(n % 6), .id = n / 2};
			uint8_t bytes[512];
			size_t size;

			msg.method = (struct plugs_bytes){(const uint8_t *)"mirror", 6};
			msg.payload = (struct plugs_bytes){(const uint8_t *)"payload", 7};
			msg.content_type = (struct plugs_bytes){(const uint8_t *)"text", 4};
			msg.credit = 7;
			msg.more = n % 4 == 0;
			size = plugs_message_pack(&msg, bytes);
			seed = seed * 1103515245 + 12345;
			bytes[seed / 65536 % size] ^= (uint8_t)(1u << seed / 4096 % 8);
			if (plugs_room(&guilty.poster) < 512)
				break;
			caller_post_raw(&guilty, bytes, size);
		}
		if (round % 10 == 0)
			expect_call(&innocent, "mirror", "x", PLUG_OK, "x");
		caller_close(&guilty);
		plug_envelope_free(caller_closed(peer, PEER_WAIT_MS));
	}
	expect_call(&innocent, "mirror", "x", PLUG_OK, "x");
	caller_close(&innocent);
	call_text(peer, 1, "mirror", "y");
	assert_answer(peer, 1, PLUG_OK, "y");
}

/* Wake bytes without records, as many as go: they cost the sender more than the plugin. */
static void
test_a_flood_of_wakes_disturbs_nobody(void **state)
{
	struct peer *peer = *state;
	struct caller innocent, guilty;

	caller_open(peer, &innocent, 0);
	caller_open(peer, &guilty, 0);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 1000; i++)
			plugs_wake(guilty.wake_fd);
		expect_call(&innocent, "mirror", "x", PLUG_OK, "x");
	}
	expect_call(&guilty, "mirror", "x", PLUG_OK, "x"); /* no rule was broken */
	caller_close(&guilty);
	caller_close(&innocent);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define CASE(name, start) cmocka_unit_test_setup_teardown(name, start, end_plugin)
		CASE(test_who_breaks_a_rule_loses_the_channel, start_probe),
		CASE(test_changed_records_do_no_harm, start_probe),
		CASE(test_a_flood_of_wakes_disturbs_nobody, start_probe),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("sdk_plugin_hostile", tests, NULL, NULL);
}
