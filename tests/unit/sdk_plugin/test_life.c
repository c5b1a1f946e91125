/* How a plugin process starts, is refused, stops, and what it does when plugd breaks the rules or
 * is gone. */
#include <plug/plugin.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

#define EXITED(status, code) assert_int_equal(status, (code) << 8)

static int
start_probe(void **state)
{
	return start_plugin(state, PROBE_PLUGIN, NULL);
}

/* Started, but nothing said to it yet. */
static struct peer *
start_unwelcomed(void **state, const char *mode)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char *argv[] = {(char *)PROBE_PLUGIN, (char *)mode, NULL};

	assert_non_null(peer);
	*state = peer;
	peer_start(peer, argv, NULL);
	peer->hello = peer_expect(peer, PLUG__ENVELOPE__BODY_HELLO, 0);
	return peer;
}

static Plug__Welcome
good_welcome(struct peer *peer)
{
	Plug__Welcome msg = PLUG__WELCOME__INIT;

	msg.protocol = PLUG_PROTOCOL_MAX;
	msg.instance = (char *)"test";
	msg.generation = peer->generation;
	msg.nonce = (ProtobufCBinaryData){sizeof(peer->nonce), peer->nonce};
	return msg;
}

static void
assert_logged(struct peer *peer, const char *text)
{
	Plug__Envelope *env = peer_expect(peer, PLUG__ENVELOPE__BODY_LOG, 0);

	assert_string_equal(env->log->message, text);
	plug_envelope_free(env);
}

static void
assert_complained(struct peer *peer, const char *text)
{
	if (!strstr(peer_stderr(peer), text))
		fail_msg("stderr lacks \"%s\"; it has: %s", text, peer_stderr(peer));
}

/* ---- starting ---- */

static void
test_a_refused_plugin_says_why_and_exits(void **state)
{
	struct peer *peer = start_unwelcomed(state, NULL);
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Refused refused = PLUG__REFUSED__INIT;

	refused.code = PLUG_EVERSION;
	refused.message = (char *)"too old";
	refused.protocol_min = 4;
	refused.protocol_max = 5;
	refused.plugd = (char *)"9.9";
	env.body_case = PLUG__ENVELOPE__BODY_REFUSED;
	env.refused = &refused;
	peer_send_now(peer, &env);
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer, "plugd 9.9 refuses this plugin: too old");
	assert_complained(peer, "protocol 4 to 5, this plugin 1 to 1");
}

/* It would wait for WELCOME, and plugd for HELLO, until the one is killed. */
static void
test_a_hello_that_cannot_be_sent_ends_it(void **state)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char *argv[] = {(char *)PROBE_PLUGIN, (char *)"long-hello", NULL};

	assert_non_null(peer);
	*state = peer;
	peer_start(peer, argv, NULL);
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer, "HELLO does not fit into one message of 64 KiB");
}

static void
test_a_protocol_it_does_not_speak_ends_it(void **state)
{
	struct peer *peer = start_unwelcomed(state, NULL);
	Plug__Welcome msg = good_welcome(peer);

	msg.protocol = 99;
	peer_say_welcome(peer, &msg);
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer, "plugd chose protocol 99, this plugin speaks 1 to 1");
}

static void
test_a_welcome_for_another_generation_ends_it(void **state)
{
	struct peer *peer = start_unwelcomed(state, NULL);
	Plug__Welcome msg = good_welcome(peer);

	msg.generation = 8;
	peer_say_welcome(peer, &msg);
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer, "WELCOME is for generation 8");
}

static void
test_nothing_counts_before_welcome(void **state)
{
	struct peer *peer = start_unwelcomed(state, NULL);
	Plug__Welcome msg = good_welcome(peer);
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Ping ping = PLUG__PING__INIT;

	env.body_case = PLUG__ENVELOPE__BODY_PING;
	env.ping = &ping;
	peer_send_now(peer, &env);
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_PONG, 0, 100));
	peer_say_welcome(peer, &msg);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_READY, 0));
}

static void
test_a_failed_start_is_reported_and_not_ready(void **state)
{
	struct peer *peer = start_unwelcomed(state, "start-fails");
	Plug__Welcome msg = good_welcome(peer);
	Plug__Envelope *env;

	peer_say_welcome(peer, &msg);
	env = peer_expect(peer, PLUG__ENVELOPE__BODY_FAILED, 0);
	assert_int_equal(env->failed->code, PLUG_EINVAL);
	assert_string_equal(env->failed->message, "no file model.bin");
	plug_envelope_free(env);
	EXITED(peer_wait(peer, 5000), 1);
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_READY, 0, 50));
}

static void
test_a_slow_start_is_heard_and_takes_no_calls(void **state)
{
	struct peer *peer = start_unwelcomed(state, "slow-start");
	Plug__Welcome msg = good_welcome(peer);
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Ping ping = PLUG__PING__INIT;

	peer_say_welcome(peer, &msg);
	env.body_case = PLUG__ENVELOPE__BODY_PING;
	env.ping = &ping;
	peer_send_now(peer, &env);
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_PONG, 0));
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_READY, 0, 50));
	call_text(peer, 1, "about", "");
	assert_answer(peer, 1, PLUG_EUNAVAILABLE, "probe is starting and takes no calls");
	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_READY, 0));
}

