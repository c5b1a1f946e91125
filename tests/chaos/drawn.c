#include "caller.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD        128 /* of a request: key, time, pieces */
#define SMALL_MOST  200
#define LARGE_MOST  60000
#define CHUNKS_MOST 200000
#define BEYOND      300000 /* the limit that the driver sets is 256 KiB */
#define PIECES_MOST 12
#define LONG_MS     15000
#define SHORT_US    1000 /* memory is short for a while, as the driver says */

/* Draws among `of` equal chances. */
static bool
one_in(uint64_t *random, uint64_t of)
{
	return record_random(random) % of == 0;
}

static uint32_t
between(uint64_t *random, uint32_t least, uint32_t most)
{
	return least + (uint32_t)(record_random(random) % (most - least + 1));
}

static const char *
draw_method(uint64_t *random)
{
	uint64_t word = record_random(random) % 100;

	return word < 50   ? "once"
	       : word < 75 ? "twice"
	       : word < 90 ? "pieces"
	       : word < 95 ? "fail"
	       : word < 98 ? "deaf"
			   : "nothing";
}

static size_t
draw_size(uint64_t *random)
{
	uint64_t word = record_random(random) % 200;

	return word < 180   ? between(random, 0, SMALL_MOST)
	       : word < 196 ? between(random, 0, LARGE_MOST)
	       : word < 199 ? between(random, 0, CHUNKS_MOST)
			    : BEYOND;
}

static uint32_t
draw_ms(uint64_t *random)
{
	uint64_t word = record_random(random) % 100;

	return word < 70 ? 0 : word < 96 ? between(random, 1, 20) : between(random, 50, 300);
}

static uint32_t
draw_timeout(uint64_t *random)
{
	uint64_t word = record_random(random) % 100;

	return word < 75 ? LONG_MS : word < 95 ? between(random, 50, 600) : between(random, 1, 20);
}

void
drawn_next(const struct caller *caller, uint64_t *random, unsigned thread, uint64_t number,
	   struct drawn *ret)
{
	size_t size = draw_size(random);
	uint32_t ms = draw_ms(random);
	int head;

	*ret = (struct drawn){
		.plugin = caller->plugins[record_random(random) % caller->plugin_count],
		.method = draw_method(random),
		.timeout_ms = draw_timeout(random),
		.count = between(random, 0, PIECES_MOST),
		.flags = strcmp(caller->plane, "channel") ? 0 : PLUG_REQUEST_CHANNEL,
	};
	if (one_in(random, 200))
		ret->plugin = "nobody";
	if (one_in(random, 20))
		ret->cancel_ms = between(random, 1, 30);
	if (one_in(random, 10) && ret->count)
		ret->cancel_piece = between(random, 1, ret->count);
	snprintf(ret->key, sizeof(ret->key), "%s.%u.%" PRIu64, caller->name, thread, number);
	while (!(ret->request = malloc(HEAD + size)))
		usleep(SHORT_US);
	head = snprintf(ret->request, HEAD, "%s %" PRIu32 " %" PRIu32 " ", ret->key, ms,
			ret->count);
	for (size_t i = 0; i < size; i++)
		ret->request[(size_t)head + i] = (char)('a' + (i + number) % 23);
	ret->size = (size_t)head + size;
}

void
drawn_fini(struct drawn *drawn)
{
	free(drawn->request);
	drawn->request = NULL;
}

struct plug_request
drawn_request(const struct drawn *drawn)
{
	return (struct plug_request){
		.size = sizeof(struct plug_request),
		.plugin = drawn->plugin,
		.method = drawn->method,
		.payload = {drawn->request, drawn->size, "text/plain"},
		.timeout_ms = drawn->timeout_ms,
		.flags = drawn->flags,
	};
}

/* The first word of what came. */
static const char *
key_of(const struct plug_payload *payload, char *to)
{
	size_t size = payload->size < RECORD_KEY - 1 ? payload->size : RECORD_KEY - 1;
	char word[RECORD_KEY];

	memcpy(word, payload->data, size);
	word[size] = '\0';
	word[strcspn(word, " ")] = '\0';
	return record_clean(word, to, RECORD_KEY);
}

bool
drawn_on_piece(const struct plug_payload *piece, void *user)
{
	struct drawn *drawn = user;
	char expected[RECORD_KEY + 16];
	int length = snprintf(expected, sizeof(expected), "%s %" PRIu32 " ", drawn->key,
			      drawn->pieces++);

	if (piece->size < (size_t)length || memcmp(piece->data, expected, (size_t)length) != 0)
		drawn->wrong = true;
	if (drawn->pieces != drawn->cancel_piece)
		return true;
	drawn->cancelled = true;
	return false;
}

void
drawn_write_begin(const struct caller *caller, struct drawn *drawn)
{
	drawn->began_ns = record_now_ns();
	record_line(caller->record_fd,
		    "{\"e\": \"call\", \"t\": %" PRIu64 ", \"key\": \"%s\", \"plugin\": \"%s\", "
		    "\"method\": \"%s\", \"timeout_ms\": %" PRIu32 ", \"bytes\": %zu}",
		    drawn->began_ns, drawn->key, drawn->plugin, drawn->method, drawn->timeout_ms,
		    drawn->size);
}

/* Is the answer byte for byte what was asked for, with all its pieces before it? */
static bool
is_intact(const struct drawn *drawn, const struct plug_reply *reply)
{
	bool stream = strcmp(drawn->method, "pieces") == 0;

	return !drawn->wrong && reply->payload.size == drawn->size &&
	       memcmp(reply->payload.data, drawn->request, drawn->size) == 0 &&
	       (!stream || drawn->cancelled || drawn->pieces == drawn->count);
}

void
drawn_write_end(const struct caller *caller, const struct drawn *drawn, plug_err outcome,
		const struct plug_reply *reply)
{
	char key[RECORD_KEY] = "", text[256] = "";
	bool ok = outcome == PLUG_OK && reply;

	if (reply)
		record_clean(reply->message, text, sizeof(text));
	record_line(caller->record_fd,
		    "{\"e\": \"end\", \"t\": %" PRIu64
		    ", \"key\": \"%s\", \"outcome\": \"%s\", \"reply\": \"%s\", \"intact\": %s, "
		    "\"cancelled\": %s, \"sent\": %s, \"text\": \"%s\"}",
		    record_now_ns(), drawn->key, plug_err_name(outcome),
		    ok ? key_of(&reply->payload, key) : "",
		    ok             ? is_intact(drawn, reply) ? "true" : "false"
		    : drawn->wrong ? "false"
				   : "true",
		    drawn->cancelled ? "true" : "false", reply ? "true" : "false", text);
}
