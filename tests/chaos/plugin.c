/*
 * chaos-plugin: every method writes a line to $CHAOS_RECORD before it does anything else, so that
 * who looks later knows what was executed, how often and by whom, also when the process died on it.
 *
 * A request begins with "KEY MS COUNT ": the call's own name, how long it takes, and how many
 * pieces it sends.  A reply is the request, so that its sender knows whose it is.
 *
 * $CHAOS_START names a file that says how it starts: "MS STATUS", sleep first, then exit with the
 * status unless that is 0.
 */
#include "plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "record.h"

#define WORKERS 8

struct asked {
	char key[RECORD_KEY];
	unsigned ms, count;
};

void
chaos_tell(const struct chaos *chaos, const char *what, int64_t pid)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	char text[256];
	int length = snprintf(text, sizeof(text), "%s %s %" PRId64, what, chaos->name, pid);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	strncpy(to.sun_path, chaos->observer, sizeof(to.sun_path) - 1);
	sendto(fd, text, (size_t)length, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to));
	close(fd);
}

/* ---- what callers call ---- */

static struct asked
begin(struct plug_call *call, const struct chaos *chaos)
{
	struct asked asked = {"?", 0, 0};
	struct plug_plugin *plugin = plug_call_plugin(call);

	sscanf(plug_call_payload(call, NULL), "%63s %u %u", asked.key, &asked.ms, &asked.count);
	record_line(chaos->record_fd,
		    "{\"e\": \"run\", \"t\": %" PRIu64 ", \"key\": \"%s\", \"plugin\": \"%s\", "
		    "\"method\": \"%s\", \"pid\": %d, \"generation\": %" PRIu32
		    ", \"plane\": \"%s\"}",
		    record_now_ns(), asked.key, chaos->name, plug_call_method(call), getpid(),
		    plug_generation(plugin), plug_call_id(call) >> 32 ? "data" : "control");
	return asked;
}

static plug_err
finish(const struct chaos *chaos, const struct asked *asked, plug_err err)
{
	record_line(chaos->record_fd,
		    "{\"e\": \"ran\", \"t\": %" PRIu64 ", \"key\": \"%s\", \"pid\": %d, "
		    "\"outcome\": \"%s\"}",
		    record_now_ns(), asked->key, getpid(), plug_err_name(err));
	return err;
}

static plug_err
echo(struct plug_call *call, void *user)
{
	struct asked asked = begin(call, user);
	size_t size;
	const void *data = plug_call_payload(call, &size);
	plug_err err = asked.ms ? plug_call_sleep(call, asked.ms) : PLUG_OK;

	if (err == PLUG_OK)
		err = plug_reply(call, NULL, data, size);
	return finish(user, &asked, err);
}

/* Each piece is "KEY NUMBER" and a filling. */
static plug_err
pieces(struct plug_call *call, void *user)
{
	struct asked asked = begin(call, user);
	char piece[3000];
	size_t size;
	const void *data = plug_call_payload(call, &size);
	plug_err err = PLUG_OK;

	memset(piece, 'p', sizeof(piece));
	for (unsigned i = 0; i < asked.count && err == PLUG_OK; i++) {
		int length = snprintf(piece, sizeof(piece), "%s %u ", asked.key, i);

		piece[length] = 'p';
		err = plug_reply_piece(call, "text/plain", piece, sizeof(piece));
		if (err == PLUG_OK && asked.ms)
			err = plug_call_sleep(call, asked.ms);
	}
	if (err == PLUG_OK)
		err = plug_reply(call, NULL, data, size);
	return finish(user, &asked, err);
}

static plug_err
fail(struct plug_call *call, void *user)
{
	struct asked asked = begin(call, user);

	return finish(user, &asked, plug_fail(call, PLUG_EPLUGIN, "%s as asked", asked.key));
}

/* Nothing is cancelled here. */
static plug_err
deaf(struct plug_call *call, void *user)
{
	struct asked asked = begin(call, user);
	size_t size;
	const void *data = plug_call_payload(call, &size);

	usleep(asked.ms * 1000);
	return finish(user, &asked, plug_reply(call, NULL, data, size));
}

/* For those who only want to make trouble: it leaves no record. */
static plug_err
plain_echo(struct plug_call *call, void *user)
{
	size_t size;
	const void *data = plug_call_payload(call, &size);

	(void)user;
	return plug_reply(call, NULL, data, size);
}

static plug_err
probe(struct plug_call *call, void *user)
{
	(void)call;
	(void)user;
	return PLUG_OK;
}

/* ---- life ---- */

static plug_err
on_start(struct plug_plugin *plugin, void *user)
{
	const struct chaos *chaos = user;
	FILE *file = chaos->start_file ? fopen(chaos->start_file, "re") : NULL;
	unsigned ms = 0;
	int status = 0;

	if (file && fscanf(file, "%u %d", &ms, &status) < 1)
		ms = 0;
	if (file)
		fclose(file);
	usleep(ms * 1000);
	if (status == 99)
		return plug_start_failed(plugin, PLUG_EPLUGIN, "as asked");
	if (status)
		_exit(status);
	return PLUG_OK;
}

static const char *
setting(const char *name)
{
	const char *value = getenv(name);

	if (value && *value)
		return value;
	fprintf(stderr, "chaos-plugin: %s is not set; tests/chaos/run.sh sets it\n", name);
	exit(2);
}

int
main(void)
{
	static const struct plug_method methods[] = {
		{"once", echo, 0, 0, "the request, after its time"},
		{"twice", echo, PLUG_METHOD_IDEMPOTENT, 0, "the same, idempotent"},
		{"pieces", pieces, PLUG_METHOD_STREAM, 0, "as many pieces as asked"},
		{"fail", fail, 0, 0, "fails, as asked"},
		{"deaf", deaf, 0, 0, "as once, and cannot be cancelled"},
		{"fault", chaos_fault, 0, 0, "misbehaves"},
		{"echo", plain_echo, PLUG_METHOD_IDEMPOTENT, 0, "the request"},
		{"probe", probe, PLUG_METHOD_IDEMPOTENT, 0, "is well"},
		{0},
	};
	struct chaos chaos = {
		.name = setting("PLUG_NAME"),
		.observer = setting("CHAOS_OBSERVER"),
		.start_file = getenv("CHAOS_START"),
		.record_fd = record_open(setting("CHAOS_RECORD")),
	};
	const char *version = getenv("CHAOS_VERSION");
	struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = chaos.name,
		.version = version ? version : "1.0.0",
		.contract = "interface",
		.methods = methods,
		.user = &chaos,
		.workers = WORKERS,
		.on_start = on_start,
	};

	chaos_begin();
	chaos_tell(&chaos, "up", getpid());
	return plug_main(&config);
}
