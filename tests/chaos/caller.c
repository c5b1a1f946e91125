/*
 * chaos-caller RUNTIME_DIR RECORD NAME SEED MODE PLANE RATE PLUGIN...
 *
 * Calls the plugins until its stdin ends, then lets what is under way end, and goes.  Every call
 * has a line in RECORD before it is started and one when it has ended.
 *
 *   MODE   threads: blocking calls from four threads; loop: twelve at once in an event loop
 *   PLANE  auto, off (everything over plugd) or channel (nothing over plugd)
 *   RATE   calls a second, about
 */
#include "caller.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS         4
#define FLIGHTS         12
#define TURN_MS         5  /* at most, between two looks of the loop */
#define TROUBLE_MS      20 /* after a call that could not be sent */
#define CONNECT_SECONDS 60

static bool
stdin_ended(int wait_ms)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	char byte;

	return poll(&in, 1, wait_ms) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static uint64_t
pause_us(const struct caller *caller, uint64_t *random, unsigned lanes)
{
	return record_random(random) % (2u * 1000000u * lanes / caller->calls_a_second + 1);
}

/* ---- blocking ---- */

struct thread {
	struct caller *caller;
	unsigned number;
	pthread_t id;
};

static void *
call_blocking(void *arg)
{
	struct thread *thread = arg;
	struct caller *caller = thread->caller;
	uint64_t random = caller->seed * 1000 + thread->number;

	for (uint64_t n = 0; !atomic_load(&caller->over); n++) {
		struct drawn drawn;
		struct plug_request request;
		struct plug_reply *reply = NULL;
		plug_err err;

		drawn_next(caller, &random, thread->number, n, &drawn);
		request = drawn_request(&drawn);
		drawn_write_begin(caller, &drawn);
		err = plug_client_call(caller->client, &request, drawn_on_piece, &drawn, &reply);
		drawn_write_end(caller, &drawn, err, reply);
		plug_reply_free(reply);
		drawn_fini(&drawn);
		usleep((useconds_t)pause_us(caller, &random, THREADS));
	}
	return NULL;
}

static void
run_threads(struct caller *caller)
{
	struct thread threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		threads[i] = (struct thread){.caller = caller, .number = i};
		while (pthread_create(&threads[i].id, NULL, call_blocking, &threads[i]) != 0)
			usleep(TROUBLE_MS * 1000); /* memory is short for a while */
	}
	while (!stdin_ended(-1))
		;
	atomic_store(&caller->over, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i].id, NULL);
}

/* ---- in a loop ---- */

struct flight {
	struct drawn drawn; /* first: on_piece gets a flight for one */
	struct caller *caller;
	uint64_t id, random, number, next_ns;
	unsigned lane;
	bool busy;
};

static void
rest(struct flight *flight, uint64_t at_least_ms)
{
	flight->busy = false;
	flight->next_ns = record_now_ns() + at_least_ms * 1000000 +
			  pause_us(flight->caller, &flight->random, FLIGHTS) * 1000;
	drawn_fini(&flight->drawn);
}

static void
on_done(const struct plug_reply *reply, void *user)
{
	struct flight *flight = user;

	drawn_write_end(flight->caller, &flight->drawn, reply->outcome, reply);
	if (flight->busy)
		rest(flight, 0);
}

static void
take_off(struct flight *flight)
{
	struct caller *caller = flight->caller;
	struct plug_request request;
	plug_err err;

	drawn_next(caller, &flight->random, flight->lane, flight->number++, &flight->drawn);
	request = drawn_request(&flight->drawn);
	drawn_write_begin(caller, &flight->drawn);
	flight->busy = true;
	err = plug_client_send(caller->client, &request, drawn_on_piece, on_done, flight,
			       &flight->id);
	if (err == PLUG_OK)
		return;
	drawn_write_end(caller, &flight->drawn, err, NULL);
	rest(flight, TROUBLE_MS);
}

