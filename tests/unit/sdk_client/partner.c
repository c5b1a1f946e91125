#include "partner.h"

#include <dirent.h>
#include <poll.h>

/* ---- records ---- */

static bool
copy_record(struct partner *partner, size_t *ret_size)
{
	const uint8_t *body;
	size_t size;
	plug_err err = plugs_peek(&partner->taker, &body, &size);

	MUST(err == PLUG_OK || err == PLUG_EAGAIN);
	if (err != PLUG_OK)
		return false;
	memcpy(partner->bytes, body, size);
	plugs_taken(&partner->taker, size);
	*ret_size = size;
	return true;
}

/* Sleep until something happens on either socket.  False: one of them was closed. */
static bool
wait_for_something(struct partner *partner, size_t *ret_size)
{
	struct pollfd ready[2] = {{.fd = partner->wake_fd, .events = POLLIN},
				  {.fd = partner->peer->fd, .events = POLLIN}};
	plug_err err;

	if (plugs_tell_taken(&partner->taker))
		partner_wake(partner);
	plugs_sleep_begin(&partner->own, PLUG_SLEEP_RECORDS);
	if (copy_record(partner, ret_size)) {
		plugs_sleep_end(&partner->own);
		return true;
	}
	MUST(poll(ready, 2, PEER_WAIT_MS) > 0);
	plugs_sleep_end(&partner->own);
	if (ready[1].revents && !partner_serve_plugd(partner))
		return false;
	if (!ready[0].revents)
		return true;
	err = plugs_drain(partner->wake_fd, 1000, NULL, NULL, NULL);
	MUST(err == PLUG_OK || err == PLUG_EGONE);
	return err == PLUG_OK;
}

bool
partner_take(struct partner *partner, struct plugs_message *ret)
{
	size_t size = 0;
	bool open = true;

	while (!size && open && !copy_record(partner, &size))
		open = wait_for_something(partner, &size);
	if (!size)
		return false;
	*ret = (struct plugs_message){.tensors = partner->tensors, .buffers = partner->buffers};
	MUST(plugs_message_unpack(partner->bytes, size, ret) == PLUG_OK);
	return true;
}

struct plugs_message
partner_expect(struct partner *partner, enum plugs_kind kind)
{
	struct plugs_message message;

	do
		MUST(partner_take(partner, &message));
	while (message.kind == PLUGS_CREDIT && kind != PLUGS_CREDIT);
	MUST(message.kind == kind);
	return message;
}

uint64_t
partner_take_call(struct partner *partner, uint8_t **ret_data, size_t *ret_size)
{
	struct plugs_message message = partner_expect(partner, PLUGS_CALL);
	uint64_t id = message.id;
	bool more = message.more;
	uint8_t *data = malloc(PLUG_CALL_BYTES);
	size_t size = message.payload.size;

	MUST(data);
	if (size)
		memcpy(data, message.payload.data, size);
	while (more) {
		message = partner_expect(partner, PLUGS_CHUNK);
		MUST(message.id == id);
		memcpy(data + size, message.payload.data, message.payload.size);
		size += message.payload.size;
		more = !message.last;
	}
	if (ret_data)
		*ret_data = data;
	else
		free(data);
	if (ret_size)
		*ret_size = size;
	return id;
}

void
partner_wake(struct partner *partner)
{
	partner->wakes++;
	plugs_wake(partner->wake_fd);
}

static uint8_t *
reserve(struct partner *partner, size_t size)
{
	uint64_t until = now_ms() + PEER_WAIT_MS;
	uint8_t *body;
	plug_err err;

	while ((err = plugs_reserve(&partner->poster, size, &body)) == PLUG_EOVERLOADED) {
		MUST(now_ms() < until);
		usleep(100);
	}
	MUST(err == PLUG_OK);
	return body;
}

void
partner_post(struct partner *partner, const struct plugs_message *message)
{
	uint8_t *body = reserve(partner, plugs_message_bound(message));

	if (plugs_post(&partner->poster, plugs_message_pack(message, body)))
		partner_wake(partner);
}

