/*
 * A plugin for these tests: its methods do what the shipped ones have no reason to.  argv[1]
 * chooses how it starts: nothing, "start-fails", "slow-start", "no-version", "bad-method",
 * "long-hello", "workers=N".
 */
#include <plug/plugin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned counts[1024]; /* executions by key */

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static long
argument(struct plug_call *call)
{
	return strtol(plug_call_payload(call, NULL), NULL, 10);
}

static plug_err
answer(struct plug_call *call, const char *text)
{
	return plug_reply(call, "text/plain", text, strlen(text));
}

/* Busy, not asleep, for so many microseconds; deaf to cancellation. */
static plug_err
spin(struct plug_call *call, void *user)
{
	uint64_t until = now_us() + (uint64_t)argument(call);

	(void)user;
	while (now_us() < until)
		;
	return PLUG_OK;
}

/* The same, and says by which thread. */
static plug_err
whose(struct plug_call *call, void *user)
{
	char text[32];

	spin(call, user);
	snprintf(text, sizeof(text), "%d", (int)gettid());
	return answer(call, text);
}

/* usleep(), which libplug does not know of. */
static plug_err
block(struct plug_call *call, void *user)
{
	(void)user;
	usleep((useconds_t)argument(call));
	return PLUG_OK;
}

/* Counts executions of its key; answers with the count after a millisecond. */
static plug_err
count(struct plug_call *call, void *user)
{
	char text[32];
	unsigned n;

	(void)user;
	n = __atomic_add_fetch(&counts[argument(call) & 1023], 1, __ATOMIC_SEQ_CST);
	usleep(1000);
	snprintf(text, sizeof(text), "%u", n);
	return answer(call, text);
}

static plug_err
wait_until_cancelled(struct plug_call *call, void *user)
{
	(void)user;
	while (!plug_call_cancelled(call))
		usleep(1000);
	return PLUG_OK;
}

/* A reply of so many bytes. */
static plug_err
big(struct plug_call *call, void *user)
{
	size_t size = (size_t)argument(call);
	char *data = malloc(size + 1);
	plug_err err;

	(void)user;
	for (size_t i = 0; i < size; i++)
		data[i] = (char)('a' + i % 23);
	err = plug_reply(call, "application/octet-stream", data, size);
	free(data);
	return err;
}

/* The same after some time, so that many can begin together. */
static plug_err
late_big(struct plug_call *call, void *user)
{
	plug_call_sleep(call, 300);
	return big(call, user);
}

/* Pieces of 10,000 bytes, so many; answers with how many went. */
static plug_err
pieces(struct plug_call *call, void *user)
{
	static const char data[10000] = "";
	char text[32];
	long n;

	(void)user;
	for (n = 0; n < argument(call); n++) {
		plug_err err = plug_reply_piece(call, NULL, data, sizeof(data));

		if (err != PLUG_OK)
			return plug_fail(call, err, "stopped after %ld", n);
	}
	snprintf(text, sizeof(text), "%ld", n);
	return answer(call, text);
}

static plug_err
twice(struct plug_call *call, void *user)
{
	(void)user;
	answer(call, "first");
	return answer(call, "second") == PLUG_ESTATE ? PLUG_EPLUGIN : PLUG_OK;
}

static plug_err
odd_piece(struct plug_call *call, void *user)
{
	(void)user;
	return answer(call, plug_err_name(plug_reply_piece(call, NULL, "x", 1)));
}

static plug_err
odd_code(struct plug_call *call, void *user)
{
	(void)call;
	(void)user;
	return (plug_err)4711;
}

/* Answers with how many of these calls there have been. */
static plug_err
ticket(struct plug_call *call, void *user)
{
	static unsigned tickets;
	char text[32];

	(void)user;
	snprintf(text, sizeof(text), "%u", __atomic_add_fetch(&tickets, 1, __ATOMIC_SEQ_CST));
	return answer(call, text);
}

static plug_err
mirror(struct plug_call *call, void *user)
{
	size_t size;
	const void *data = plug_call_payload(call, &size);

	(void)user;
	return plug_reply(call, NULL, data, size);
}

/* Sleeps in libplug for so many milliseconds. */
static plug_err
nap(struct plug_call *call, void *user)
{
	(void)user;
	return plug_call_sleep(call, (uint64_t)argument(call));
}

static plug_err
about(struct plug_call *call, void *user)
{
	char text[256];
	size_t size;

	(void)user;
	plug_call_payload(call, &size);
	snprintf(text, sizeof(text), "%s %s %llu %zu %s %u %d", plug_call_method(call),
		 plug_call_content_type(call), (unsigned long long)plug_call_id(call), size,
		 plug_instance_name(plug_call_plugin(call)),
		 plug_generation(plug_call_plugin(call)),
		 plug_call_remaining_ms(call) == UINT64_MAX);
	return answer(call, text);
}

