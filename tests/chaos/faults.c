/* Ways in which a plugin fails by itself.  Each is bounded, so that none hurts the machine. */
#include "plugin.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "record.h"

#define CHILDREN_MOST 40
#define FD_MAX        256
#define FILL          16384

static void
fault_signal(struct plug_call *call, const struct chaos *chaos, unsigned number)
{
	(void)call;
	(void)chaos;
	signal((int)number, SIG_DFL); /* a sanitizer may have taken it */
	raise((int)number);
}

/* What a wild pointer does: the signal comes from the kernel. */
static void
fault_segv(struct plug_call *call, const struct chaos *chaos, unsigned number)
{
	volatile int *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)call;
	(void)chaos;
	*nowhere = (int)number;
}

static void
fault_exit(struct plug_call *call, const struct chaos *chaos, unsigned number)
{
	(void)call;
	(void)chaos;
	_exit((int)number);
}

static void
fault_unhealthy(struct plug_call *call, const struct chaos *chaos, unsigned number)
{
	(void)chaos;
	plug_unhealthy(plug_call_plugin(call), "chaos number %u", number);
}

static void
fault_hang(struct plug_call *call, const struct chaos *chaos, unsigned number)
{
	uint64_t until = record_now_ns() + number * UINT64_C(1000000);

	(void)call;
	(void)chaos;
	while (record_now_ns() < until)
		;
}

/* Out of the group, the session and the family, with nothing of ours in its environment. */
static void
become_stray(const struct chaos *chaos)
{
	static char program[] = "sleep", duration[] = "600";
	char *argv[] = {program, duration, NULL}, *nothing[] = {NULL};

	setsid();
	if (fork() != 0)
		_exit(0);
	chaos_tell(chaos, "stray", getpid());
	for (int fd = 0; fd < FD_MAX; fd++)
		close(fd);
	execve("/bin/sleep", argv, nothing);
	_exit(1);
}

static void
fault_stray(struct plug_call *call, const struct chaos *chaos, unsigned number)
{
	(void)call;
	for (unsigned i = 0; i < number && i < CHILDREN_MOST; i++)
		if (fork() == 0)
			become_stray(chaos);
}

/* Children with children, to the end of their number, that stay. */
static void
breed(const struct chaos *chaos, unsigned number)
{
	while (number > 1) {
		unsigned half = number / 2;

		if (fork() == 0) {
			number = half;
			chaos_tell(chaos, "stray", getpid());
		} else {
			number -= half;
			if (number <= 1)
				break;
		}
	}
}

static void
fault_forks(struct plug_call *call, const struct chaos *chaos, unsigned number)
{
	(void)call;
	if (fork() != 0)
		return;
	chaos_tell(chaos, "stray", getpid());
	breed(chaos, number < CHILDREN_MOST ? number : CHILDREN_MOST);
	for (;;)
		pause();
}

static void
fault_flood(struct plug_call *call, const struct chaos *chaos, unsigned kib)
{
	static char block[FILL];

	(void)chaos;
	memset(block, 'x', sizeof(block));
	for (unsigned i = 0; i < FILL; i += 100 + i % 77)
		block[i] = '\n';
	for (uint64_t left = kib * UINT64_C(1024); left >= FILL; left -= FILL)
		if (write(left / FILL % 2 ? STDOUT_FILENO : STDERR_FILENO, block, FILL) <= 0 ||
		    plug_call_cancelled(call))
			return;
}

/* Is it a connection to the session's address?  The broker's has no name, and the log's is none. */
static bool
is_session(int fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNSPEC};
	const char *address = getenv("PLUG_ADDRESS");
	socklen_t size = sizeof(name);

	return address && getpeername(fd, (struct sockaddr *)&name, &size) == 0 &&
	       name.sun_family == AF_UNIX && size > sizeof(sa_family_t) &&
	       strstr(address, name.sun_path) != NULL && name.sun_path[0];
}

/* Bytes that are no frame, in the middle of the session. */
static void
fault_garbage(struct plug_call *call, const struct chaos *chaos, unsigned number)
{
	uint64_t state = number;
	char bytes[64];

	(void)call;
	(void)chaos;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)record_random(&state);
	for (int fd = 3; fd < FD_MAX; fd++)
		if (is_session(fd) &&
		    send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			continue;
}

/* Cut the session: the SDK has to come back by itself. */
static void
fault_cut(struct plug_call *call, const struct chaos *chaos, unsigned number)
{
	(void)call;
	(void)chaos;
	(void)number;
	for (int fd = 3; fd < FD_MAX; fd++)
		if (is_session(fd))
			shutdown(fd, SHUT_RDWR);
}

static void
fault_hoard(struct plug_call *call, const struct chaos *chaos, unsigned mib)
{
	size_t bytes = (size_t)mib << 20;
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)call;
	(void)chaos;
	if (memory == MAP_FAILED)
		return;
	for (size_t at = 0; at < bytes; at += 4096)
		memory[at] = 1;
	munmap(memory, bytes);
}

static const struct fault {
	const char *kind;
	void (*run)(struct plug_call *call, const struct chaos *chaos, unsigned number);
} faults[] = {
	{"signal", fault_signal},       {"segv", fault_segv},
	{"exit", fault_exit},           {"hang", fault_hang},
	{"stray", fault_stray},         {"forks", fault_forks},
	{"flood", fault_flood},         {"cut", fault_cut},
	{"garbage", fault_garbage},     {"hoard", fault_hoard},
	{"unhealthy", fault_unhealthy},
};

plug_err
chaos_fault(struct plug_call *call, void *user)
{
	const struct chaos *chaos = user;
	char key[RECORD_KEY] = "?", kind[32] = "";
	unsigned number = 0;

	sscanf(plug_call_payload(call, NULL), "%63s %31s %u", key, kind, &number);
	record_line(chaos->record_fd,
		    "{\"e\": \"run\", \"t\": %" PRIu64 ", \"key\": \"%s\", \"plugin\": \"%s\", "
		    "\"method\": \"fault\", \"pid\": %d, \"generation\": %" PRIu32
		    ", \"plane\": \"control\"}",
		    record_now_ns(), key, chaos->name, getpid(),
		    plug_generation(plug_call_plugin(call)));
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
		if (strcmp(faults[i].kind, kind) == 0) {
			faults[i].run(call, chaos, number);
			return plug_reply(call, "text/plain", key, strlen(key));
		}
	return plug_fail(call, PLUG_EINVAL, "no fault is called '%s'", kind);
}
