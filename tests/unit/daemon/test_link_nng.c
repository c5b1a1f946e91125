/* The link against the library whose wire it speaks: an nng pair1 dialer, as a plugin has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>
#include <nng/supplemental/util/platform.h>

#include "ipc/link.h"
#include "wire_support.h"

#define MESSAGES  1000
#define MOST      (64u * 1024)
#define PEER_WAIT 20000 /* ms, of a failing test only */

static struct {
	struct link *link;
	unsigned received, sent, lost;
	unsigned wanted;
} ours;

/* Size and content follow from the direction and the number. */
static size_t
make_body(unsigned direction, unsigned number, uint8_t *body)
{
	uint32_t seed = (number + 1) * 2654435761u + direction * 97;
	size_t size;

	seed ^= seed >> 15;
	size = number % 10 == 9 ? MOST : seed % (number % 3 ? 300 : MOST + 1);
	for (size_t i = 0; i < size; i++)
		body[i] = (uint8_t)(seed + i * 13 + i / 251);
	return size;
}

static void
send_more(void)
{
	static uint8_t body[MOST];

	while (ours.sent < ours.wanted) {
		size_t size = make_body(1, ours.sent, body);
		plug_err err = link_send(ours.link, body, size);

		if (err == PLUG_EAGAIN)
			return;
		assert_int_equal(err, PLUG_OK);
		ours.sent++;
	}
}

static bool
on_frame(void *user, const uint8_t *body, size_t size)
{
	static uint8_t expected[MOST];

	(void)user;
	assert_int_equal(size, make_body(0, ours.received, expected));
	assert_memory_equal(body, expected, size);
	ours.received++;
	send_more(); /* the first one says that the peer is there */
	return true;
}

static void
on_lost(void *user)
{
	(void)user;
	ours.lost++;
}

static void
on_writable(void *user)
{
	(void)user;
	send_more();
}

static void
on_garbage(void *user, const char *what)
{
	(void)user;
	fail_msg("nng sent %s", what);
}

static const struct link_ops ops = {on_frame, on_lost, on_writable, on_garbage};

static int
setup(void **state)
{
	struct link_config config = {.max_bytes = MOST, .ops = &ops};

	if (wire_setup(state))
		return -1;
	memset(&ours, 0, sizeof(ours));
	config.loop = wire_loop;
	config.path = wire_path;
	return link_open(&config, &ours.link);
}

static int
teardown(void **state)
{
	link_close(ours.link);
	return wire_teardown(state);
}

/* The far end: a thread for each direction, as nng's blocking calls want it. */
struct peer {
	nng_socket socket;
	unsigned from, to;
	int fault; /* of nng, or -1: wrong bytes */
	atomic_bool ended;
	uint8_t body[MOST];
};

static ev_async peer_ended;

static void
end_peer(struct peer *peer)
{
	atomic_store(&peer->ended, true);
	ev_async_send(wire_loop, &peer_ended);
}

static void
peer_send(void *argument)
{
	struct peer *peer = argument;

	for (unsigned i = peer->from; i < peer->to && !peer->fault; i++)
		peer->fault = nng_send(peer->socket, peer->body, make_body(0, i, peer->body), 0);
	end_peer(peer);
}

static void
peer_receive(void *argument)
{
	struct peer *peer = argument;

	for (unsigned i = peer->from; i < peer->to && !peer->fault; i++) {
		void *got = NULL;
		size_t size = 0, wanted = make_body(1, i, peer->body);

		peer->fault = nng_recv(peer->socket, &got, &size, NNG_FLAG_ALLOC);
		if (peer->fault)
			break;
		if (size != wanted || (size && memcmp(got, peer->body, size) != 0))
			peer->fault = -1;
		nng_free(got, size);
	}
	end_peer(peer);
}

static nng_socket
dial_with_nng(void)
{
	nng_socket socket;
	char url[128];

	snprintf(url, sizeof(url), "ipc://%s", wire_path);
	assert_int_equal(nng_pair1_open(&socket), 0);
	nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, PEER_WAIT);
	nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, PEER_WAIT);
	nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, 10);
	nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 2 * MOST);
	assert_int_equal(nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK), 0);
	return socket;
}

static struct peer sender, receiver;

static bool
all_exchanged(void *context)
{
	(void)context;
	return ours.received == ours.wanted && atomic_load(&sender.ended) &&
	       atomic_load(&receiver.ended);
}

static void
on_peer_ended(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

static void
prepare(struct peer *peer, nng_socket socket, unsigned from, unsigned to)
{
	peer->socket = socket;
	peer->from = from;
	peer->to = to;
	peer->fault = 0;
	atomic_store(&peer->ended, false);
}

/* `from` to `to`, both ways at once. */
static void
exchange(nng_socket socket, unsigned from, unsigned to)
{
	nng_thread *threads[2];

	ours.wanted = to;
	prepare(&sender, socket, from, to);
	prepare(&receiver, socket, from, to);
	ev_async_init(&peer_ended, on_peer_ended);
	ev_async_start(wire_loop, &peer_ended);
	assert_int_equal(nng_thread_create(&threads[0], peer_send, &sender), 0);
	assert_int_equal(nng_thread_create(&threads[1], peer_receive, &receiver), 0);
	wire_run_until(all_exchanged, NULL);
	nng_thread_destroy(threads[0]);
	nng_thread_destroy(threads[1]);
	ev_async_stop(wire_loop, &peer_ended);
	assert_int_equal(sender.fault, 0);
	assert_int_equal(receiver.fault, 0);
	assert_int_equal(ours.sent, to);
}

static bool
was_lost(void *context)
{
	(void)context;
	return ours.lost > 0;
}

static void
test_a_thousand_messages_both_ways(void **state)
{
	nng_socket socket = dial_with_nng();

	(void)state;
	exchange(socket, 0, MESSAGES);
	assert_int_equal(ours.lost, 0);
	nng_close(socket);
	wire_run_until(was_lost, NULL);
	assert_int_equal(ours.lost, 1);
}

static bool
is_connected(void *context)
{
	(void)context;
	return link_connection(ours.link) != 0;
}

/* A second dialer is kept out while the first is there, and served once it has gone. */
static void
test_the_next_dialer_after_the_first(void **state)
{
	nng_socket first = dial_with_nng(), second;

	(void)state;
	exchange(first, 0, 20);
	second = dial_with_nng();
	exchange(first, 20, 40);
	nng_close(first);
	/* What nng takes while it is being turned away is lost: sessions resume, this does not. */
	wire_run_until(was_lost, NULL);
	wire_run_until(is_connected, NULL);
	exchange(second, 40, 60);
	assert_int_equal(ours.lost, 1);
	nng_close(second);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_thousand_messages_both_ways),
		TEST(test_the_next_dialer_after_the_first),
	};

	return cmocka_run_group_tests_name("link_nng", tests, NULL, NULL);
}
