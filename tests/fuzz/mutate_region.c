/*
 * A hostile process on the other side of a channel, ring and messages only.
 *
 *   mutate_region [--seconds N] [--seed S]     rounds from seed S on, for N seconds (3)
 *   mutate_region --seed S --rounds N          N rounds from seed S on
 *
 * In each round a process takes part in a channel as the header says, every wait with a deadline,
 * while a process forked from it plays the other side, mostly rightly, and damages its region and
 * the wake socket as the round's seed says.  Whatever the peer does: the honest one does not crash,
 * waits no longer than it wanted, leaks no descriptor, and ends the channel at the first violation
 * that it sees.  A round that fails is named by its seed; the steps of both sides are the same
 * again, how they fall together is not.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "message.h"
#include "ring.h"
#include "sample.h"
#include "scribble.h"

#define REGION          PLUG_REGION_BYTES_MIN
#define CALLS           60   /* of a round */
#define DEADLINE_MS     20   /* of a call */
#define LATE_MS         5000 /* beyond it is a hang; a loaded machine may take a while */
#define ROUND_SECONDS   60
#define HONEST_MOST     200 /* steps between two damages */
#define EXIT_NOTHING    0   /* how a round can end: the honest side saw nothing wrong */
#define EXIT_VIOLATION  10  /* it saw a violation, and closed */
#define EXIT_LEFT       11  /* the peer seems to have left, and it closed */
#define DRAIN_AT_A_TIME 100

struct side {
	struct plugs_region own, peer;
	struct plugs_poster poster;
	struct plugs_taker taker;
	int wake_fd;
};

/* ---- both ---- */

/* What both processes have before the fork: both regions writable, and how to map them read-only.
 */
struct channel {
	struct plugs_region regions[2];
	int fds[2], wake_fds[2];
};

static void
channel_make(struct channel *channel)
{
	for (int i = 0; i < 2; i++)
		CHECK(plugs_region_make(i ? PLUG_SIDE_PLUGIN : PLUG_SIDE_CALLER, (uint64_t)i,
					REGION, &channel->regions[i], &channel->fds[i]) == PLUG_OK);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
			 channel->wake_fds) == 0);
}

/* Become side `which`: only its own region stays writable.  PLUG_EPROTO: the other side has already
 * damaged the head of its region. */