void
partner_post_raw(struct partner *partner, const void *bytes, size_t size)
{
	memcpy(reserve(partner, size), bytes, size);
	if (plugs_post(&partner->poster, size))
		partner_wake(partner);
}

void
partner_reply(struct partner *partner, uint64_t id, const char *text)
{
	partner_post(partner, &(struct plugs_message){.kind = PLUGS_REPLY,
						      .id = id,
						      .content_type = partner_bytes("text/plain"),
						      .payload = partner_bytes(text)});
}

void
partner_fail(struct partner *partner, uint64_t id, plug_err outcome, const char *text)
{
	partner_post(partner, &(struct plugs_message){.kind = PLUGS_REPLY,
						      .id = id,
						      .code = outcome,
						      .text = partner_bytes(text)});
}

void
partner_echo(struct partner *partner)
{
	struct plugs_message call;
	static uint8_t bytes[PLUG_CHUNK_BYTES];

	while (partner_take(partner, &call)) {
		if (call.kind != PLUGS_CALL)
			continue;
		if (call.payload.size)
			memcpy(bytes, call.payload.data, call.payload.size);
		partner_post(partner,
			     &(struct plugs_message){.kind = PLUGS_REPLY,
						     .id = call.id,
						     .payload = {bytes, call.payload.size}});
	}
}

void
partner_set_status(struct partner *partner, enum plug_status status)
{
	__atomic_store_n(&partner->page->status, (uint32_t)status, __ATOMIC_RELEASE);
}

void
partner_set_closed_at(struct partner *partner, uint64_t id)
{
	__atomic_exchange_n(&partner->own.head->closed_at, id, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&partner->other.head->sleeping, __ATOMIC_SEQ_CST) & PLUG_SLEEP_RECORDS)
		partner_wake(partner);
}

void
partner_await_close(struct partner *partner)
{
	struct pollfd ready[2] = {{.fd = partner->wake_fd, .events = POLLIN},
				  {.fd = partner->peer->fd, .events = POLLIN}};

	while (true) {
		MUST(poll(ready, 2, PEER_WAIT_MS) > 0);
		if (ready[0].revents &&
		    plugs_drain(partner->wake_fd, 1000, NULL, NULL, NULL) == PLUG_EGONE)
			return;
		if (ready[1].revents)
			MUST(partner_serve_plugd(partner));
	}
}

void
partner_await_moves(struct plug_client *client, uint64_t moves)
{
	struct plug_client_stats stats = {.size = sizeof(stats)};

	for (uint64_t until = now_ms() + PEER_WAIT_MS; stats.moves < moves; usleep(100)) {
		MUST(now_ms() < until);
		MUST(plug_client_stats(client, &stats) == PLUG_OK);
	}
}

void
partner_await_end(struct partner *partner)
{
	struct pollfd ready = {.fd = partner->peer->fd, .events = POLLIN};

	do
		MUST(poll(&ready, 1, PEER_WAIT_MS) == 1);
	while (partner_serve_plugd(partner));
}

/* ---- for tests ---- */

struct plug_client_stats
partner_stats(struct plug_client *client)
{
	struct plug_client_stats stats = {.size = sizeof(stats)};

	assert_int_equal(plug_client_stats(client, &stats), PLUG_OK);
	return stats;
}

void
partner_warm_up(struct plug_client *client)
{
	struct plug_request request = request_of("echo", "warm", 4);
	uint64_t until = now_ms() + PEER_WAIT_MS;

	for (int i = 0; i < 2; i++)
		assert_int_equal(plug_client_call(client, &request, NULL, NULL, NULL), PLUG_OK);
	while (partner_stats(client).channels_open == 0) { /* the grant is read, nothing is sent */
		assert_int_equal(plug_client_dispatch(client), PLUG_OK);
		assert_true(now_ms() < until);
		usleep(100);
	}
}

unsigned
partner_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}
