#include "plugin_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE        4096u
#define LINE_BYTES  100
#define BLOCK_LINES 600 /* a little less than a pipe holds */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool armed;
	unsigned holding;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

/* The payload, with an end; longer ones are cut. */
static const char *
text_of(struct plug_call *call, char *text, size_t capacity)
{
	size_t size;
	const void *data = plug_call_payload(call, &size);

	if (size >= capacity)
		size = capacity - 1;
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static size_t
number_of(struct plug_call *call)
{
	char text[32];

	return (size_t)strtoull(text_of(call, text, sizeof(text)), NULL, 10);
}

plug_err
fault_fill(struct plug_call *call, void *user)
{
	size_t size = number_of(call);
	uint8_t *memory = malloc(size); /* nobody frees it: its end is what is measured */

	(void)user;
	if (!memory)
		return PLUG_ENOMEM;
	for (size_t at = 0; at < size; at += PAGE)
		memory[at] = 1;
	return plug_reply(call, NULL, "", 0);
}

plug_err
fault_arm(struct plug_call *call, void *user)
{
	(void)user;
	pthread_mutex_lock(&state.lock);
	state.armed = true;
	pthread_mutex_unlock(&state.lock);
	return plug_reply(call, NULL, "", 0);
}

plug_err
fault_hold(struct plug_call *call, void *user)
{
	(void)user;
	pthread_mutex_lock(&state.lock);
	if (state.armed) {
		state.holding++;
		pthread_cond_broadcast(&state.moved);
	}
	while (state.armed)
		pthread_cond_wait(&state.moved, &state.lock);
	pthread_mutex_unlock(&state.lock);
	return plug_reply(call, NULL, "", 0);
}

plug_err
fault_held(struct plug_call *call, void *user)
{
	(void)user;
	pthread_mutex_lock(&state.lock);
	while (!state.holding)
		pthread_cond_wait(&state.moved, &state.lock);
	pthread_mutex_unlock(&state.lock);
	return plug_reply(call, NULL, "", 0);
}

static void
write_time(int fd)
{
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (pwrite(fd, &ns, sizeof(ns), 0) != sizeof(ns))
		abort();
}

plug_err
fault_die(struct plug_call *call, void *user)
{
	char path[256];
	volatile char *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(text_of(call, path, sizeof(path)), O_WRONLY | O_CLOEXEC);

	(void)user;
	if (page == MAP_FAILED || (fd < 0 && *path == '/'))
		return plug_fail(call, PLUG_ESYS, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		write_time(fd);
	*page = 1;
	return plug_fail(call, PLUG_ESTATE, "it is still here");
}

plug_err
fault_flood(struct plug_call *call, void *user)
{
	static char block[LINE_BYTES * BLOCK_LINES];
	size_t left = number_of(call);

	(void)user;
	memset(block, '.', sizeof(block));
	for (size_t i = 1; i <= BLOCK_LINES; i++)
		block[i * LINE_BYTES - 1] = '\n';
	while (left) {
		size_t part = left < sizeof(block) ? left : sizeof(block);
		ssize_t written = write(STDOUT_FILENO, block, part);

		if (written < 0 && errno != EINTR)
			return plug_fail(call, PLUG_ESYS, "stdout: %s", strerror(errno));
		left -= written > 0 ? (size_t)written : 0;
	}
	return plug_reply(call, NULL, "", 0);
}