static plug_err
config(struct plug_call *call, void *user)
{
	struct plug_plugin *p = plug_call_plugin(call);
	char text[512];

	(void)user;
	snprintf(text, sizeof(text), "%s|%s|%lld|%lld|%.2f|%d|%llu|%llu|%zu|%s|%s|%d|%d",
		 plug_config_string(p, "model", "none"), plug_config_string(p, "batch", "typed"),
		 (long long)plug_config_int(p, "batch", -1),
		 (long long)plug_config_int(p, "absent", -1), plug_config_float(p, "rate", 0),
		 plug_config_bool(p, "fast", false),
		 (unsigned long long)plug_config_duration_ns(p, "pause", 0),
		 (unsigned long long)plug_config_bytes(p, "cache", 0),
		 plug_config_list_size(p, "names"), plug_config_list_item(p, "names", 1),
		 plug_config_list_item(p, "names", 2) ? "?" : "end", plug_config_has(p, "model"),
		 plug_config_has(p, "absent"));
	return answer(call, text);
}

static plug_err
logs(struct plug_call *call, void *user)
{
	static const struct plug_field fields[] = {{"device", "cpu"}, {"empty", NULL}, {0}};

	(void)user;
	plug_call_log(call, PLUG_LOG_WARNING, "about call %d", 1);
	plug_log_fields(plug_call_plugin(call), PLUG_LOG_INFO, "loaded", fields);
	return PLUG_OK;
}

/* So many log lines of 1,000 bytes. */
static plug_err
flood(struct plug_call *call, void *user)
{
	(void)user;
	for (long i = 0; i < argument(call); i++)
		plug_log(plug_call_plugin(call), PLUG_LOG_DEBUG, "%0*ld", 1000, i);
	return PLUG_OK;
}

static plug_err
ill(struct plug_call *call, void *user)
{
	(void)user;
	plug_unhealthy(plug_call_plugin(call), "device %d is lost", 3);
	return PLUG_OK;
}

/* Forks a child that logs and waits, ends it by SIGTERM and answers with how it ended. */
static plug_err
fork_child(struct plug_call *call, void *user)
{
	char text[32], byte = 0;
	int status = 0, fds[2];
	pid_t pid;

	(void)user;
	if (pipe(fds) < 0 || (pid = fork()) < 0)
		return PLUG_ESYS;
	if (pid == 0) {
		plug_call_log(call, PLUG_LOG_ERROR, "I am a child");
		status = write(fds[1], &byte, 1) == 1 ? (int)sleep(30) : 0;
		_exit(status);
	}
	if (read(fds[0], &byte, 1) == 1)
		kill(pid, SIGTERM);
	close(fds[0]);
	close(fds[1]);
	waitpid(pid, &status, 0);
	snprintf(text, sizeof(text), WIFSIGNALED(status) ? "killed by %d" : "status %#x",
		 WIFSIGNALED(status) ? WTERMSIG(status) : status);
	return answer(call, text);
}

static plug_err
on_start(struct plug_plugin *plugin, void *user)
{
	const char *mode = user;

	if (strcmp(mode, "start-fails") == 0)
		return plug_start_failed(plugin, PLUG_EINVAL, "no file %s", "model.bin");
	if (strcmp(mode, "slow-start") == 0)
		usleep(300000);
	plug_log(plugin, PLUG_LOG_INFO, "starting");
	return PLUG_OK;
}

static void
on_drain(struct plug_plugin *plugin, void *user)
{
	(void)user;
	plug_log(plugin, PLUG_LOG_INFO, "draining");
}

static void
on_stop(struct plug_plugin *plugin, void *user)
{
	(void)user;
	plug_log(plugin, PLUG_LOG_INFO, "stopping");
}

int
main(int argc, char **argv)
{
	static struct plug_method methods[] = {
		{"spin", spin, 0, 0, NULL},
		{"block", block, 0, 0, NULL},
		{"count", count, PLUG_METHOD_IDEMPOTENT, 1500, "counts"},
		{"wait", wait_until_cancelled, 0, 0, NULL},
		{"big", big, 0, 0, NULL},
		{"late_big", late_big, 0, 0, NULL},
		{"pieces", pieces, PLUG_METHOD_STREAM, 0, NULL},
		{"twice", twice, 0, 0, NULL},
		{"odd_piece", odd_piece, 0, 0, NULL},
		{"odd_code", odd_code, 0, 0, NULL},
		{"ticket", ticket, 0, 0, NULL},
		{"mirror", mirror, 0, 0, NULL},
		{"nap", nap, 0, 0, NULL},
		{"about", about, 0, 0, NULL},
		{"config", config, 0, 0, NULL},
		{"logs", logs, 0, 0, NULL},
		{"flood", flood, 0, 0, NULL},
		{"ill", ill, 0, 0, NULL},
		{"fork", fork_child, 0, 0, NULL},
		{"whose", whose, 0, 0, NULL},
		{0},
	};
	const char *mode = argc > 1 ? argv[1] : "";
	struct plug_plugin_config cfg = {
		.size = sizeof(cfg),
		.name = "probe",
		.version = strcmp(mode, "no-version") == 0 ? NULL : "1.2.3",
		.contract = "feature",
		.methods = methods,
		.user = (void *)mode,
		.on_start = on_start,
		.on_drain = on_drain,
		.on_stop = on_stop,
	};

	if (strncmp(mode, "workers=", 8) == 0)
		cfg.workers = (unsigned)atoi(mode + 8);
	if (strcmp(mode, "long-hello") == 0)
		methods[0].description = memset(calloc(1, 70001), 'x', 70000);
	if (strcmp(mode, "bad-method") == 0)
		methods[1].name = "No Good";
	return plug_main(&cfg);
}
