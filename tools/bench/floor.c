#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FDS  4   /* that the other side is given: memory, orders, stream, packets */
#define LINE 128 /* two cache lines: some processors fetch them in pairs */

/* Each word with the first bytes behind it, in a place that only one side writes. */
struct floor_memory {
	_Alignas(LINE) _Atomic uint64_t asked;
	uint8_t request[FLOOR_BYTES_MAX];
	_Alignas(LINE) _Atomic uint64_t answered;
	uint8_t reply[FLOOR_BYTES_MAX];
};

/* What the other side is to do next. */
struct floor_order {
	enum floor_way way;
	size_t size, count;
	uint64_t turn; /* the words before it */
};

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
await(_Atomic uint64_t *word, uint64_t value)
{
	while (atomic_load_explicit(word, memory_order_acquire) != value)
		;
}

static void
put(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static bool
read_all(int fd, uint8_t *data, size_t size)
{
	while (size) {
		ssize_t part = read(fd, data, size);

		if (part <= 0)
			return false;
		data += part;
		size -= (size_t)part;
	}
	return true;
}

static bool
write_all(int fd, const uint8_t *data, size_t size)
{
	while (size) {
		ssize_t part = write(fd, data, size);

		if (part <= 0)
			return false;
		data += part;
		size -= (size_t)part;
	}
	return true;
}

/* ---- this side ---- */

static void
ask_in_memory(struct floor *floor, enum floor_way way, size_t size)
{
	struct floor_memory *memory = floor->memory;
	uint64_t turn = ++floor->turn;

	if (way != FLOOR_SIGNAL)
		memcpy(memory->request, floor->own, size);
	put(&memory->asked, turn);
	await(&memory->answered, turn);
	if (way != FLOOR_SIGNAL)
		memcpy(floor->own + FLOOR_BYTES_MAX, memory->reply, size);
}

static void
ask_by_socket(struct floor *floor, int fd, size_t size)
{
	if (!write_all(fd, floor->own, size) || !read_all(fd, floor->own + FLOOR_BYTES_MAX, size))
		bench_die("bare socket: the other side is gone");
}

void
floor_round(struct floor *floor, enum floor_way way, size_t size, size_t count,
	    struct histogram *ret)
{
	struct floor_order order = {way, size, count, floor->turn};
	uint64_t start_ns;

	if (size > FLOOR_BYTES_MAX ||
	    write(floor->order_fd, &order, sizeof(order)) != sizeof(order) ||
	    !read_all(floor->order_fd, &(uint8_t){0}, 1))
		bench_die("bare memory: the other side is gone");
	start_ns = now_ns();
	for (size_t i = 0; i < count; i++) {
		uint64_t end_ns;

		if (way == FLOOR_SOCKET)
			ask_by_socket(floor, floor->socket_fd, size);
		else if (way == FLOOR_PACKET)
			ask_by_socket(floor, floor->packet_fd, size);
		else
			ask_in_memory(floor, way, size);
		end_ns = now_ns();
		histogram_add(ret, end_ns - start_ns);
		start_ns = end_ns;
	}
}

/* ---- life ---- */

static struct floor_memory *
map(int fd)
{
	void *memory = mmap(NULL, sizeof(struct floor_memory), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_POPULATE, fd, 0);

	if (memory == MAP_FAILED)
		bench_die("bare memory: %s", strerror(errno));
	return memory;
}

/* The descriptor gets through the exec, as which number. */
static void
hand_over(int fd, char text[16])
{
	if (fcntl(fd, F_SETFD, 0) < 0)
		bench_die("bare memory: %s", strerror(errno));
	snprintf(text, 16, "%d", fd);
}

static void
start_other(struct floor *floor, const int fds[FDS])
{
	cpu_set_t cpus = process_other_cpus(floor->bench);
	char numbers[FDS][16];
	char *argv[] = {(char *)floor->bench->self,
			(char *)"--other",
			(char *)"floor",
			numbers[0],
			numbers[1],
			numbers[2],
			numbers[3],
			NULL};
	struct process_request request = {
		.argv = argv, .stdout_fd = -1, .stderr_fd = STDERR_FILENO, .cpus = &cpus};

	for (unsigned i = 0; i < FDS; i++)
		hand_over(fds[i], numbers[i]);
	floor->pid = process_start(&request);
}

/* Ours, and theirs in *ret_theirs. */
static int
pair(int type, int *ret_theirs)
{
	int ends[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0)
		bench_die("bare socket: %s", strerror(errno));
	*ret_theirs = ends[1];
	return ends[0];
}

void
floor_open(const struct bench *bench, struct floor *ret)
{
	int theirs[FDS] = {memfd_create("plugbench-floor", MFD_CLOEXEC)};

	*ret = (struct floor){.bench = bench, .own = calloc(2, FLOOR_BYTES_MAX)};
	if (!ret->own || theirs[0] < 0 || ftruncate(theirs[0], sizeof(struct floor_memory)) < 0)
		bench_die("bare memory: %s", strerror(errno));
	memset(ret->own, 'x', FLOOR_BYTES_MAX);
	ret->memory = map(theirs[0]);
	ret->order_fd = pair(SOCK_SEQPACKET, &theirs[1]);
	ret->socket_fd = pair(SOCK_STREAM, &theirs[2]);
	ret->packet_fd = pair(SOCK_SEQPACKET, &theirs[3]);
	start_other(ret, theirs);
	for (unsigned i = 0; i < FDS; i++)
		close(theirs[i]);
}

void
floor_close(struct floor *floor)
{
	process_kill(floor->pid);
	munmap(floor->memory, sizeof(*floor->memory));
	close(floor->order_fd);
	close(floor->socket_fd);
	close(floor->packet_fd);
	free(floor->own);
}

/* ---- the other side ---- */

static void
answer_in_memory(struct floor_memory *memory, const struct floor_order *order, uint8_t *own)
{
	for (uint64_t turn = order->turn + 1; turn <= order->turn + order->count; turn++) {
		await(&memory->asked, turn);
		if (order->way == FLOOR_SPIN) {
			memcpy(memory->reply, memory->request, order->size);
		} else if (order->way == FLOOR_TOUCH) {
			memcpy(own + FLOOR_BYTES_MAX, memory->request, order->size);
			memcpy(memory->reply, own, order->size);
		}
		put(&memory->answered, turn);
	}
}

static void
answer_by_socket(int fd, const struct floor_order *order, uint8_t *own)
{
	for (size_t i = 0; i < order->count; i++)
		if (!read_all(fd, own, order->size) || !write_all(fd, own, order->size))
			_exit(1);
}

int
floor_other_main(int argc, char **argv)
{
	uint8_t *own = calloc(2, FLOOR_BYTES_MAX);
	struct floor_memory *memory;
	struct floor_order order;
	int order_fd;

	if (argc < FDS || !own)
		return 2;
	memset(own, 'y', FLOOR_BYTES_MAX);
	memory = map(atoi(argv[0]));
	order_fd = atoi(argv[1]);
	while (read(order_fd, &order, sizeof(order)) == sizeof(order)) {
		if (write(order_fd, "", 1) != 1)
			return 1;
		if (order.way == FLOOR_SOCKET)
			answer_by_socket(atoi(argv[2]), &order, own);
		else if (order.way == FLOOR_PACKET)
			answer_by_socket(atoi(argv[3]), &order, own);
		else
			answer_in_memory(memory, &order, own);
	}
	return 0;
}
