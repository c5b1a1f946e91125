#include "caller.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec.h"

/* ---- the broker socket ---- */

static void
send_broker(struct peer *peer, Plug__Envelope *env, const int *fds, size_t count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} ancillary = {.bytes = {0}};
	uint8_t bytes[PLUG_MESSAGE_BYTES];
	struct iovec iov = {bytes, 0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	env->generation = peer->generation;
	assert_int_equal(plug_envelope_pack(env, bytes, sizeof(bytes), &iov.iov_len), 0);
	if (count) {
		msg.msg_control = &ancillary;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		ancillary.header.cmsg_level = SOL_SOCKET;
		ancillary.header.cmsg_type = SCM_RIGHTS;
		ancillary.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&ancillary.header), fds, count * sizeof(int));
	}
	assert_true(sendmsg(peer->broker_fd, &msg, MSG_NOSIGNAL) > 0);
}

/* NULL: nothing came. */
static Plug__Envelope *
receive_broker(struct peer *peer, int timeout_ms, int *ret_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} ancillary;
	uint8_t bytes[PLUG_MESSAGE_BYTES];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &ancillary,
			     .msg_controllen = sizeof(ancillary)};
	struct pollfd pfd = {.fd = peer->broker_fd, .events = POLLIN};
	Plug__Envelope *env;
	ssize_t size;

	*ret_fd = -1;
	if (poll(&pfd, 1, timeout_ms) != 1)
		return NULL;
	size = recvmsg(peer->broker_fd, &msg, MSG_CMSG_CLOEXEC);
	if (size <= 0)
		return NULL;
	if (CMSG_FIRSTHDR(&msg))
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(*ret_fd));
	assert_int_equal(plug_envelope_unpack(bytes, (size_t)size, &env), PLUG_OK);
	assert_int_equal(env->generation, peer->generation);
	return env;
}

/* Messages of one body may come before those of another. */
static Plug__Envelope *
expect_broker(struct peer *peer, int body, int timeout_ms, int *ret_fd)
{
	uint64_t until = peer_now_ms() + (uint64_t)timeout_ms;
	Plug__Envelope *env;

	for (int i = 0; i < 16; i++) {
		env = peer->broker_kept[i];
		if (!env || (int)env->body_case != body)
			continue;
		peer->broker_kept[i] = NULL;
		*ret_fd = -1;
		return env;
	}
	do {
		env = receive_broker(peer, timeout_ms, ret_fd);
		if (env && (int)env->body_case == body)
			return env;
		for (int i = 0; env && i < 16; i++) {
			if (peer->broker_kept[i])
				continue;
			peer->broker_kept[i] = env;
			env = NULL;
		}
		assert_null(env);
	} while (peer_now_ms() < until);
	return NULL;
}

Plug__Envelope *
caller_closed(struct peer *peer, int timeout_ms)
{
	int fd;

	return expect_broker(peer, PLUG__ENVELOPE__BODY_CHANNEL_CLOSED, timeout_ms, &fd);
}

Plug__Envelope *
caller_offer(struct peer *peer, uint64_t number, uint64_t bytes, const int *fds, size_t count,
	     int *ret_fd)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT, *answer;
	Plug__ChannelOffer offer = PLUG__CHANNEL_OFFER__INIT;

	offer.channel = number;
	offer.region_bytes = bytes;
	offer.pid = getpid();
	offer.name = (char *)"a test";
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_OFFER;
	env.channel_offer = &offer;
	send_broker(peer, &env, fds, count);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	answer = expect_broker(peer, PLUG__ENVELOPE__BODY_CHANNEL_ANSWER, PEER_WAIT_MS, ret_fd);
	assert_non_null(answer);
	assert_int_equal(answer->channel_answer->channel, number);
	return answer;
}

void
caller_open(struct peer *peer, struct caller *caller, uint64_t bytes)
{
	int fds[2], ends[2], other;
	Plug__Envelope *answer;
	const char *why;

	bytes = bytes ? bytes : PLUG_REGION_BYTES;
	memset(caller, 0, sizeof(*caller));
	caller->peer = peer;
	caller->in_tail = &caller->inbox;
	caller->number = ++peer->channels;
	assert_int_equal(plugs_region_make(PLUG_SIDE_CALLER, 0, bytes, &caller->own, &fds[0]),
			 PLUG_OK);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	caller->wake_fd = ends[0];
	fds[1] = ends[1];
	answer = caller_offer(peer, caller->number, bytes, fds, 2, &other);
	if (answer->channel_answer->outcome)
		fail_msg("refused: %s", answer->channel_answer->message);
	plug_envelope_free(answer);
	assert_int_equal(plugs_region_map(other, PLUG_SIDE_PLUGIN, bytes, &caller->other, &why),
			 PLUG_OK);
	close(other);
	assert_int_equal(caller->other.head->channel, caller->number);
	plugs_poster_init(&caller->poster, &caller->own, &caller->other);
	plugs_taker_init(&caller->taker, &caller->own, &caller->other);
}