static void
look_after(struct flight *flight, bool over)
{
	struct drawn *drawn = &flight->drawn;
	uint64_t now = record_now_ns();

	if (!flight->busy && !over && now >= flight->next_ns)
		take_off(flight);
	if (!flight->busy || !drawn->cancel_ms || drawn->cancelled ||
	    now < drawn->began_ns + drawn->cancel_ms * UINT64_C(1000000))
		return;
	drawn->cancelled = true; /* on_done may run before the next line is reached */
	plug_client_cancel(flight->caller->client, flight->id);
}

static void
turn(struct caller *caller)
{
	struct pollfd ready = {.fd = plug_client_fd(caller->client),
			       .events = plug_client_events(caller->client)};
	int wait_ms = plug_client_timeout_ms(caller->client);

	poll(&ready, 1, wait_ms < 0 || wait_ms > TURN_MS ? TURN_MS : wait_ms);
	plug_client_dispatch(caller->client);
}

static void
run_loop(struct caller *caller)
{
	struct flight flights[FLIGHTS];
	unsigned busy = 0;
	bool over = false;

	for (unsigned i = 0; i < FLIGHTS; i++)
		flights[i] = (struct flight){
			.caller = caller, .lane = i, .random = caller->seed * 1000 + i};
	while (!over || busy > 0) {
		over = over || stdin_ended(0);
		busy = 0;
		for (unsigned i = 0; i < FLIGHTS; i++) {
			look_after(&flights[i], over);
			busy += flights[i].busy;
		}
		turn(caller);
	}
}

/* ---- all of it ---- */

static void
connect_to(struct caller *caller, const char *dir)
{
	struct plug_client_config config = {
		.size = sizeof(config),
		.runtime_dir = dir,
		.name = caller->name,
		.data_plane =
			strcmp(caller->plane, "off") ? PLUG_DATA_PLANE_AUTO : PLUG_DATA_PLANE_OFF,
	};
	uint64_t until = record_now_ns() + CONNECT_SECONDS * UINT64_C(1000000000);

	while (plug_client_open(&config, &caller->client) != PLUG_OK) {
		if (stdin_ended(TROUBLE_MS))
			exit(0);
		if (record_now_ns() < until)
			continue;
		fprintf(stderr, "chaos-caller: %s\n", plug_client_error_text(NULL));
		exit(1);
	}
}

static void
write_stats(const struct caller *caller)
{
	struct plug_client_stats stats = {.size = sizeof(stats)};

	plug_client_stats(caller->client, &stats);
	record_line(caller->record_fd,
		    "{\"e\": \"stats\", \"t\": %" PRIu64
		    ", \"caller\": \"%s\", \"control\": %" PRIu64 ", \"data\": %" PRIu64
		    ", \"opened\": %" PRIu64 ", \"closed\": %" PRIu64 ", \"violations\": %" PRIu64
		    ", \"moves\": %" PRIu64 ", \"resends\": %" PRIu64 "}",
		    record_now_ns(), caller->name, stats.calls_control, stats.calls_data,
		    stats.channels_opened, stats.channels_closed, stats.violations, stats.moves,
		    stats.resends);
}

int
main(int argc, char **argv)
{
	struct caller caller = {0};

	if (argc < 9 || argc > 8 + CALLER_PLUGINS) {
		fprintf(stderr, "usage: chaos-caller RUNTIME_DIR RECORD NAME SEED threads|loop "
				"auto|off|channel RATE PLUGIN...\n");
		return 2;
	}
	caller.record_fd = record_open(argv[2]);
	caller.name = argv[3];
	caller.seed = strtoull(argv[4], NULL, 0);
	caller.plane = argv[6];
	caller.calls_a_second = (unsigned)atoi(argv[7]);
	for (int i = 8; i < argc; i++)
		caller.plugins[caller.plugin_count++] = argv[i];
	if (caller.calls_a_second == 0)
		return 2;
	connect_to(&caller, argv[1]);
	if (strcmp(argv[5], "loop") == 0)
		run_loop(&caller);
	else
		run_threads(&caller);
	write_stats(&caller);
	plug_client_close(caller.client);
	return 0;
}
