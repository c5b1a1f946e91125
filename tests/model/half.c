#include "half.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define COLD_BYTES (64u << 20)
#define VAIN_MAX   20 /* times LOST_MS */

/* ---- chance ---- */

static _Thread_local uint64_t random_state = 88172645463325252ull;

uint64_t
chance(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

void
chance_seed(uint64_t seed)
{
	random_state ^= seed;
}

/* Stores that miss every cache hold up those behind them in the store buffer, so that a plain store
 * that should have been an exchange is seen late. */
static void
clog_store_buffer(uint64_t word)
{
	static uint8_t cold[COLD_BYTES];

	for (int i = 0; i < 4; i++) {
		*(volatile uint8_t *)&cold[word % COLD_BYTES] = 1;
		word = word * 0x9e3779b97f4a7c15ull >> 7;
	}
}

void
delay(void)
{
	uint64_t word = chance();

	if (word % 4 == 1) {
		clog_store_buffer(word >> 2);
	} else if (word % 4 == 0) {
		for (volatile uint64_t n = word / 4 % 200; n; n--)
			;
	} else if (word % 1021 == 2) {
		sched_yield();
	} else if (word % 8191 == 3) {
		usleep(word / 8191 % 100);
	}
}

/* Of the record `number` of either direction: both sides know it. */
static size_t
size_of(const struct mode *mode, uint64_t number)
{
	uint64_t hash = number * 0x9e3779b97f4a7c15ull;

	return hash >> 62 ? SMALL : SMALL + (hash >> 20) % (mode->large - SMALL + 1);
}

/* ---- one side ---- */

static void
leave(const struct half *half, enum end end, const char *what)
{
	if (end > END_PEER_GONE)
		fprintf(stderr,
			"model_stress: %s, %s: %s; sent %llu, got %llu, says it has taken %llu, is "
			"told that %llu are taken, sleeping %u and %u\n",
			half->mode->name, half->side == CALLER ? "caller" : "plugin", what,
			(unsigned long long)half->sent, (unsigned long long)half->got,
			(unsigned long long)half->own.head->taken,
			(unsigned long long)half->peer.head->taken, half->own.head->sleeping,
			half->peer.head->sleeping);
	_exit((int)end);
}

static void
wake(const struct half *half)
{
	plugs_wake(half->wake_fd); /* a side that is gone is noticed by its end of file */
}

static bool
take(struct half *half)
{
	const uint8_t *body;
	size_t size;
	uint64_t number;
	plug_err err = plugs_peek(&half->taker, &body, &size);

	if (err == PLUG_EAGAIN)
		return false;
	if (err != PLUG_OK)
		leave(half, END_WRONG, "a record has a header that is none");
	memcpy(&number, body, sizeof(number));
	if (number != half->got || size != size_of(half->mode, number))
		leave(half, END_WRONG, "a record is not the next one");
	plugs_taken(&half->taker, size);
	half->got++;
	return true;
}

static bool
wants_to_post(const struct half *half)
{
	unsigned batch = half->mode->batch;

	if (half->side == PLUGIN)
		return half->sent < half->got / batch;
	return half->sent - half->got * batch < half->mode->window &&
	       (half->sent % batch != 0 || half->forever || time(NULL) < half->until);
}

/* Posts one record if there is room. */
static bool
post(struct half *half)
{
	size_t size = size_of(half->mode, half->sent);
	uint8_t *body;
	plug_err err = plugs_reserve(&half->poster, size, &body);

	if (err == PLUG_EOVERLOADED)
		return false;
	if (err != PLUG_OK)
		leave(half, END_WRONG, "the other side has taken what was not posted");
	memcpy(body, &half->sent, sizeof(half->sent));
	if (plugs_post(&half->poster, size))
		wake(half);
	half->sent++;
	return true;
}

/* ---- sleeping ---- */

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Wait for one wake byte; a signal must not make good one that was lost.  False: none came in
 * LOST_MS. */
static bool
wait_level(struct half *half)
{
	uint64_t give_up = now_ms() + LOST_MS;
	uint8_t byte;
	ssize_t n;

	do
		n = recv(half->wake_fd, &byte, 1, 0); /* SO_RCVTIMEO, which begins anew */
	while (n < 0 && errno == EINTR && now_ms() < give_up);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	half->eof = n <= 0;
	if (chance() % 2 && !half->eof) /* one recv is enough; more do no harm */
		half->eof = plugs_drain(half->wake_fd, 2, NULL, NULL, NULL) == PLUG_EGONE;
	return true;
}

static bool
wait_edge(struct half *half)
{
	uint64_t give_up = now_ms() + LOST_MS;
	struct epoll_event event;
	int n;

	do
		n = epoll_wait(half->epoll_fd, &event, 1, LOST_MS);
	while (n < 0 && errno == EINTR && now_ms() < give_up);
	if (n <= 0)
		return false;
	half->woken = true;
	half->eof = (event.events & (EPOLLHUP | EPOLLRDHUP)) != 0;
	return true;
}

/* Edge-triggered: what lies in the socket is taken out before the next sleep, so that it is empty
 * or an edge is still to be told. */
static void
drain_in_time(struct half *half)
{
	if (half->woken && plugs_drain(half->wake_fd, 1000, NULL, NULL, NULL) == PLUG_EGONE)
		half->eof = true;
	half->woken = false;
}

static bool
something(struct half *half, bool for_room)
{
	const uint8_t *body;
	uint8_t *room;
	size_t size;

	return plugs_peek(&half->taker, &body, &size) != PLUG_EAGAIN ||
	       (for_room && plugs_reserve(&half->poster, size_of(half->mode, half->sent), &room) !=
				    PLUG_EOVERLOADED);
}

/* That nothing comes is no fault while there is nothing to do: the machine may be busy. */
static void
wait_for_wake(struct half *half, bool for_room)
{
	unsigned vain = 0;

	while (!(half->epoll_fd >= 0 ? wait_edge(half) : wait_level(half))) {
		if (something(half, for_room))
			leave(half, END_LOST, "no wake-up came, and there is something to do");
		if (++vain == VAIN_MAX)
			leave(half, END_LOST, "nothing came for very long");
	}
}

static void
sleep_until_woken(struct half *half)
{
	bool for_room = wants_to_post(half), edge = half->epoll_fd >= 0;

	if (edge)
		drain_in_time(half);
	plugs_sleep_begin(&half->own, PLUG_SLEEP_RECORDS | (for_room ? PLUG_SLEEP_ROOM : 0));
	if (!half->eof && !something(half, for_room)) {
		half->board->slept[half->side]++;
		half->board->roomy[half->side] += for_room;
		wait_for_wake(half, for_room);
	}
	plugs_sleep_end(&half->own);
}

/* ---- a life ---- */

static void
on_alarm(int signal_number)
{
	(void)signal_number; /* a system call is interrupted: that is all */
}

static void
disturb(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval often = {.it_interval = {.tv_usec = 700}, .it_value = {.tv_usec = 700}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

/* A line that the other side has lately read takes its owner longer to change: more time for a
 * plain store to be overtaken. */
static void
read_their_flag(const struct half *half)
{
	(void)*(const volatile uint32_t *)&half->peer.head->sleeping;
}

static bool
is_done(const struct half *half)
{
	return half->side == CALLER && half->sent == half->got * half->mode->batch &&
	       !wants_to_post(half);
}

void
half_live(struct half *half)
{
	unsigned vain = 0;

	disturb();
	while (!is_done(half)) {
		bool found = take(half);

		if (wants_to_post(half))
			found |= post(half);
		vain = found ? 0 : vain + 1;
		half->board->done = half->side == CALLER ? half->sent : half->board->done;
		if (found && chance() % 4 == 0 && plugs_tell_taken(&half->taker))
			wake(half);
		read_their_flag(half);
		if (found || (!half->eof && vain <= chance() % (half->mode->looks + 1)))
			continue;
		if (half->eof) /* and nothing is left in the ring */
			leave(half, END_PEER_GONE, "");
		if (plugs_tell_taken(&half->taker))
			wake(half);
		sleep_until_woken(half);
		vain = 0;
	}
}