static plug_err
channel_take_side(struct channel *channel, int which, struct side *ret)
{
	enum plug_region_side other = which ? PLUG_SIDE_CALLER : PLUG_SIDE_PLUGIN;
	const char *why;
	plug_err err;

	ret->own = channel->regions[which];
	plugs_region_fini(&channel->regions[!which]);
	err = plugs_region_map(channel->fds[!which], other, REGION, &ret->peer, &why);
	close(channel->fds[0]);
	close(channel->fds[1]);
	close(channel->wake_fds[!which]);
	ret->wake_fd = channel->wake_fds[which];
	if (err != PLUG_OK)
		return err;
	plugs_poster_init(&ret->poster, &ret->own, &ret->peer);
	plugs_taker_init(&ret->taker, &ret->own, &ret->peer);
	return PLUG_OK;
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the hostile one ---- */

/* A step as an honest side would take it, as long as it can. */
static void
honest_step(struct side *side, uint64_t *random)
{
	static struct sample sample;
	static uint8_t copy[PLUG_RECORD_BYTES_MAX];
	const uint8_t *body;
	uint8_t *out;
	size_t size;

	if (plugs_peek(&side->taker, &body, &size) == PLUG_OK) {
		memcpy(copy, body, size);
		plugs_taken(&side->taker, size);
	}
	if (plugs_tell_taken(&side->taker))
		plugs_wake(side->wake_fd);
	sample_make(&sample, (enum plugs_kind)(sample_random(random) % SAMPLE_KINDS), random);
	size = plugs_message_bound(&sample.message);
	if (plugs_reserve(&side->poster, size, &out) != PLUG_OK)
		return;
	if (plugs_post(&side->poster, plugs_message_pack(&sample.message, out)))
		plugs_wake(side->wake_fd);
}

static _Noreturn void
be_hostile(struct channel *channel, uint64_t seed)
{
	uint64_t random = seed * 2 + 1;
	struct side side;

	CHECK(channel_take_side(channel, 0, &side) == PLUG_OK);
	for (;;) {
		for (uint64_t left = sample_random(&random) % HONEST_MOST; left; left--)
			honest_step(&side, &random);
		if (sample_random(&random) % 16 == 0)
			scribble_wake(side.wake_fd, &random);
		else
			scribble(&side.own, side.peer.head, &random);
		if (sample_random(&random) % 4 == 0)
			usleep(sample_random(&random) % 200);
	}
}

/* ---- the honest one ---- */

static void
on_arena(const struct plug_wake_arena *msg, int fd, void *user)
{
	(void)user;
	CHECK(plugs_sealed(fd, msg->bytes) != NULL); /* the peer has none that is right */
	if (fd >= 0)
		close(fd);
}

/* Wait until a record or room may be there.  PLUG_OK also when the time is over. */
static plug_err
rest(struct side *side, uint64_t deadline)
{
	struct pollfd ready = {.fd = side->wake_fd, .events = POLLIN};
	uint64_t now = now_ms();

	if (now >= deadline)
		return PLUG_OK;
	CHECK(poll(&ready, 1, (int)(deadline - now)) >= 0 || errno == EINTR);
	return plugs_drain(side->wake_fd, DRAIN_AT_A_TIME, on_arena, NULL, NULL);
}

static plug_err
reserve(struct side *side, size_t size, uint64_t deadline, uint8_t **ret_body)
{
	plug_err err;

	while ((err = plugs_reserve(&side->poster, size, ret_body)) == PLUG_EOVERLOADED) {
		if (now_ms() >= deadline)
			return PLUG_ETIMEOUT;
		plugs_sleep_begin(&side->own, PLUG_SLEEP_ROOM);
		if (plugs_room(&side->poster) < size)
			err = rest(side, deadline);
		plugs_sleep_end(&side->own);
		if (err != PLUG_OK && err != PLUG_EOVERLOADED)
			return err;
	}
	return err;
}

static plug_err
peek(struct side *side, uint64_t deadline, const uint8_t **ret_body, size_t *ret_size)
{
	plug_err err;

	while ((err = plugs_peek(&side->taker, ret_body, ret_size)) == PLUG_EAGAIN) {
		if (now_ms() >= deadline)
			return PLUG_ETIMEOUT;
		if (plugs_tell_taken(&side->taker) && !plugs_wake(side->wake_fd))
			return PLUG_EGONE;
		plugs_sleep_begin(&side->own, PLUG_SLEEP_RECORDS);
		err = plugs_peek(&side->taker, ret_body, ret_size);
		if (err == PLUG_EAGAIN)
			err = rest(side, deadline);
		plugs_sleep_end(&side->own);
		if (err != PLUG_OK)
			return err;
	}
	return err;
}

/* Whatever the record holds is copied, and then looked at. */
static plug_err
take(struct side *side, uint64_t deadline)
{
	static struct plugs_tensor tensors[PLUGS_TENSORS_MAX];
	static struct plugs_buffer buffers[PLUGS_BUFFERS_MAX];
	struct plugs_message message = {.tensors = tensors, .buffers = buffers};
	const uint8_t *body;
	uint8_t *copy;
	size_t size;
	plug_err err = peek(side, deadline, &body, &size);

	if (err != PLUG_OK)
		return err;
	copy = malloc(size);
	CHECK(copy);
	memcpy(copy, body, size);
	plugs_taken(&side->taker, size);
	err = plugs_message_unpack(copy, size, &message);
	free(copy);
	return err;
}

static plug_err
post(struct side *side, uint64_t deadline, uint64_t *random)
{
	static struct sample sample;
	uint8_t *body = NULL;
	plug_err err;

	sample_make(&sample, PLUGS_CALL, random);
	err = reserve(side, plugs_message_bound(&sample.message), deadline, &body);
	if (err != PLUG_OK)
		return err;
	if (plugs_post(&side->poster, plugs_message_pack(&sample.message, body)))
		return plugs_wake(side->wake_fd) ? PLUG_OK : PLUG_EGONE;
	return PLUG_OK;
}

static int
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	CHECK(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* One call after another, until one violation. */
static int
be_honest(struct side *side, uint64_t seed)
{
	uint64_t random = seed * 2 + 1, began;
	int before = open_descriptors();
	plug_err err = PLUG_OK;

	for (int i = 0; i < CALLS && (err == PLUG_OK || err == PLUG_ETIMEOUT); i++) {
		began = now_ms();
		err = post(side, began + DEADLINE_MS, &random);
		if (err == PLUG_OK)
			err = take(side, began + DEADLINE_MS);
		CHECK(now_ms() - began <= DEADLINE_MS + LATE_MS);
	}
	CHECK(open_descriptors() == before);
	close(side->wake_fd);
	plugs_region_fini(&side->own);
	plugs_region_fini(&side->peer);
	if (err == PLUG_OK || err == PLUG_ETIMEOUT)
		return EXIT_NOTHING;
	CHECK(err == PLUG_EPROTO || err == PLUG_EGONE);
	return err == PLUG_EPROTO ? EXIT_VIOLATION : EXIT_LEFT;
}

/* ---- rounds ---- */

/* In a process of its own: how the honest side ended. */
static int
honest_process(uint64_t seed)
{
	struct channel channel;
	struct side side;
	pid_t hostile, self = getpid();
	int outcome = EXIT_VIOLATION;
	plug_err err;

	alarm(ROUND_SECONDS);
	channel_make(&channel);
	hostile = fork();
	CHECK(hostile >= 0);
	if (hostile == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != self)
			_exit(0);
		be_hostile(&channel, seed);
	}
	err = channel_take_side(&channel, 1, &side);
	CHECK(err == PLUG_OK || err == PLUG_EPROTO);
	if (err == PLUG_OK)
		outcome = be_honest(&side, seed);
	kill(hostile, SIGKILL);
	CHECK(waitpid(hostile, NULL, 0) == hostile);
	return outcome;
}

static int
run_round(uint64_t seed)
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		exit(honest_process(seed));
	CHECK(waitpid(child, &status, 0) == child);
	if (WIFEXITED(status)) {
		int code = WEXITSTATUS(status);

		if (code == EXIT_NOTHING || code == EXIT_VIOLATION || code == EXIT_LEFT)
			return code;
		fprintf(stderr, "seed %llu: ended with %d\n", (unsigned long long)seed, code);
	} else {
		fprintf(stderr, "seed %llu: killed by signal %d%s\n", (unsigned long long)seed,
			WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hung" : "");
	}
	exit(1);
}

static uint64_t
number_of(const char *text)
{
	char *end;
	unsigned long long number = strtoull(text ? text : "", &end, 0);

	if (!text || *end || end == text) {
		fprintf(stderr, "usage: mutate_region [--seconds N] [--seed S] [--rounds N]\n");
		exit(2);
	}
	return number;
}

int
main(int argc, char **argv)
{
	uint64_t seed = 1, seconds = 3, rounds = UINT64_MAX, end;
	uint64_t violations = 0, left = 0, done = 0;

	for (int i = 1; i < argc; i += 2) {
		uint64_t number = number_of(argv[i + 1]);

		if (!strcmp(argv[i], "--seed"))
			seed = number;
		else if (!strcmp(argv[i], "--seconds"))
			seconds = number;
		else if (!strcmp(argv[i], "--rounds"))
			rounds = number, seconds = 86400;
		else
			number_of(NULL);
	}
	for (end = now_ms() + seconds * 1000; done < rounds && now_ms() < end; done++) {
		int outcome = run_round(seed + done);

		violations += outcome == EXIT_VIOLATION;
		left += outcome == EXIT_LEFT;
	}
	printf("%llu rounds from seed %llu: %llu ended by a violation, %llu by an end of file\n",
	       (unsigned long long)done, (unsigned long long)seed, (unsigned long long)violations,
	       (unsigned long long)left);
	return done > 20 && violations == 0; /* it was no attack */
}
