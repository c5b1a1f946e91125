/* Many calls under way on one thread, as in the event loop of a program. */
#include <poll.h>
#include <stdlib.h>

#include "internal.h"

#define SPIN_DEFAULT_US 50
#define POLL_MAX_MS     1000

static void
on_done(const struct plug_reply *reply, void *user)
{
	struct load_slot *slot = user;
	struct load_caller *caller = slot->caller;
	plug_err outcome = reply->outcome;

	if (outcome)
		load_note_failure(caller, outcome, reply->message);
	else
		outcome = load_check_reply(caller, reply);
	load_note(caller, outcome, slot->start_ns, load_now_ns());
	slot->next = caller->idle;
	caller->idle = slot;
	caller->under_way--;
	caller->answered++;
}

/* False: not now. */
static bool
send_one(struct load_caller *caller, uint64_t due_ns, uint64_t now_ns)
{
	struct load_slot *slot = caller->idle;
	plug_err err;

	slot->start_ns = due_ns ? due_ns : now_ns;
	err = plug_client_send(caller->client, &caller->request, NULL, on_done, slot, NULL);
	if (err == PLUG_EOVERLOADED && caller->under_way)
		return false; /* what is under way makes room */
	if (due_ns)
		histogram_add(&caller->result->late, now_ns - due_ns);
	caller->issued++;
	if (err) {
		load_note_failure(caller, err, plug_client_error_text(caller->client));
		load_note(caller, err, now_ns, now_ns);
		return false;
	}
	caller->idle = slot->next;
	caller->under_way++;
	return true;
}

/* As many as there may be. */
static void
fill(struct load_caller *caller, uint64_t now_ns)
{
	while (caller->idle && load_more(caller, now_ns)) {
		uint64_t due_ns = load_due_ns(caller);

		if (due_ns > now_ns || !send_one(caller, due_ns, now_ns))
			return;
	}
}

static int64_t
until_due_ns(const struct load_caller *caller, uint64_t now_ns)
{
	uint64_t due_ns = load_due_ns(caller);

	if (!due_ns || !caller->idle || !load_more(caller, now_ns))
		return POLL_MAX_MS * INT64_C(1000000);
	return due_ns > now_ns ? (int64_t)(due_ns - now_ns) : 0;
}

static void
await(struct load_caller *caller)
{
	struct pollfd wait = {.fd = plug_client_fd(caller->client),
			      .events = plug_client_events(caller->client)};
	int client_ms = plug_client_timeout_ms(caller->client);
	int64_t ns = until_due_ns(caller, load_now_ns());
	struct timespec timeout;

	if (client_ms >= 0 && client_ms * INT64_C(1000000) < ns)
		ns = client_ms * INT64_C(1000000);
	timeout = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	ppoll(&wait, 1, &timeout, NULL);
}

/* How long to look before waiting: an event loop that polls at once would sleep between any two
 * replies. */
static uint64_t
spin_ns(const struct load_caller *caller)
{
	int64_t us = caller->load->plan.spin_us;
	const char *text = getenv("PLUG_SPIN_US");

	if (!load_plane_ready(caller->client))
		return 0;
	if (us < 0)
		us = text ? atol(text) : SPIN_DEFAULT_US;
	return us > 0 ? (uint64_t)us * 1000 : 0;
}

void
load_call_in_flight(struct load_caller *caller)
{
	uint64_t spin = spin_ns(caller), active_ns = 0;

	for (;;) {
		uint64_t now_ns = load_now_ns(), answered = caller->answered;

		fill(caller, now_ns);
		if (!caller->under_way && !load_more(caller, now_ns))
			return;
		plug_client_dispatch(caller->client);
		if (caller->answered != answered)
			active_ns = now_ns;
		else if (now_ns - active_ns >= spin)
			await(caller);
	}
}