void
caller_close(struct caller *caller)
{
	struct caller_message *one;

	if (!caller->own.head)
		return;
	while ((one = caller->inbox) != NULL) {
		caller->inbox = one->next;
		free(one);
	}
	close(caller->wake_fd);
	plugs_region_fini(&caller->own);
	plugs_region_fini(&caller->other);
}

/* ---- posting ---- */

static void
wake(struct caller *caller)
{
	caller->wakes++;
	plugs_wake(caller->wake_fd);
}

static void take_all(struct caller *caller);

static uint8_t *
reserve(struct caller *caller, size_t size)
{
	uint64_t until = peer_now_ms() + PEER_WAIT_MS;
	uint8_t *body = NULL;
	plug_err err;

	while ((err = plugs_reserve(&caller->poster, size, &body)) == PLUG_EOVERLOADED &&
	       peer_now_ms() < until) {
		if (!caller->deaf)
			take_all(caller);
		usleep(100);
	}
	assert_int_equal(err, PLUG_OK);
	return body;
}

void
caller_post(struct caller *caller, const struct plugs_message *msg)
{
	uint8_t *body = reserve(caller, plugs_message_bound(msg));

	if (plugs_post(&caller->poster, plugs_message_pack(msg, body)))
		wake(caller);
}

void
caller_post_raw(struct caller *caller, const void *bytes, size_t size)
{
	memcpy(reserve(caller, size), bytes, size);
	if (plugs_post(&caller->poster, size))
		wake(caller);
}

uint64_t
caller_call(struct caller *caller, const char *method, const void *data, size_t size,
	    uint64_t timeout_us)
{
	struct plugs_message msg = {.kind = PLUGS_CALL, .id = ++caller->last_id};
	size_t piece = caller->poster.record_max - 1024;

	if (piece > PLUG_CHUNK_BYTES)
		piece = PLUG_CHUNK_BYTES;
	msg.method = (struct plugs_bytes){(const uint8_t *)method, strlen(method)};
	msg.content_type = (struct plugs_bytes){(const uint8_t *)"application/json", 16};
	msg.payload = (struct plugs_bytes){data, size < piece ? size : piece};
	msg.more = size > piece;
	msg.timeout_us = timeout_us;
	caller_post(caller, &msg);
	for (size_t at = piece; at < size; at += piece) {
		struct plugs_message chunk = {.kind = PLUGS_CHUNK, .id = msg.id};

		chunk.payload.data = (const uint8_t *)data + at;
		chunk.payload.size = size - at < piece ? size - at : piece;
		chunk.last = at + chunk.payload.size == size;
		caller_post(caller, &chunk);
	}
	return msg.id;
}

uint64_t
caller_call_text(struct caller *caller, const char *method, const char *text)
{
	return caller_call(caller, method, text, strlen(text), 0);
}

void
caller_cancel(struct caller *caller, uint64_t id)
{
	struct plugs_message msg = {.kind = PLUGS_CANCEL, .id = id, .code = PLUG_ECANCELLED};

	caller_post(caller, &msg);
}

void
caller_credit(struct caller *caller, uint64_t id, uint64_t bytes)
{
	struct plugs_message msg = {.kind = PLUGS_CREDIT, .id = id, .credit = bytes};

	if (bytes)
		caller_post(caller, &msg);
}

void
caller_await_taken(struct peer *peer, uint64_t calls)
{
	for (uint64_t until = peer_now_ms() + PEER_WAIT_MS;
	     peer_vitals(peer).channel_calls < calls && peer_now_ms() < until;)
		usleep(1000);
	assert_int_equal(peer_vitals(peer).channel_calls, calls);
}

/* ---- taking ---- */

static bool
take_one(struct caller *caller)
{
	struct caller_message *one;
	const uint8_t *body = NULL;
	size_t size = 0;
	plug_err err = plugs_peek(&caller->taker, &body, &size);

	if (err == PLUG_EAGAIN)
		return false;
	assert_int_equal(err, PLUG_OK);
	one = calloc(1, sizeof(*one) + size);
	assert_non_null(one);
	memcpy(one->bytes, body, size);
	plugs_taken(&caller->taker, size);
	assert_int_equal(plugs_message_unpack(one->bytes, size, &one->msg), PLUG_OK);
	*caller->in_tail = one;
	caller->in_tail = &one->next;
	return true;
}