/* Exit status and stderr of the probe without a session. */
static int
run_alone(const char *mode, const char *token, char *text, size_t size)
{
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDERR_FILENO);
		unsetenv(PLUG_ENV_ADDRESS);
		if (token) {
			setenv(PLUG_ENV_ADDRESS, "ipc:///nonexistent", 1);
			setenv(PLUG_ENV_TOKEN, token, 1);
		}
		execl(PROBE_PLUGIN, PROBE_PLUGIN, mode, (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	n = read(pipes[0], text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
test_by_hand_it_explains_itself(void **state)
{
	char text[4096];

	(void)state;
	EXITED(run_alone(NULL, NULL, text, sizeof(text)), 2);
	assert_non_null(strstr(text, "probe 1.2.3 is a plugin (feature) for plugd"));
}

static void
test_a_wrong_table_is_named(void **state)
{
	char text[4096];

	(void)state;
	EXITED(run_alone("no-version", NULL, text, sizeof(text)), 2);
	assert_string_equal(text, "probe: plug_main: version is NULL\n");
	EXITED(run_alone("bad-method", NULL, text, sizeof(text)), 2);
	assert_string_equal(text, "probe: plug_main: method 1 is named \"No Good\", expected "
				  "[a-z0-9_-], at most 63 bytes\n");
	EXITED(run_alone("workers=65", NULL, text, sizeof(text)), 2);
	assert_string_equal(text, "probe: plug_main: workers is 65, expected at most 64\n");
	EXITED(run_alone(NULL, "0123", text, sizeof(text)), 2);
	assert_string_equal(text, "probe: plug_main: PLUG_TOKEN is not 32 hex digits\n");
}

/* ---- stopping ---- */

static void
test_drain_and_stop_run_their_functions(void **state)
{
	struct peer *peer = *state;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Drain drain = PLUG__DRAIN__INIT;

	assert_logged(peer, "starting");
	env.body_case = PLUG__ENVELOPE__BODY_DRAIN;
	env.drain = &drain;
	peer_send(peer, &env);
	assert_logged(peer, "draining");
	call_text(peer, 1, "spin", "0"); /* what was on its way is still done */
	assert_answer(peer, 1, PLUG_OK, "");
	peer_stop(peer);
	assert_logged(peer, "stopping");
	EXITED(peer_wait(peer, 5000), 0);
}

static void
test_stop_waits_for_handlers_and_cancels_them(void **state)
{
	struct peer *peer = *state;

	assert_logged(peer, "starting");
	call_text(peer, 1, "wait", "");
	call_text(peer, 2, "block", "200000");
	plug_envelope_free(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 9, 50));
	peer_stop(peer);
	assert_answer(peer, 1, PLUG_EGONE, "probe was stopped while it executed the call");
	call_text(peer, 3, "spin", "0");
	assert_answer(peer, 3, PLUG_EUNAVAILABLE, "probe is stopping and takes no calls");
	assert_answer(peer, 2, PLUG_EGONE, "probe was stopped while it executed the call");
	assert_logged(peer, "stopping");
	EXITED(peer_wait(peer, 5000), 0);
}

static void
test_sigterm_is_an_orderly_stop(void **state)
{
	struct peer *peer = *state;

	assert_logged(peer, "starting");
	call_text(peer, 1, "wait", "");
	plug_envelope_free(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 9, 50));
	kill(peer->pid, SIGTERM);
	assert_answer(peer, 1, PLUG_EGONE, "probe was stopped while it executed the call");
	assert_logged(peer, "stopping");
	EXITED(peer_wait(peer, 5000), 0);
}

static void
test_sigterm_after_stop_ends_a_deaf_handler(void **state)
{
	struct peer *peer = *state;

	call_text(peer, 1, "block", "60000000");
	plug_envelope_free(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 9, 50));
	peer_stop(peer);
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 1, 200));
	kill(peer->pid, SIGTERM);
	EXITED(peer_wait(peer, 2000), 1);
	assert_complained(peer, "told to stop a second time while handlers run");
}

static void
test_a_child_of_a_handler_dies_of_sigterm(void **state)
{
	struct peer *peer = *state;

	plug_envelope_free(peer_expect(peer, PLUG__ENVELOPE__BODY_LOG, 0)); /* of its start */
	call_text(peer, 1, "fork", "");
	assert_answer(peer, 1, PLUG_OK, "killed by 15");
	call_text(peer, 2, "spin", "0"); /* and the plugin does not */
	assert_answer(peer, 2, PLUG_OK, "");
	/* What it says would take the place of what the plugin says next. */
	assert_null(peer_poll(peer, PLUG__ENVELOPE__BODY_LOG, 0, 0));
	assert_int_equal(peer->duplicates, 0);
}

