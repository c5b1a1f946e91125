/* The state of a plugd (door_world.h) that has clients, calls, a channel, followers, a crash. */
#include "upgrade_state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "channel.h"
#include "door_world.h"
#include "fuzz.h"
#include "ipc/packet.h"
#include "serve/channels_private.h"
#include "state/state.h"

static uint8_t state_bytes[FUZZ_INPUT_MAX];
static size_t state_size;

/* ---- a client ---- */

static int client_fd;

static void
say(const Plug__Envelope *env, int fd)
{
	uint8_t bytes[1024];
	size_t size;

	CHECK(plug_envelope_pack(env, bytes, sizeof(bytes), &size) == PLUG_OK);
	CHECK(packet_send(client_fd, bytes, size, &fd, fd >= 0) == (ssize_t)size);
	for (int i = 0; i < 3; i++) {
		world_turn();
		plugin_listen();
	}
}

static void
come(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	Plug__ClientHello hello = PLUG__CLIENT_HELLO__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	strcpy(address.sun_path, world.daemon.host.socket_path);
	client_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(connect(client_fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	hello.protocol_min = PLUG_PROTOCOL_MIN;
	hello.protocol_max = PLUG_PROTOCOL_MAX;
	hello.name = (char *)"visitor";
	env.body_case = PLUG__ENVELOPE__BODY_CLIENT_HELLO;
	env.client_hello = &hello;
	say(&env, -1);
}

static uint64_t died_channel; /* of the next call; 0: none */

static void
call(uint64_t id, const char *plugin, const char *method, bool more)
{
	Plug__Call call = PLUG__CALL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = id;
	call.plugin = (char *)(uintptr_t)plugin;
	call.method = (char *)(uintptr_t)method;
	call.content_type = (char *)"text/plain";
	call.more = more;
	call.again = died_channel != 0;
	call.died_channel = died_channel;
	call.died_number = 1;
	call.payload.data = (uint8_t *)(uintptr_t) "payload";
	call.payload.len = 7;
	env.body_case = PLUG__ENVELOPE__BODY_CALL;
	env.call = &call;
	say(&env, -1);
}

static void
ask(uint64_t id, Plug__Request *request)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_REQUEST;
	env.request = request;
	say(&env, -1);
}

static void
follow(void)
{
	Plug__LogsRequest logs = PLUG__LOGS_REQUEST__INIT;
	Plug__EventsRequest events = PLUG__EVENTS_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;

	logs.name = (char *)"live";
	logs.follow = 1;
	request.body_case = PLUG__REQUEST__BODY_LOGS;
	request.logs = &logs;
	ask(10, &request);
	events.follow = 1;
	request.body_case = PLUG__REQUEST__BODY_EVENTS;
	request.events = &events;
	ask(11, &request);
}

static void
act(uint64_t id, const char *name, Plug__Action action)
{
	Plug__ActRequest body = PLUG__ACT_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;

	body.action = action;
	body.name = (char *)(uintptr_t)name;
	request.body_case = PLUG__REQUEST__BODY_ACT;
	request.act = &body;
	ask(id, &request);
}

static void
open_channels(void)
{
	Plug__ChannelRequest request = PLUG__CHANNEL_REQUEST__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	request.plugin = (char *)"live";
	request.region_bytes = PLUG_REGION_BYTES_MIN;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_REQUEST;
	env.channel_request = &request;
	for (env.id = 20; env.id < 22; env.id++) {
		say(&env, world.region_fd);
		if (env.id == 20 && world.offer_count) /* the second stays an offer */
			plugin_answer_offer(0);
	}
}

/* ---- a life ---- */

static void
crash(void)
{
	struct plugin *still = registry_find(&world.daemon.registry, "still");
	uint64_t since_ms = clock_mono_ms();

	act(12, "still", PLUG__ACTION__ACTION_START);
	while (list_empty(&still->crashes.list) || !list_empty(&still->instances)) {
		world_turn();
		world_wait(since_ms, "a crash");
	}
}

static void
suspect(void)
{
	struct poison_key key = {.plugin = "live", .method = "echo", .uid = 1, .bytes = 7};
	bool confirmed;

	CHECK(poison_accuse(&world.daemon.router.poison, &key, 1, 1, &confirmed));
	CHECK(poison_accuse(&world.daemon.router.poison, &key, 2, 1, &confirmed));
}

/* A call whose process is dead, says its client; plugd does not know yet. */
static void
hold(void)
{
	struct plugin *plugin = registry_find(&world.daemon.registry, "live");
	struct instance *in = plugin_main_instance(plugin);

	if (list_empty(&in->channels))
		return; /* the world has none: memory was short */
	died_channel = LIST_FIRST(&in->channels, struct channel, of_instance)->number;
	call(4, "live", "echo", false);
	died_channel = 0;
	CHECK(!list_empty(&plugin->held));
}

static void
live(void)
{
	struct plugin *plugin = registry_find(&world.daemon.registry, "live");

	come();
	follow();
	crash();
	suspect();
	output_line(&plugin->output, OUTPUT_OUT, 1, 1, 1, "what it said", 12, false);
	call(1, "live", "echo", false);
	call(2, "live", "stream", false);
	call(3, "live", "stream", true);
	open_channels();
	hold();
	act(13, "live", PLUG__ACTION__ACTION_RELOAD);
}

/* ---- the same every time ---- */

static bool
ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), tail = strlen(end);

	return length >= tail && !strcmp(name + length - tail, end);
}

