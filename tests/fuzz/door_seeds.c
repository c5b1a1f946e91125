/* Seeds of fuzz_doorman.c: every request that a client has, and what calls and channels go through.
 */
#include <string.h>

#include "codec.h"
#include "fuzz.h"

enum {
	COME,
	CALL,
	PACKET,
	READ,
	ANSWER,
	CHUNK,
	CANCEL,
	CHANNEL,
	OFFER,
	PACKET_WITH_FDS,
	LEAVE,
	PLUGIN_SAYS,
	BROKER_SAYS,
};

struct out {
	uint8_t *data;
	size_t size, capacity;
};

static void
put(struct out *out, const char *bytes, size_t size)
{
	CHECK(size <= out->capacity - out->size);
	memcpy(out->data + out->size, bytes, size);
	out->size += size;
}

#define PUT(out, text) put(out, text, sizeof(text) - 1)

static void
put_packet(struct out *out, uint8_t step, const Plug__Envelope *env)
{
	uint8_t bytes[256];
	size_t size = 0;
	char head[2];

	CHECK(plug_envelope_pack(env, bytes, 255, &size) == PLUG_OK);
	head[0] = (char)step;
	head[1] = (char)size;
	put(out, head, 2);
	put(out, (const char *)bytes, size);
}

static void
put_request(struct out *out, uint64_t id, Plug__Request *request)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_REQUEST;
	env.request = request;
	put_packet(out, PACKET, &env);
}

/* ---- requests ---- */

static char live[] = "live";

static void
questions(struct out *out)
{
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;
	Plug__InfoRequest info = PLUG__INFO_REQUEST__INIT;
	Plug__StatsRequest stats = PLUG__STATS_REQUEST__INIT;
	Plug__CrashesRequest crashes = PLUG__CRASHES_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	put_request(out, 1, &request);
	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &status;
	put_request(out, 2, &request);
	status.name = live;
	put_request(out, 3, &request);
	request.body_case = PLUG__REQUEST__BODY_INFO;
	request.info = &info;
	info.name = live;
	put_request(out, 4, &request);
	request.body_case = PLUG__REQUEST__BODY_STATS;
	request.stats = &stats;
	put_request(out, 5, &request);
	request.body_case = PLUG__REQUEST__BODY_CRASHES;
	request.crashes = &crashes;
	put_request(out, 6, &request);
}

static void
searches(struct out *out)
{
	static char word[] = "t", text[] = "LIVE", root[] = "/";
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;
	Plug__DirsRequest dirs = PLUG__DIRS_REQUEST__INIT;
	Plug__LoadRequest load = PLUG__LOAD_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	list.text = text;
	list.only_new = 1;
	put_request(out, 1, &request);
	list = (Plug__ListRequest)PLUG__LIST_REQUEST__INIT;
	list.tag = list.capability = list.provider = list.model = word;
	list.category = list.store = word;
	put_request(out, 2, &request);
	request.body_case = PLUG__REQUEST__BODY_DIRS;
	request.dirs = &dirs;
	put_request(out, 3, &request);
	dirs.action = PLUG__DIRS_ACTION__DIRS_ADD;
	dirs.path = root;
	put_request(out, 4, &request);
	request.body_case = PLUG__REQUEST__BODY_LOAD;
	request.load = &load;
	load.path = root;
	put_request(out, 5, &request);
}

static void
followers(struct out *out)
{
	Plug__LogsRequest logs = PLUG__LOGS_REQUEST__INIT;
	Plug__EventsRequest events = PLUG__EVENTS_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;

	logs.name = live;
	logs.follow = 1;
	request.body_case = PLUG__REQUEST__BODY_LOGS;
	request.logs = &logs;
	put_request(out, 7, &request);
	events.follow = 1;
	request.body_case = PLUG__REQUEST__BODY_EVENTS;
	request.events = &events;
	put_request(out, 8, &request);
}

static void
act(struct out *out, Plug__Action action, int no_wait)
{
	Plug__ActRequest body = PLUG__ACT_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;

	body.action = action;
	body.name = live;
	body.no_wait = no_wait;
	body.instances = action == PLUG__ACTION__ACTION_SCALE ? 2 : 0;
	request.body_case = PLUG__REQUEST__BODY_ACT;
	request.act = &body;
	put_request(out, 9, &request);
}

static void
plugin_log(struct out *out)
{
	Plug__Log log = PLUG__LOG__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	log.message = live;
	env.body_case = PLUG__ENVELOPE__BODY_LOG;
	env.log = &log;
	put_packet(out, PLUGIN_SAYS, &env);
}

/* ---- seeds ---- */

#define COME_ "\0\0"

static void
calls(struct out *out)
{
	PUT(out, "\1\0\1\5"
		 "\1\4\2\0"
		 "\1\2\3\1"
		 "\1\3\4\1"
		 "\4\0"
		 "\4\2"
		 "\4\1"
		 "\3");
}

static void
pieces(struct out *out)
{
	PUT(out, "\1\x14\1\5"
		 "\5\1\x10"
		 "\5\1\x11"
		 "\4\2"
		 "\4\3"
		 "\4\0"
		 "\4\4"
		 "\4\0"
		 "\3");
}

static void
cancelled(struct out *out)
{
	PUT(out, "\1\0\1\5"
		 "\6\1"
		 "\1\x40\2\5"
		 "\1\x10\3\5"
		 "\6\3"
		 "\1\0\4\1"
		 "\x0a\3");
}

static void
channels(struct out *out)
{
	PUT(out, "\7\0\1"
		 "\x08\0"
		 "\3"
		 "\7\0\2"
		 "\x08\1"
		 "\7\1\3"
		 "\7\2\4"
		 "\7\4\5"
		 "\7\0\6"
		 "\6\6"
		 "\x08\0"
		 "\x08\2"
		 "\x08\3"
		 "\3");
}

static void
with_fds(struct out *out)
{
	PUT(out, "\x09\0\2\x08\1"
		 "\x10\0"
		 "\x19\x21\2\x08\1"
		 "\x20\1"
		 "\x2e\2\x08\1");
}

static void
greetings(struct out *out)
{
	PUT(out, "\x10\2"
		 "\x11\0\1\1"
		 "\x20\4"
		 "\x30\x22"
		 "\x20\x08"
		 "\x20\x10"
		 "\x2e\2\xff\xff");
}

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	static void (*const parts[])(struct out * out) = {
		questions, followers, calls,     pieces,     cancelled,
		channels,  with_fds,  greetings, plugin_log, searches,
	};
	const unsigned count = sizeof(parts) / sizeof(parts[0]);
	unsigned action = number < count ? 0 : number - count;
	struct out out = {buf, 0, capacity};

	if (action > PLUG__ACTION__ACTION_SCALE) /* the next ones have numbers further on */
		action += PLUG__ACTION__ACTION_ENABLE - PLUG__ACTION__ACTION_SCALE - 1;
	if (action > PLUG__ACTION__ACTION_UNLOAD)
		return 0;
	PUT(&out, COME_);
	if (number < count)
		parts[number](&out);
	else
		act(&out, (Plug__Action)action, number % 2);
	if (number % 3 == 1)
		calls(&out);
	PUT(&out, "\3");
	return out.size;
}
