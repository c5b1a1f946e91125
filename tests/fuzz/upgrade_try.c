/* What `plugd --check-state` does, in a process that goes on. */
#include "upgrade_try.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "door_world.h"
#include "fuzz.h"
#include "ipc/doorman_private.h"
#include "state/state.h"
#include "state/state_private.h"

/* ---- effects: none while a state is tried; none happens while it is taken apart ---- */

static bool dry;
static unsigned effects;

#define INSTEAD(name, types, values)                 \
	int __real_##name types;                     \
	int __wrap_##name types;                     \
	int __wrap_##name types                      \
	{                                            \
		if (!dry)                            \
			return __real_##name values; \
		effects++;                           \
		errno = EPERM;                       \
		return -1;                           \
	}

INSTEAD(unlink, (const char *path), (path))
INSTEAD(unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
INSTEAD(rmdir, (const char *path), (path))
INSTEAD(mkdir, (const char *path, mode_t mode), (path, mode))
INSTEAD(mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
INSTEAD(rename, (const char *from, const char *to), (from, to))
INSTEAD(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
INSTEAD(kill, (int pid, int number), (pid, number))

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

/* As if it had been sent: else the first answer would be a client's last. */
ssize_t
__wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	size_t size = 0;

	if (!dry)
		return __real_sendmsg(fd, message, flags);
	effects++;
	for (size_t i = 0; i < message->msg_iovlen; i++)
		size += message->msg_iov[i].iov_len;
	return (ssize_t)size;
}

/* ---- what is open ---- */

static int
count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	CHECK(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* A sanitizer that looks for leaks has some of its own for a moment. */
static void
check_open(int before)
{
	for (uint64_t since_ms = clock_mono_ms(); count_open() > before;)
		world_wait(since_ms, "descriptors to be closed"); /* for ever: one is left */
}

/* ---- one plugd ---- */

static struct daemon one, two;
static struct options options;
static const struct guardian guardian = {.pid = 1, .fd = -1};

static void
check_reason(const char *why)
{
	size_t left = strlen(why);

	CHECK(left);
	for (size_t size; left; why += size, left -= size) {
		size = utf8_sequence(why, left);
		CHECK(size && (uint8_t)*why >= ' ');
	}
}

/* As daemon_try(), of a daemon that can be made again.  Its command line is not fuzzed: main.c
 * reads it, and keeps it. */
static void
try(struct daemon *d, struct state_in *in)
{
	struct settings *settings;

	*d = (struct daemon){.loop = NULL};
	if (!in->saved->daemon) {
		state_in_fail(in, "a state without a daemon");
		return;
	}
	settings = daemon_saved_settings(in);
	CHECK(!settings == in->failed);
	if (!settings)
		return;
	daemon_init(d, &options, settings, &guardian);
	CHECK(daemon_prepare(d));
	CHECK(daemon_restore(d, in) == !in->failed);
}

static void
take_apart(struct daemon *d)
{
	if (!d->loop)
		return;
	daemon_take_apart(d);
	CHECK(ev_run(d->loop, EVRUN_NOWAIT) == 0); /* no watcher is left */
	ev_loop_destroy(d->loop);
	settings_free(d->settings);
}

/* ---- looked at ---- */

static void
ask(struct daemon *d, Plug__Request *request)
{
	struct client *client = LIST_FIRST(&d->doorman->clients, struct client, node);

	if (list_empty(&d->doorman->clients))
		return;
	control_request(&d->control, client, UINT64_C(1) << 60, request);
}

/* What only looks at a plugd; the answers go nowhere. */
static void
look(struct daemon *d)
{
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;
	Plug__StatsRequest stats = PLUG__STATS_REQUEST__INIT;
	Plug__CrashesRequest crashes = PLUG__CRASHES_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;

	LIST_FOREACH (plugin, &d->registry.plugins, struct plugin, node) {
		request.body_case = PLUG__REQUEST__BODY_STATUS;
		request.status = &status;
		status.name = (char *)(uintptr_t)plugin_name(plugin);
		ask(d, &request);
		request.body_case = PLUG__REQUEST__BODY_STATS;
		request.stats = &stats;
		ask(d, &request);
	}
	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	ask(d, &request);
	request.body_case = PLUG__REQUEST__BODY_CRASHES;
	request.crashes = &crashes;
	ask(d, &request);
}

/* ---- and its successor ---- */

static int
save(struct daemon *d, const struct state_in *in)
{
	const struct state_versions versions = {STATE_VERSION, STATE_NEEDS};
	struct state_out out;
	Plugd__Saved *saved;
	int fd = -1;

	state_out_init(&out);
	saved = state_out_message(&out, &plugd__saved__descriptor);
	daemon_save(d, &out, saved);
	saved->daemon->upgrade = in->saved->daemon->upgrade;
	CHECK(state_seal(&out, saved, &versions, &fd) == PLUG_OK);
	state_out_fini(&out);
	return fd;
}

static void
hand_over(struct daemon *d, const struct state_in *in)
{
	int fd = save(d, in);
	struct state_in again;

	CHECK(state_in_init(&again, fd, STATE_VERSION, true) == PLUG_OK);
	close(fd);
	try(&two, &again);
	if (again.failed)
		fprintf(stderr, "accepted, but not again: %s\n", again.why);
	CHECK(!again.failed);
	take_apart(&two);
	state_in_fini(&again);
}

/* ---- one state ---- */

static int
make_memfd(const void *head, size_t head_size, const void *bytes, size_t size)
{
	int fd = memfd_create("fuzz-state", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(write(fd, head, head_size) == (ssize_t)head_size);
	CHECK(write(fd, bytes, size) == (ssize_t)size);
	return fd;
}

bool
upgrade_try(const void *head, size_t head_size, const void *bytes, size_t size, char *why,
	    size_t why_size)
{
	static char *argv[] = {(char *)"plugd", NULL};
	int before = count_open(), fd = make_memfd(head, head_size, bytes, size);
	struct state_in in;
	plug_err err;

	options.argv = argv;
	log_configure(LOG_ERROR + 1, LOG_TEXT);
	dry = true;
	effects = 0;
	err = state_in_init(&in, fd, STATE_VERSION, true);
	CHECK(!err == !in.failed);
	if (!err) {
		try(&one, &in);
		CHECK(!effects);
	}
	if (in.failed)
		check_reason(in.why);
	else {
		hand_over(&one, &in);
		look(&one);
	}
	if (!err)
		take_apart(&one);
	snprintf(why, why_size, "%s", in.why);
	state_in_fini(&in);
	dry = false;
	close(fd);
	check_open(before);
	return !in.failed;
}

bool
upgrade_try_body(const void *bytes, size_t size, char *why, size_t why_size)
{
	const struct state_head head = {STATE_MAGIC, STATE_VERSION, STATE_NEEDS, size};

	return upgrade_try(&head, sizeof(head), bytes, size, why, why_size);
}