/* ---- a plugd that misbehaves or is gone ---- */

static void
test_a_gap_in_the_sequence_ends_it(void **state)
{
	struct peer *peer = *state;

	peer->seq++;
	call_text(peer, 1, "about", "");
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer, "plugd sent message 2, expected 1; the session cannot go on");
}

static void
test_garbage_ends_it(void **state)
{
	struct peer *peer = *state;
	static const char garbage[] = "\xff\xff\xff\xff garbage";

	peer_send_raw(peer, garbage, sizeof(garbage));
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer, "are no message: protocol violation");
}

static void
test_a_message_above_the_limit_ends_it(void **state)
{
	struct peer *peer = *state;
	static char big[PLUG_MESSAGE_BYTES + 1];

	peer_send_raw(peer, big, sizeof(big));
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer,
			  "plugd sent 65537 bytes that are no message: larger than the limit");
}

static void
test_an_id_in_use_ends_it(void **state)
{
	struct peer *peer = *state;

	call_text(peer, 1, "wait", "");
	call_text(peer, 1, "wait", "");
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer, "a second call 1 while the first is in flight");
}

static void
test_a_message_that_only_plugins_send_ends_it(void **state)
{
	struct peer *peer = *state;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Ready ready = PLUG__READY__INIT;

	env.body_case = PLUG__ENVELOPE__BODY_READY;
	env.ready = &ready;
	peer_send(peer, &env);
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer, "that only plugins send");
}

static void
test_an_acknowledgement_of_the_future_ends_it(void **state)
{
	struct peer *peer = *state;

	peer->received += 1000;
	call_text(peer, 1, "about", "");
	EXITED(peer_wait(peer, 5000), 1);
	assert_complained(peer, "which did not send that many");
}

static void
test_a_session_that_stays_lost_ends_it(void **state)
{
	struct peer *peer = *state;
	uint64_t began = peer_now_ms(), took;

	call_text(peer, 1, "block", "60000000"); /* even with a deaf handler */
	plug_envelope_free(peer_poll(peer, PLUG__ENVELOPE__BODY_REPLY, 9, 50));
	unlink(peer->url + strlen("ipc://"));
	peer_cut(peer);
	EXITED(peer_wait(peer, 12000), 1);
	took = peer_now_ms() - began;
	assert_true(took >= 5000 && took < 10000);
	assert_complained(peer, "still busy (1 handlers run); exiting");
}

/* plugd's pid is the parent's: when that is gone, so is plugd, even if the socket is held open. */
static void
test_the_death_of_the_parent_ends_it(void **state)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)"\"$0\" & echo $! >&2; wait",
			(char *)PROBE_PLUGIN, NULL};
	pid_t plugin;
	int status;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	*state = peer;
	peer_start(peer, argv, NULL);
	peer_handshake(peer);
	plugin = (pid_t)atoi(peer_stderr(peer));
	assert_true(plugin > 1);
	kill(peer->pid, SIGKILL);
	peer_wait(peer, 1000);
	peer->pid = plugin; /* adopted */
	status = peer_wait(peer, 3000);
	EXITED(status, 1);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define ALONE(name)   cmocka_unit_test(name)
#define STARTED(name) cmocka_unit_test_setup_teardown(name, start_probe, end_plugin)
#define STARTS(name)  cmocka_unit_test_teardown(name, end_plugin)
		STARTS(test_a_refused_plugin_says_why_and_exits),
		STARTS(test_a_hello_that_cannot_be_sent_ends_it),
		STARTS(test_a_protocol_it_does_not_speak_ends_it),
		STARTS(test_a_welcome_for_another_generation_ends_it),
		STARTS(test_nothing_counts_before_welcome),
		STARTS(test_a_failed_start_is_reported_and_not_ready),
		STARTS(test_a_slow_start_is_heard_and_takes_no_calls),
		ALONE(test_by_hand_it_explains_itself),
		ALONE(test_a_wrong_table_is_named),
		STARTED(test_drain_and_stop_run_their_functions),
		STARTED(test_stop_waits_for_handlers_and_cancels_them),
		STARTED(test_sigterm_is_an_orderly_stop),
		STARTED(test_sigterm_after_stop_ends_a_deaf_handler),
		STARTED(test_a_child_of_a_handler_dies_of_sigterm),
		STARTED(test_a_gap_in_the_sequence_ends_it),
		STARTED(test_garbage_ends_it),
		STARTED(test_a_message_above_the_limit_ends_it),
		STARTED(test_an_id_in_use_ends_it),
		STARTED(test_a_message_that_only_plugins_send_ends_it),
		STARTED(test_an_acknowledgement_of_the_future_ends_it),
		STARTED(test_a_session_that_stays_lost_ends_it),
		STARTS(test_the_death_of_the_parent_ends_it),
	};

	return cmocka_run_group_tests_name("sdk_plugin_life", tests, NULL, NULL);
}
