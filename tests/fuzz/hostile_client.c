/*
 * hostile_client RUNTIME_DIR PLUGIN SEED SECONDS: calls `echo` of PLUGIN through channels and
 * damages its side of them.  What comes of its own calls is nobody's business; it ends by itself.
 */
#include <plug/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"
#include "sample.h"

#define CALLS_MOST 2000 /* with one handle, and so with one channel */
#define TIMEOUT_MS 50
#define BYTES_MOST 100000

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Calls with a new handle until most of them fail. */
static void
attack(const char *dir, const char *plugin, uint64_t *random, uint64_t until)
{
	static char payload[BYTES_MOST];
	struct plug_client_config config = {
		.size = sizeof(config), .runtime_dir = dir, .name = "hostile"};
	struct plug_client *client;
	uint64_t calls = sample_random(random) % CALLS_MOST;
	int failed = 0;

	if (plug_client_open(&config, &client) != PLUG_OK) {
		usleep(10000); /* plugd has had enough of us for now */
		return;
	}
	for (; calls && failed < 5 && now_ms() < until; calls--) {
		uint64_t word = sample_random(random);
		struct plug_request request = {
			.size = sizeof(request),
			.plugin = plugin,
			.method = "echo",
			.payload = {payload,
				    word % 16 ? (word >> 8) % 200 : (word >> 8) % BYTES_MOST, NULL},
			.timeout_ms = TIMEOUT_MS,
		};

		if (plug_client_call(client, &request, NULL, NULL, NULL) != PLUG_OK)
			failed++;
	}
	plug_client_close(client);
}

int
main(int argc, char **argv)
{
	uint64_t random, until, handles = 0;

	if (argc != 5) {
		fprintf(stderr, "usage: hostile_client RUNTIME_DIR PLUGIN SEED SECONDS\n");
		return 2;
	}
	random = strtoull(argv[3], NULL, 0) * 2 + 1;
	until = now_ms() + strtoull(argv[4], NULL, 0) * 1000;
	hostile_start(random);
	for (; now_ms() < until; handles++)
		attack(argv[1], argv[2], &random, until);
	printf("%llu %llu\n", (unsigned long long)handles, (unsigned long long)hostile_count());
	fflush(stdout);
	_exit(0); /* the other thread goes on to the last */
}