static void
take_all(struct caller *caller)
{
	while (take_one(caller))
		;
	if (plugs_tell_taken(&caller->taker))
		wake(caller);
}

static struct caller_message *
pick(struct caller *caller, enum plugs_kind kind, uint64_t id)
{
	struct caller_message **at = &caller->inbox, *one;

	while ((one = *at) != NULL && (one->msg.kind != kind || (id && one->msg.id != id)))
		at = &one->next;
	if (!one)
		return NULL;
	*at = one->next;
	if (!*at)
		caller->in_tail = at;
	return one;
}

/* Sleeps as a caller does: says so, looks once more, waits for a wake byte. */
static void
sleep_ms(struct caller *caller, int timeout_ms)
{
	struct pollfd pfd = {.fd = caller->wake_fd, .events = POLLIN};
	const uint8_t *body;
	size_t size;

	plugs_sleep_begin(&caller->own, PLUG_SLEEP_RECORDS);
	if (plugs_peek(&caller->taker, &body, &size) == PLUG_EAGAIN)
		poll(&pfd, 1, timeout_ms);
	plugs_drain(caller->wake_fd, 1000, NULL, NULL, NULL);
	plugs_sleep_end(&caller->own);
}

struct caller_message *
caller_poll(struct caller *caller, enum plugs_kind kind, uint64_t id, int timeout_ms)
{
	uint64_t until = peer_now_ms() + (uint64_t)timeout_ms, now;
	struct caller_message *one;

	for (;;) {
		take_all(caller);
		one = pick(caller, kind, id);
		now = peer_now_ms();
		if (one || now >= until)
			return one;
		sleep_ms(caller, (int)(until - now));
	}
}

static void
append(struct peer_answer *answer, const struct plugs_bytes *data)
{
	answer->data = realloc(answer->data, answer->size + data->size + 1);
	assert_non_null(answer->data);
	if (data->size)
		memcpy(answer->data + answer->size, data->data, data->size);
	answer->size += data->size;
	answer->data[answer->size] = '\0';
}

bool
caller_answered(struct caller *caller, uint64_t id, int timeout_ms, struct peer_answer *ret)
{
	struct caller_message *one = caller_poll(caller, PLUGS_REPLY, id, timeout_ms);
	bool more;

	memset(ret, 0, sizeof(*ret));
	if (!one)
		return false;
	ret->outcome = one->msg.code;
	ret->partial = one->msg.partial;
	snprintf(ret->message, sizeof(ret->message), "%.*s", (int)one->msg.text.size,
		 (const char *)one->msg.text.data);
	snprintf(ret->content_type, sizeof(ret->content_type), "%.*s",
		 (int)one->msg.content_type.size, (const char *)one->msg.content_type.data);
	append(ret, &one->msg.payload);
	more = one->msg.more;
	while (more || ret->partial) {
		if (!caller->no_credit)
			caller_credit(caller, id, one->msg.payload.size);
		if (!more)
			break;
		free(one);
		one = caller_poll(caller, PLUGS_CHUNK, id, PEER_WAIT_MS);
		assert_non_null(one);
		append(ret, &one->msg.payload);
		more = !one->msg.last;
	}
	free(one);
	return true;
}

struct peer_answer
caller_answer(struct caller *caller, uint64_t id)
{
	struct peer_answer answer;

	if (!caller_answered(caller, id, PEER_WAIT_MS, &answer))
		fail_msg("call %llu was not answered; stderr: %s", (unsigned long long)id,
			 peer_stderr(caller->peer));
	return answer;
}

void
caller_expect(struct caller *caller, uint64_t id, uint32_t outcome, const char *text)
{
	struct peer_answer answer = caller_answer(caller, id);

	assert_string_equal(outcome ? answer.message : (char *)answer.data, text);
	assert_int_equal(answer.outcome, outcome);
	assert_false(answer.partial);
	peer_answer_free(&answer);
}

bool
caller_sees_end(struct caller *caller, int timeout_ms)
{
	uint64_t until = peer_now_ms() + (uint64_t)timeout_ms;

	do {
		struct pollfd pfd = {.fd = caller->wake_fd, .events = POLLIN};

		poll(&pfd, 1, 10);
		if (plugs_drain(caller->wake_fd, 1000, NULL, NULL, NULL) == PLUG_EGONE)
			return true;
	} while (peer_now_ms() < until);
	return false;
}
