/* A plugin that breaks the rules of a channel, and grants that are none.  The calls end, the
 * channel is closed, no descriptor is left, and the plugin gets no other channel before it
 * restarts. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "partner.h"

#define WINDOW_BYTES 20000

/* ---- records and words ---- */

static struct plugs_message
reply_to(uint64_t id)
{
	return (struct plugs_message){.kind = PLUGS_REPLY, .id = id};
}

static void
post_garbage(struct partner *partner, uint64_t id)
{
	(void)id;
	partner_post_raw(partner, "no message at all", 17);
}

static void
post_call(struct partner *partner, uint64_t id)
{
	partner_post(partner, &(struct plugs_message){.kind = PLUGS_CALL, .id = id});
}

static void
post_credit(struct partner *partner, uint64_t id)
{
	partner_post(partner, &(struct plugs_message){.kind = PLUGS_CREDIT, .id = id});
}

static void
post_unasked(struct partner *partner, uint64_t id)
{
	partner_post(partner, &(struct plugs_message){.kind = PLUGS_REPLY, .id = id + 1});
}

static void
post_id_zero(struct partner *partner, uint64_t id)
{
	(void)id;
	partner_post(partner, &(struct plugs_message){.kind = PLUGS_REPLY});
}

static void
post_chunk_first(struct partner *partner, uint64_t id)
{
	partner_post(partner, &(struct plugs_message){.kind = PLUGS_CHUNK, .id = id});
}

static void
post_chunk_behind_whole(struct partner *partner, uint64_t id)
{
	struct plugs_message piece = reply_to(id);

	piece.partial = true;
	partner_post(partner, &piece);
	post_chunk_first(partner, id);
}

static void
post_reply_between_chunks(struct partner *partner, uint64_t id)
{
	struct plugs_message piece = reply_to(id);

	piece.more = true;
	partner_post(partner, &piece);
	partner_post(partner, &(struct plugs_message){.kind = PLUGS_REPLY, .id = id});
}

/* Both are there before the reader looks, so that it cannot have given credit between them. */
static void
post_beyond_window(struct partner *partner, uint64_t id)
{
	static const uint8_t bytes[WINDOW_BYTES + PLUG_CHUNK_BYTES];
	struct plugs_message piece = reply_to(id);
	uint64_t until = now_ms() + PEER_WAIT_MS;
	uint8_t *body;

	while (!__atomic_load_n(&partner->other.head->sleeping, __ATOMIC_SEQ_CST))
		MUST(now_ms() < until);
	piece.payload = (struct plugs_bytes){bytes, 40000};
	piece.more = true;
	for (int i = 0; i < 2; i++) {
		MUST(plugs_reserve(&partner->poster, plugs_message_bound(&piece), &body) ==
		     PLUG_OK);
		plugs_post(&partner->poster, plugs_message_pack(&piece, body));
		piece.kind = PLUGS_CHUNK;
	}
	partner_wake(partner);
}

static void
post_header(struct partner *partner, uint64_t header)
{
	uint64_t *at = (uint64_t *)(partner->poster.ring + partner->poster.place);

	__atomic_store_n(at, header, __ATOMIC_SEQ_CST);
	partner_wake(partner);
}

static void
post_header_of_another_place(struct partner *partner, uint64_t id)
{
	(void)id;
	post_header(partner, (partner->poster.position / 8 + 2) << 32 | 16);
}

static void
post_header_too_long(struct partner *partner, uint64_t id)
{
	(void)id;
	post_header(partner, (partner->poster.position / 8 + 1) << 32 | 0x7fffffff);
}

static void
post_header_of_nothing(struct partner *partner, uint64_t id)
{
	(void)id;
	post_header(partner, (partner->poster.position / 8 + 1) << 32);
}

static void
send_long_wake_message(struct partner *partner, uint64_t id)
{
	(void)id;
	MUST(send(partner->wake_fd, "no wake message", 15, 0) == 15);
}

static void
send_unknown_wake_byte(struct partner *partner, uint64_t id)
{
	(void)id;
	MUST(send(partner->wake_fd, "\7", 1, 0) == 1);
}

static void
send_wake_byte_with_descriptor(struct partner *partner, uint64_t id)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} ancillary = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(char[]){PLUG_WAKE_BYTE}, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &ancillary,
			     .msg_controllen = sizeof(ancillary)};

	(void)id;
	memcpy(CMSG_DATA(&ancillary.header), &partner->wake_fd, sizeof(int));
	MUST(sendmsg(partner->wake_fd, &msg, 0) == 1);
}

struct breach {
	const char *name;
	void (*commit)(struct partner *partner, uint64_t id);
	const char *method;
};

