/*
 * Two processes that call each other over the real ring, region and socket, with random delays
 * between all steps (delays.h) and signals in between.  Each record matters: a wake-up that gets
 * lost leaves both asleep, which is found.  What is waited for and how is what wake.pml has.
 *
 *	model_stress [--seconds N] [--kills N] [MODE]…
 *
 * Exit status: 0, or 1 when a wake-up was lost or a death not noticed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "half.h"

#define SLEEPS_MIN 100  /* of a mode, or it has shown nothing */
#define KILL_US    3000 /* after which one of the two is killed, at most */
#define FULL_BYTES 4608 /* of a wake socket that is soon full */

static const struct mode modes[] = {
	{.name = "turns", .window = 1, .large = SMALL, .looks = 300, .batch = 1},
	{.name = "turns-edge", .window = 1, .large = SMALL, .edge = true, .looks = 300, .batch = 1},
	{.name = "window", .window = 32, .large = 1500, .tight = true, .looks = 50, .batch = 1},
	{.name = "room", .window = 64, .large = 20000, .looks = 100, .batch = 1},
	{.name = "room-edge",
	 .window = 64,
	 .large = 20000,
	 .edge = true,
	 .tight = true,
	 .looks = 100,
	 .batch = 1},
	{.name = "upload", .window = 200, .large = 20000, .looks = 100, .batch = 200},
};

#define MODES (sizeof(modes) / sizeof(modes[0]))

/* ---- making the two ---- */

struct channel {
	struct plugs_region own[2];
	int region_fd[2], wake_fd[2];
};

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(2);
}

static void
open_channel(struct channel *channel, const struct mode *mode)
{
	struct timeval lost = {.tv_sec = LOST_MS / 1000};
	int bytes = FULL_BYTES;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel->wake_fd) == 0,
	     "socketpair");
	for (int side = CALLER; side <= PLUGIN; side++) {
		must(plugs_region_make(side == CALLER ? PLUG_SIDE_CALLER : PLUG_SIDE_PLUGIN, 1,
				       PLUG_REGION_BYTES_MIN, &channel->own[side],
				       &channel->region_fd[side]) == PLUG_OK,
		     "making a region");
		setsockopt(channel->wake_fd[side], SOL_SOCKET, SO_RCVTIMEO, &lost, sizeof(lost));
		if (mode->tight)
			setsockopt(channel->wake_fd[side], SOL_SOCKET, SO_SNDBUF, &bytes,
				   sizeof(bytes));
	}
}

static void
close_channel(struct channel *channel)
{
	for (int side = CALLER; side <= PLUGIN; side++) {
		plugs_region_fini(&channel->own[side]);
		close(channel->region_fd[side]);
		close(channel->wake_fd[side]);
	}
}

static void
watch_for_edges(struct half *half)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};

	half->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	must(half->epoll_fd >= 0 &&
		     epoll_ctl(half->epoll_fd, EPOLL_CTL_ADD, half->wake_fd, &event) == 0,
	     "epoll");
}

static pid_t
start(const struct channel *channel, struct half *half)
{
	const char *why;
	int other = 1 - half->side;
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (pid != 0)
		return pid;
	chance_seed((uint64_t)getpid() << 20);
	half->own = channel->own[half->side];
	must(plugs_region_map(channel->region_fd[other],
			      other == CALLER ? PLUG_SIDE_CALLER : PLUG_SIDE_PLUGIN,
			      PLUG_REGION_BYTES_MIN, &half->peer, &why) == PLUG_OK,
	     "mapping the other region");
	plugs_poster_init(&half->poster, &half->own, &half->peer);
	plugs_taker_init(&half->taker, &half->own, &half->peer);
	half->wake_fd = channel->wake_fd[half->side];
	close(channel->wake_fd[other]);
	half->epoll_fd = -1;
	if (half->mode->edge && half->side == PLUGIN)
		watch_for_edges(half);
	half_live(half);
	_exit(END_DONE);
}

/* ---- runs ---- */

/* Run a pair to its end, or kill one of it after `kill_us`.  How the two ended, as wait() says. */
static void
run_pair(const struct mode *mode, struct board *board, time_t seconds, unsigned kill_us,
	 int ends[2])
{
	struct channel channel;
	pid_t pids[2];

	open_channel(&channel, mode);
	for (int side = CALLER; side <= PLUGIN; side++) {
		struct half half = {.mode = mode, .board = board, .side = side};

		half.until = time(NULL) + seconds;
		half.forever = kill_us != 0;
		pids[side] = start(&channel, &half);
	}
	close_channel(&channel);
	if (kill_us) {
		usleep(kill_us);
		kill(pids[kill_us % 2], SIGKILL);
	}
	for (int side = CALLER; side <= PLUGIN; side++)
		must(waitpid(pids[side], &ends[side], 0) == pids[side], "waitpid");
}

static bool
ended_with(int status, enum end end)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == (int)end;
}

static bool
run_mode(const struct mode *mode, struct board *board, time_t seconds)
{
	int ends[2];
	bool fine;

	memset((void *)board, 0, sizeof(*board));
	run_pair(mode, board, seconds, 0, ends);
	fine = ended_with(ends[CALLER], END_DONE) && ended_with(ends[PLUGIN], END_PEER_GONE) &&
	       board->slept[CALLER] + board->slept[PLUGIN] >= SLEEPS_MIN;
	printf("%s %-11s %10llu exchanges; slept: caller %llu (%llu for room), plugin %llu (%llu "
	       "for room)\n",
	       fine ? "ok  " : "FAIL", mode->name, (unsigned long long)board->done,
	       (unsigned long long)board->slept[CALLER], (unsigned long long)board->roomy[CALLER],
	       (unsigned long long)board->slept[PLUGIN], (unsigned long long)board->roomy[PLUGIN]);
	return fine;
}

static bool
run_kills(struct board *board, unsigned kills)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < kills; i++) {
		unsigned after = 1 + (unsigned)(chance() % KILL_US);
		int ends[2];

		run_pair(&modes[i % MODES], board, 0, after, ends);
		wrong += !ended_with(ends[1 - after % 2], END_PEER_GONE);
	}
	printf("%s kills       %10u; %u survivors did not notice\n", wrong ? "FAIL" : "ok  ", kills,
	       wrong);
	return wrong == 0;
}

static void
usage(void)
{
	fprintf(stderr, "usage: model_stress [--seconds N] [--kills N] [MODE]...\nmodes:");
	for (size_t i = 0; i < MODES; i++)
		fprintf(stderr, " %s", modes[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

static const struct mode *
find_mode(const char *name)
{
	for (size_t i = 0; i < MODES; i++) {
		if (!strcmp(modes[i].name, name))
			return &modes[i];
	}
	usage();
	return NULL;
}

int
main(int argc, char **argv)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long seconds = 2, kills = 200;
	bool fine = true, chosen = false;

	must(board != MAP_FAILED, "mmap");
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		if (i + 1 < argc && !strcmp(argv[i], "--seconds"))
			seconds = atol(argv[++i]);
		else if (i + 1 < argc && !strcmp(argv[i], "--kills"))
			kills = atol(argv[++i]);
		else if (argv[i][0] == '-')
			usage();
		else
			chosen = find_mode(argv[i]) != NULL;
	}
	for (size_t i = 0; i < MODES; i++) {
		bool named = !chosen;

		for (int a = 1; a < argc; a++)
			named |= !strcmp(argv[a], modes[i].name);
		if (named)
			fine &= run_mode(&modes[i], board, seconds);
	}
	if (kills > 0)
		fine &= run_kills(board, (unsigned)kills);
	return fine ? 0 : 1;
}
