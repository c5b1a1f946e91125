/* Leader and followers: of the threads that wait for a reply one reads the socket for all, the
 * others sleep on a condition of their own.  Whoever stops reading wakes another (plugc_promote),
 * and so does whoever leaves, because it may have been woken for that. */
#include <poll.h>
#include <time.h>

#include "internal.h"

#define PUSH_MS                                                                           \
	1000 /* after which a thread that waits for room looks whether it is still needed \
	      */

void
plugc_promote(struct plug_client *client)
{
	struct plugc_call *call = TAILQ_FIRST(&client->waiters);

	if (call && !client->reading)
		pthread_cond_signal(&call->wake);
}

static void
follow(struct plug_client *client, struct plugc_call *call, uint64_t until_ns)
{
	struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
				 .tv_nsec = (long)(until_ns % 1000000000u)};

	plugc_call_can_wait(call);
	call->waiting = true;
	TAILQ_INSERT_TAIL(&client->waiters, call, link);
	if (until_ns == PLUGC_NEVER)
		pthread_cond_wait(&call->wake, &client->lock);
	else
		pthread_cond_timedwait(&call->wake, &client->lock, &until);
	TAILQ_REMOVE(&client->waiters, call, link);
	call->waiting = false;
}

void
plugc_read_now(struct plug_client *client)
{
	bool more = client->state == PLUGC_READY && !client->reading;

	for (int i = 0; more && i < PLUGC_DISPATCH_MAX && client->fd >= 0; i++) {
		client->reading = true;
		more = plugc_read(client, 0);
		client->reading = false;
	}
}

static void
lead(struct plug_client *client, uint64_t until_ns)
{
	client->reading = true;
	plugc_read(client, until_ns);
	client->reading = false;
}

/* The reader went to sleep when there was nothing to send: somebody else has to see that there is
 * room again. */
static void
push(struct plug_client *client, uint64_t until_ns)
{
	struct pollfd ready = {.fd = client->fd, .events = POLLOUT};
	int wait_ms = plugc_poll_ms(plugc_now_ns(), until_ns);

	client->flushing = true;
	pthread_mutex_unlock(&client->lock);
	poll(&ready, 1, wait_ms < 0 || wait_ms > PUSH_MS ? PUSH_MS : wait_ms);
	pthread_mutex_lock(&client->lock);
	client->flushing = false;
	plugc_flush(client);
}

static plug_err
step(struct plug_client *client, struct plugc_call *call, uint64_t until_ns)
{
	if (client->state == PLUGC_DOWN)
		return plugc_connect(client, true);
	if (client->state != PLUGC_CONNECTING && !client->reading)
		lead(client, until_ns);
	else if (client->state == PLUGC_READY && call->out.queued && !client->flushing &&
		 !client->broken)
		push(client, until_ns);
	else
		follow(client, call, until_ns);
	return PLUG_OK;
}

plug_err
plugc_wait_once(struct plug_client *client, struct plugc_call *call, uint64_t until_ns)
{
	plug_err err;

	plugc_call_can_wait(call);
	err = step(client, call, until_ns);
	plugc_promote(client);
	return err;
}

/* Hand over what is complete.  False: the owner does not want more. */
static bool
hand_over(struct plug_client *client, struct plugc_call *call, plugc_on_message on_message)
{
	struct plugc_message *message;
	bool go_on = true;

	while (go_on && (message = STAILQ_FIRST(&call->inbox))) {
		STAILQ_REMOVE_HEAD(&call->inbox, link);
		plugc_promote(client);
		pthread_mutex_unlock(&client->lock);
		go_on = on_message(call, message);
		plugc_message_free(message);
		pthread_mutex_lock(&client->lock);
		if (STAILQ_EMPTY(&call->inbox))
			call->inbox_bytes = 0;
	}
	if (!go_on)
		plugc_call_abandon(client, call, PLUG_ECANCELLED, "cancelled by the caller");
	return go_on;
}

void
plugc_wait(struct plug_client *client, struct plugc_call *call, plugc_on_message on_message)
{
	while (hand_over(client, call, on_message)) {
		if (!STAILQ_EMPTY(&call->inbox))
			continue;
		if (call->deadline_ns != PLUGC_NEVER)
			plugc_call_expire(client, call, plugc_now_ns());
		if (call->done)
			break;
		step(client, call, call->deadline_ns);
	}
}

void
plugc_wait_ready(struct plug_client *client)
{
	while (client->state == PLUGC_GREETING)
		lead(client, PLUGC_NEVER);
}