static void
break_rules(struct peer *peer)
{
	const struct breach *breach = peer->arg;
	struct partner partner;
	uint64_t id;

	partner_open_on(peer, &partner, (struct partner_terms){.window_bytes = WINDOW_BYTES});
	id = partner_expect(&partner, PLUGS_CALL).id;
	breach->commit(&partner, id);
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
	MUST(partner.requests == 1);
}

static void
test_breaches(void **state)
{
	static const struct breach breaches[] = {
		{"garbage", post_garbage, "echo"},
		{"a call", post_call, "echo"},
		{"credit", post_credit, "echo"},
		{"an answer to nothing", post_unasked, "echo"},
		{"an answer to 0", post_id_zero, "echo"},
		{"a chunk first", post_chunk_first, "echo"},
		{"a chunk behind a whole piece", post_chunk_behind_whole, "stream"},
		{"a reply between chunks", post_reply_between_chunks, "echo"},
		{"a piece of what is no stream", post_chunk_behind_whole, "echo"},
		{"beyond the window", post_beyond_window, "echo"},
		{"a header of another place", post_header_of_another_place, "echo"},
		{"a header that is too long", post_header_too_long, "echo"},
		{"a header of nothing", post_header_of_nothing, "echo"},
		{"a long wake message", send_long_wake_message, "echo"},
		{"an unknown wake byte", send_unknown_wake_byte, "echo"},
		{"a wake byte with a descriptor", send_wake_byte_with_descriptor, "echo"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(breaches) / sizeof(*breaches); i++) {
		const struct breach *breach = &breaches[i];
		struct plug_request request = request_of(breach->method, "x", 1);
		unsigned before = partner_count_fds();
		struct plug_reply *reply = NULL;
		struct plug_client *client;
		struct peer peer;

		peer_start(&peer, break_rules, (void *)breach);
		client = peer_client(&peer);
		partner_warm_up(client);
		if (plug_client_call(client, &request, NULL, NULL, &reply) != PLUG_EPROTO)
			fail_msg("%s: not noticed", breach->name);
		assert_non_null(strstr(reply->message, "echo broke the rules of the channel: "));
		assert_non_null(strstr(reply->message, "calls go over plugd until"));
		plug_reply_free(reply);
		for (int calls = 0; calls < 3; calls++) {
			assert_int_equal(plug_client_call(client, &request, NULL, NULL, &reply),
					 PLUG_OK);
			assert_memory_equal(reply->payload.data, "plugd", 5);
			plug_reply_free(reply);
		}
		assert_int_equal(partner_stats(client).violations, 1);
		assert_int_equal(partner_stats(client).channels_open, 0);
		assert_int_equal(partner_stats(client).channels_closed, 1);
		plug_client_close(client);
		peer_stop(&peer);
		assert_int_equal(partner_count_fds(), before);
	}
}

/* What it says to have taken is looked at when the ring seems full. */
static void
claim_too_much(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	__atomic_store_n(&partner.own.head->taken, 1ull << 40, __ATOMIC_SEQ_CST);
	partner_await_close(&partner);
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
test_taken_that_lies(void **state)
{
	void *data = pattern(1000000, 1);
	struct plug_request request = request_of("echo", data, 1000000);
	struct plug_client *client;
	struct peer peer;

	(void)state;
	peer_start(&peer, claim_too_much, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_EPROTO);
	plug_client_close(client);
	peer_stop(&peer);
	free(data);
}

/* ---- the process that broke the rules is known again ---- */

static void
asks_again(struct peer *peer)
{
	struct partner partner;

	partner_open(peer, &partner);
	post_garbage(&partner, partner_expect(&partner, PLUGS_CALL).id);
	partner_await_close(&partner);
	partner_end(&partner);
	partner.plugd_outcome = PLUG_EGONE; /* a plugin that has died may be another one now ... */
	partner_reopen(&partner);
	partner.plugd_outcome = PLUG_OK;
	partner_await_close(&partner); /* ... but this one is not */
	partner_end(&partner);
	partner_await_end(&partner);
}

static void
test_no_second_channel_to_it(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	struct plug_client *client;
	struct peer peer;
	plug_err err = PLUG_EGONE;

	(void)state;
	peer_start(&peer, asks_again, NULL);
	client = peer_client(&peer);
	partner_warm_up(client);
	assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_EPROTO);
	while (err == PLUG_EGONE)
		err = plug_client_call(client, &request, NULL, NULL, NULL);
	assert_int_equal(err, PLUG_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	assert_int_equal(partner_stats(client).channels_opened, 1);
	plug_client_close(client);
	peer_stop(&peer);
}

/* ---- grants ---- */

static int
unsealed(uint64_t bytes)
{
	int fd = plugs_memfd("region", bytes);

	MUST(fd >= 0);
	return fd;
}

static void
grant_unsealed_region(struct partner *partner, int *fds)
{
	close(fds[0]);
	fds[0] = unsealed(partner->terms.region_bytes);
}

static void
grant_region_of_another_size(struct partner *partner, int *fds)
{
	(void)fds;
	partner->terms.region_bytes *= 2;
}

static void
grant_region_of_a_caller(struct partner *partner, int *fds)
{
	struct plugs_region region;

	close(fds[0]);
	MUST(plugs_region_make(PLUG_SIDE_CALLER, 0, partner->terms.region_bytes, &region,
			       &fds[0]) == PLUG_OK);
	plugs_region_fini(&region);
}

static void
grant_a_file_as_region(struct partner *partner, int *fds)
{
	(void)partner;
	close(fds[0]);
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void
grant_no_socket(struct partner *partner, int *fds)
{
	(void)partner;
	close(fds[1]);
	fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void
grant_unsealed_page(struct partner *partner, int *fds)
{
	(void)partner;
	close(fds[2]);
	fds[2] = unsealed(PLUG_STATUS_BYTES);
}

static void
grant_empty_page(struct partner *partner, int *fds)
{
	(void)partner;
	close(fds[2]);
	fds[2] = unsealed(PLUG_STATUS_BYTES);
	MUST(plugs_seal(fds[2]) == 0);
}

struct offer {
	const char *name;
	void (*change)(struct partner *partner, int *fds);
	bool guilty; /* it is the plugin's fault */
};

static void
grant_badly(struct peer *peer)
{
	const struct offer *offer = peer->arg;
	struct partner partner;
	int *fds[3];
	int given[3];

	partner_await_request(peer, &partner);
	partner_make(&partner);
	fds[0] = &partner.own_fd;
	fds[1] = &partner.their_wake_fd;
	fds[2] = &partner.page_fd;
	for (int i = 0; i < 3; i++)
		given[i] = *fds[i];
	offer->change(&partner, given);
	for (int i = 0; i < 3; i++)
		*fds[i] = given[i];
	partner_grant_fds(&partner, given, 3);
	partner_await_end(&partner);
	partner_end(&partner);
}

static void
test_grants_that_are_none(void **state)
{
	static const struct offer offers[] = {
		{"an unsealed region", grant_unsealed_region, true},
		{"a region of another size", grant_region_of_another_size, true},
		{"a caller's region", grant_region_of_a_caller, true},
		{"a file as region", grant_a_file_as_region, true},
		{"no socket", grant_no_socket, false},
		{"an unsealed page", grant_unsealed_page, false},
		{"an empty page", grant_empty_page, false},
	};
	struct plug_request request = request_of("echo", "x", 1);

	(void)state;
	for (size_t i = 0; i < sizeof(offers) / sizeof(*offers); i++) {
		unsigned before = partner_count_fds();
		struct plug_client *client;
		struct peer peer;

		peer_start(&peer, grant_badly, (void *)&offers[i]);
		client = peer_client(&peer);
		while (partner_stats(client).channels_refused == 0)
			assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL),
					 PLUG_OK);
		assert_int_equal(partner_stats(client).channels_opened, 0);
		if (partner_stats(client).violations != offers[i].guilty)
			fail_msg("%s: whose fault?", offers[i].name);
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
		plug_client_close(client);
		peer_stop(&peer);
		assert_int_equal(partner_count_fds(), before);
	}
}

/* plugd that grants without descriptors is none. */
static void
grant_two_descriptors(struct peer *peer)
{
	struct partner partner;
	Plug__Envelope *env;
	int fds[2];

	partner_await_request(peer, &partner);
	partner_make(&partner);
	fds[0] = partner.own_fd;
	fds[1] = partner.their_wake_fd;
	close(peer->listener); /* nobody takes the next connection */
	peer->listener = -1;
	partner_grant_fds(&partner, fds, 2);
	partner_end(&partner);
	while ((env = peer_receive(peer)))
		plug_envelope_free(env);
}

static void
test_grant_without_descriptors(void **state)
{
	struct plug_request request = request_of("echo", "x", 1);
	unsigned before = partner_count_fds();
	struct plug_client *client;
	struct peer peer;
	plug_err err = PLUG_OK;

	(void)state;
	peer_start(&peer, grant_two_descriptors, NULL);
	client = peer_client(&peer);
	while (err == PLUG_OK)
		err = plug_client_call(client, &request, NULL, NULL, NULL);
	assert_true(err == PLUG_EPROTO || err == PLUG_EGONE || err == PLUG_EUNREACHABLE);
	plug_client_close(client);
	peer_stop(&peer);
	assert_int_equal(partner_count_fds(), before);
}

int
main(void)
{
	setenv(PLUG_ENV_SPIN_US, "0", true); /* so that a client that waits is asleep */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_breaches),
		cmocka_unit_test(test_taken_that_lies),
		cmocka_unit_test(test_no_second_channel_to_it),
		cmocka_unit_test(test_grants_that_are_none),
		cmocka_unit_test(test_grant_without_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
