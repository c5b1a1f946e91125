/* States that a plugd would accept and then not survive, one by one: each is refused. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "upgrade_state.h"
#include "upgrade_try.h"

#define NOBODY 4711

static void
nothing(Plugd__Saved *saved)
{
	(void)saved;
}

static void
a_log_follower_of_no_client(Plugd__Saved *saved)
{
	saved->control->followers[0]->ticket->client = NOBODY;
}

static void
an_event_follower_of_no_client(Plugd__Saved *saved)
{
	Plugd__SavedControl *control = saved->control;

	control->followers[control->n_followers - 1]->ticket->client = NOBODY;
}

static void
a_waiter_of_no_client(Plugd__Saved *saved)
{
	saved->control->waiters[0]->ticket->client = NOBODY;
}

static Plugd__SavedChannel *
offered(Plugd__Saved *saved)
{
	for (size_t i = 0; i < saved->channels->n_channels; i++)
		if (!strcmp(saved->channels->channels[i]->state, "offered"))
			return saved->channels->channels[i];
	abort();
}

static void
an_offer_without_its_client(Plugd__Saved *saved)
{
	offered(saved)->client = 0;
}

static void
an_offer_that_nobody_asked_for(Plugd__Saved *saved)
{
	offered(saved)->ticket = NULL;
}

static Plugd__SavedRelay *
relay(Plugd__Saved *saved, const char *state)
{
	for (size_t i = 0; i < saved->router->n_relays; i++)
		if (!strcmp(saved->router->relays[i]->state, state))
			return saved->router->relays[i];
	abort();
}

static void
a_call_that_waits_and_that_a_process_has(Plugd__Saved *saved)
{
	relay(saved, "sent")->state = (char *)"queued";
}

static void
a_call_that_is_sent_to_no_process(Plugd__Saved *saved)
{
	relay(saved, "sent")->generation = 0;
}

static void
a_suspect_that_no_process_tries(Plugd__Saved *saved)
{
	relay(saved, "receiving")->trial = true;
}

static void
a_probe_that_no_process_has(Plugd__Saved *saved)
{
	relay(saved, "receiving")->ticket = NULL;
	relay(saved, "receiving")->probe = true;
}

static void
a_probe_that_is_a_clients(Plugd__Saved *saved)
{
	relay(saved, "sent")->probe = true;
}

static void
a_log_level_that_there_is_not(Plugd__Saved *saved)
{
	saved->plugins[0]->log_level = 5;
}

static void
a_log_level_below_all(Plugd__Saved *saved)
{
	saved->plugins[0]->log_level = (uint32_t)INT32_MAX + 1;
}

#define CASE(name, reason)          \
	{                           \
#name, name, reason \
	}

static const struct {
	const char *name;
	void (*change)(Plugd__Saved *saved);
	const char *reason; /* NULL: it is accepted */
} cases[] = {
	CASE(nothing, NULL),
	CASE(a_log_follower_of_no_client, "client 4711 is not there"),
	CASE(an_event_follower_of_no_client, "client 4711 is not there"),
	CASE(a_waiter_of_no_client, "client 4711 is not there"),
	CASE(an_offer_without_its_client, "offered to nobody"),
	CASE(an_offer_that_nobody_asked_for, "nobody made"),
	CASE(a_call_that_waits_and_that_a_process_has, "waits, and that a process has"),
	CASE(a_call_that_is_sent_to_no_process, "no process has"),
	CASE(a_suspect_that_no_process_tries, "being tried, and that no process has"),
	CASE(a_probe_that_no_process_has, "plugd made, and that no process has"),
	CASE(a_probe_that_is_a_clients, "a client waits for"),
	CASE(a_log_level_that_there_is_not, "log level number 5 of 4"),
	CASE(a_log_level_below_all, "log level number 2147483648 of 4"),
};

static bool
try(void (*change)(Plugd__Saved *saved), char *why, size_t why_size)
{
	size_t size;
	const uint8_t *state = upgrade_state(&size);
	struct arena arena;
	Plugd__Saved *saved;
	uint8_t *bytes;
	bool accepted;

	arena_init(&arena, (size_t)16 * 1024 * 1024);
	saved = upgrade_unpack(state, size, &arena);
	CHECK(saved);
	change(saved);
	size = plugd__saved__get_packed_size(saved);
	bytes = malloc(size);
	CHECK(bytes);
	plugd__saved__pack(saved, bytes);
	arena_fini(&arena);
	accepted = upgrade_try_body(bytes, size, why, why_size);
	free(bytes);
	return accepted;
}

int
main(void)
{
	char why[1024];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool accepted = try(cases[i].change, why, sizeof(why));

		printf("%s: %s\n", cases[i].name, accepted ? "accepted" : why);
		fflush(stdout);
		CHECK(accepted == !cases[i].reason);
		CHECK(accepted || strstr(why, cases[i].reason));
	}
	return 0;
}