static bool
is_of_this_run(const char *name)
{
	static const char *const ends[] = {"_ms",         "_ns",  "pid",    "device",
					   "inode",       "_s",   "uid",    "_bytes",
					   "fingerprint", "size", "digest", "ticks"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (ends_with(name, ends[i]))
			return true;
	return false;
}

static bool
is_random(const char *name)
{
	return ends_with(name, "token") || !strcmp(name, "nonce") || !strcmp(name, "bytes");
}

static void
settle_field(void *user, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	void *value = (char *)message + field->offset;
	ProtobufCBinaryData *bytes = value;

	(void)user;
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return;
	if (field->type == PROTOBUF_C_TYPE_BYTES && is_random(field->name))
		memset(bytes->data, 7, bytes->len);
	if (field->type == PROTOBUF_C_TYPE_BYTES && !strcmp(field->name, "lines") && bytes->len)
		memset(bytes->data, 1, sizeof(uint64_t)); /* the time of the first */
	if (field->type == PROTOBUF_C_TYPE_STRING &&
	    (!strcmp(field->name, "detail") || !strcmp(field->name, "how")))
		*(char **)value = (char *)"what happened";
	if (!strncmp(field->name, "rss_", 4) || !strcmp(field->name, "peak_bytes"))
		*(uint64_t *)value = 0;
	if (!is_of_this_run(field->name))
		return;
	if (field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_INT64)
		*(uint64_t *)value = *(uint64_t *)value ? 1000 : 0;
	if (field->type == PROTOBUF_C_TYPE_UINT32 || field->type == PROTOBUF_C_TYPE_INT32)
		*(uint32_t *)value = *(uint32_t *)value ? 1000 : 0;
}

static void
overwrite(const char *what, size_t length, size_t kept)
{
	uint8_t *found;

	while (length && (found = memmem(state_bytes, state_size, what, length)))
		memset(found + kept, 'X', length - kept);
}

/* A name that was chosen at random, wherever it is. */
static void
settle_paths(void)
{
	char root[RUNDIR_PATH_BYTES];
	size_t length;

	snprintf(root, sizeof(root), "%s", world.daemon.rundir.path);
	length = (size_t)(strrchr(root, '/') - root);
	overwrite(root, length, length - 6);
	LIST_FOREACH (plugin, &world.daemon.registry.plugins, struct plugin, node)
		LIST_FOREACH (in, &plugin->instances, struct instance, node)
			overwrite(in->dir.name, strlen(in->dir.name), 0);
}

static void
settle(void)
{
	struct arena arena;
	Plugd__Saved *saved;

	arena_init(&arena, (size_t)16 * 1024 * 1024);
	settle_paths();
	saved = upgrade_unpack(state_bytes, state_size, &arena);
	CHECK(saved);
	upgrade_each_field(&saved->base, settle_field, NULL);
	CHECK(plugd__saved__get_packed_size(saved) <= sizeof(state_bytes));
	state_size = plugd__saved__pack(saved, state_bytes);
	arena_fini(&arena);
}

/* ---- saving ---- */

/* What this plugd has not: settings of a file, and an upgrade. */
static void
complete(Plugd__Saved *saved, struct state_out *out)
{
	static const char settings[] = "plugins: { live: { run: { stop_timeout: 7s } } }\n";
	Plugd__SavedText *text = state_out_message(out, &plugd__saved_text__descriptor);
	Plugd__SavedUpgrade *upgrade = state_out_message(out, &plugd__saved_upgrade__descriptor);

	text->file = (char *)"/etc/plugd.yaml";
	text->text = state_out_bytes(settings, sizeof(settings) - 1);
	state_out_append(out, &saved->n_settings, &saved->settings, text);
	saved->daemon->settings = saved->specs[0]->settings = (uint32_t)saved->n_settings;
	upgrade->from = (char *)"0.1.0";
	upgrade->binary = (char *)"/usr/bin/plugd";
	saved->daemon->upgrade = upgrade;
}

static void
save(void)
{
	static char *argv[] = {(char *)"plugd", NULL};
	struct options options = *world.daemon.options;
	struct state_out out;
	Plugd__Saved *saved;

	options.argv = argv;
	world.daemon.options = &options;
	state_out_init(&out);
	saved = state_out_message(&out, &plugd__saved__descriptor);
	daemon_save(&world.daemon, &out, saved);
	complete(saved, &out);
	CHECK(!out.failed && plugd__saved__get_packed_size(saved) <= sizeof(state_bytes));
	state_size = plugd__saved__pack(saved, state_bytes);
	state_out_fini(&out);
}

const uint8_t *
upgrade_state(size_t *ret_size)
{
	if (!state_size) {
		const struct options *options;

		world_begin();
		live();
		options = world.daemon.options;
		save();
		world.daemon.options = options;
		settle();
		close(client_fd);
		world_end();
	}
	*ret_size = state_size;
	return state_bytes;
}
