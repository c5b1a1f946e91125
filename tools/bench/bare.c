#include "bare.h"

#include <nng/protocol/pair1/pair.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "floor.h"
#include "pacer.h"

#define WAIT_MS 10000

static void
check(int rv, const char *what)
{
	if (rv)
		bench_die("bare nng: %s: %s", what, nng_strerror(rv));
}

/* ---- this side ---- */

static void
listen_at(nng_socket *socket, const char *url)
{
	check(nng_pair1_open(socket), "open");
	check(nng_socket_set_size(*socket, NNG_OPT_RECVMAXSZ, 0), "RECVMAXSZ");
	check(nng_socket_set_ms(*socket, NNG_OPT_RECVTIMEO, WAIT_MS), "RECVTIMEO");
	check(nng_listen(*socket, url, NULL, 0), url);
}

static nng_msg *
receive(nng_socket socket)
{
	nng_msg *msg;

	check(nng_recvmsg(socket, &msg, 0), "receive");
	return msg;
}

static pid_t
start_other(const struct bench *bench, const char *role, const char *argument, const char *dir,
	    int stdout_fd)
{
	cpu_set_t cpus = process_other_cpus(bench);
	char *argv[] = {(char *)bench->self, (char *)"--other", (char *)role,
			(char *)argument,    (char *)dir,       NULL};
	struct process_request request = {
		.argv = argv, .stdout_fd = stdout_fd, .stderr_fd = STDERR_FILENO, .cpus = &cpus};

	return process_start(&request);
}

static void
start(struct bare *bare)
{
	static unsigned number;

	snprintf(bare->url, sizeof(bare->url), "ipc://%s/bare-%u", bare->bench->work_dir, ++number);
	listen_at(&bare->socket, bare->url);
	bare->pid = start_other(bare->bench, "echo", bare->url, NULL, -1);
	nng_msg_free(receive(bare->socket));
}

void
bare_open(const struct bench *bench, struct bare *ret)
{
	ret->bench = bench;
	start(ret);
}

void
bare_close(struct bare *bare)
{
	process_kill(bare->pid);
	nng_close(bare->socket);
}

void
bare_respawn(struct bare *bare)
{
	nng_close(bare->socket);
	start(bare);
}

static void
send_one(struct bare *bare, size_t size)
{
	nng_msg *msg;

	check(nng_msg_alloc(&msg, size), "alloc");
	memset(nng_msg_body(msg), 'x', size);
	check(nng_sendmsg(bare->socket, msg, 0), "send");
}

static void
receive_one(struct bare *bare, size_t size)
{
	nng_msg *msg = receive(bare->socket);

	if (nng_msg_len(msg) != size)
		bench_die("bare nng: %zu bytes came back of %zu", nng_msg_len(msg), size);
	nng_msg_free(msg);
}

void
bare_round_trip(struct bare *bare, size_t size)
{
	send_one(bare, size);
	receive_one(bare, size);
}

double
bare_stream(struct bare *bare, size_t window, size_t total)
{
	double start_us = bench_now_us();
	size_t sent = 0;

	while (sent < window && sent < total) {
		send_one(bare, BENCH_MESSAGE);
		sent++;
	}
	for (size_t received = 0; received < total; received++) {
		receive_one(bare, BENCH_MESSAGE);
		if (sent < total) {
			send_one(bare, BENCH_MESSAGE);
			sent++;
		}
	}
	return bench_now_us() - start_us;
}

/* ---- the hub ---- */

static void
hub_url(char *url, size_t size, const char *dir, size_t number)
{
	snprintf(url, size, "ipc://%s/h%zu", dir, number);
}

static void
await_line(int fd, const char *what)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		bench_die("bare nng: the hub ended before %s", what);
}

void
bare_hub_open(const struct bench *bench, size_t count, struct bare_hub *ret)
{
	static unsigned number;
	char dir[96], text[32], url[128];
	double start_us = bench_now_us();
	int ends[2];

	snprintf(dir, sizeof(dir), "%s/hub-%u", bench->work_dir, ++number);
	snprintf(text, sizeof(text), "%zu", count);
	ret->count = count;
	ret->others = calloc(count, sizeof(*ret->others));
	if (!ret->others || pipe(ends) < 0)
		bench_die("bare nng: no memory or descriptor for a hub");
	ret->pid = start_other(bench, "hub", text, dir, ends[1]);
	close(ends[1]);
	await_line(ends[0], "it listened");
	for (size_t i = 0; i < count; i++) {
		hub_url(url, sizeof(url), dir, i);
		ret->others[i] = start_other(bench, "echo", url, NULL, -1);
	}
	await_line(ends[0], "all had connected");
	ret->ready_us = bench_now_us() - start_us;
	close(ends[0]);
}

void
bare_hub_close(struct bare_hub *hub)
{
	for (size_t i = 0; i < hub->count; i++)
		process_kill(hub->others[i]);
	process_kill(hub->pid);
	free(hub->others);
}

/* ---- the other side ---- */

static int
echo(const char *url)
{
	nng_socket socket;
	nng_msg *msg;

	check(nng_pair1_open(&socket), "open");
	check(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0), "RECVMAXSZ");
	check(nng_dial(socket, url, NULL, 0), url);
	check(nng_msg_alloc(&msg, 1), "alloc");
	do
		check(nng_sendmsg(socket, msg, 0), "send");
	while (nng_recvmsg(socket, &msg, 0) == 0);
	return 0;
}

static int
hub(size_t count, const char *dir)
{
	nng_socket *sockets = calloc(count, sizeof(*sockets));
	char url[128];

	if (!sockets || bench_make_dir(dir) < 0)
		bench_die("bare nng: %s cannot be made", dir);
	for (size_t i = 0; i < count; i++) {
		hub_url(url, sizeof(url), dir, i);
		listen_at(&sockets[i], url);
	}
	if (write(STDOUT_FILENO, "\n", 1) != 1)
		return 1;
	for (size_t i = 0; i < count; i++)
		nng_msg_free(receive(sockets[i]));
	if (write(STDOUT_FILENO, "\n", 1) != 1)
		return 1;
	for (;;)
		pause();
}

int
bare_other_main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[0], "echo"))
		return echo(argv[1]);
	if (argc >= 1 && !strcmp(argv[0], "floor"))
		return floor_other_main(argc - 1, argv + 1);
	if (argc >= 1 && !strcmp(argv[0], "pacer"))
		return pacer_other_main(argc - 1, argv + 1);
	if (argc >= 3 && !strcmp(argv[0], "hub"))
		return hub((size_t)atoi(argv[1]), argv[2]);
	return 2;
}
