/*
 * A process that has a signal pending cannot fork (the kernel restarts the call), so once every
 * process of a tree was sent SIGSTOP and a second walk finds the same ones, nothing can get away
 * between the walk and the SIGKILLs.
 */
#include "os/tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "os/children.h"
#include "os/proc.h"
#include "os/tree_walk.h"

#define FREEZE_ROUNDS 16
#define END_SLICE_MS  100 /* how long to wait for one of several before looking at all again */

static struct tree_walk shared_walk;

struct tree_walk *
tree_walk_begin(void)
{
	shared_walk.count = shared_walk.roots = 0;
	return &shared_walk;
}

bool
tree_walk_add_root(struct tree_walk *walk, pid_t pid, pid_t parent)
{
	if (walk->roots == TREE_WALK_MAX)
		return false;
	walk->pids[walk->roots] = pid;
	walk->parents[walk->roots] = parent;
	walk->count = ++walk->roots;
	return true;
}

static void
add_children(struct tree_walk *walk, pid_t parent)
{
	bool more;
	size_t found =
		children_of(parent, walk->pids + walk->count, TREE_WALK_MAX - walk->count, &more);

	for (size_t i = 0; i < found; i++)
		walk->parents[walk->count + i] = parent;
	walk->count += found;
}

void
tree_walk_add_children(struct tree_walk *walk, pid_t parent)
{
	add_children(walk, parent);
	walk->roots = walk->count;
}

static void
collect(struct tree_walk *walk)
{
	walk->count = walk->roots;
	for (size_t i = 0; i < walk->count && walk->count < TREE_WALK_MAX; i++)
		add_children(walk, walk->pids[i]);
}

/*
 * The descriptor is opened before the parent is looked at: if the pid changed hands in between, it
 * refers to the one that has gone.
 */
static bool
signal_verified(pid_t pid, pid_t parent, pid_t skip_group, int number)
{
	AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct proc_info info;

	if (fd < 0 || proc_read(pid, &info) || info.state == 'Z' || info.state == 'X')
		return false;
	if (info.parent != parent && info.parent != getpid())
		return false;
	if (skip_group && info.group == skip_group)
		return true;
	return syscall(SYS_pidfd_send_signal, fd, number, NULL, 0) == 0;
}

static unsigned
signal_all(const struct tree_walk *walk, int number)
{
	unsigned alive = 0;

	for (size_t i = 0; i < walk->count; i++)
		alive += signal_verified(walk->pids[i], walk->parents[i], 0, number);
	return alive;
}

unsigned
tree_walk_kill(struct tree_walk *walk)
{
	static pid_t before[TREE_WALK_MAX];
	size_t count = 0;

	for (int round = 0; round < FREEZE_ROUNDS; round++) {
		collect(walk);
		if (round && walk->count == count &&
		    !memcmp(before, walk->pids, count * sizeof(*before)))
			break;
		count = walk->count;
		memcpy(before, walk->pids, count * sizeof(*before));
		signal_all(walk, SIGSTOP);
	}
	return signal_all(walk, SIGKILL);
}

/* The leader is not reaped, so its pid, and a group of that number, can only be its own. */
static void
signal_group(pid_t leader, int number)
{
	if (kill(-leader, number) < 0)
		kill(leader, number); /* it has not come to setsid() yet */
}

void
tree_kill_group(pid_t leader)
{
	signal_group(leader, SIGKILL);
}

unsigned
tree_signal(pid_t leader, int number)
{
	struct tree_walk *walk = tree_walk_begin();
	unsigned signalled = 0;

	tree_walk_add_root(walk, leader, getpid());
	collect(walk);
	for (size_t i = 0; i < walk->count; i++)
		signalled += signal_verified(walk->pids[i], walk->parents[i], leader, number);
	signal_group(leader, number);
	return signalled;
}

unsigned
tree_kill(pid_t leader)
{
	struct tree_walk *walk = tree_walk_begin();
	unsigned killed;

	tree_walk_add_root(walk, leader, getpid());
	killed = tree_walk_kill(walk);
	signal_group(leader, SIGKILL); /* members of it whose parents had died before */
	return killed;
}

/* false when there is no child left. */
static bool
reap_all(void)
{
	siginfo_t info;

	do {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) < 0 && errno == ECHILD)
			return false;
	} while (info.si_pid);
	return true;
}

static void
wait_for_one(uint64_t until_ms)
{
	uint64_t now = clock_mono_ms(), left = until_ms > now ? until_ms - now : 0;
	AUTO_CLOSE int fd = -1;
	struct pollfd wait = {.events = POLLIN};
	pid_t first;
	bool more;

	if (children_of(getpid(), &first, 1, &more))
		wait.fd = fd = (int)syscall(SYS_pidfd_open, first, 0);
	if (fd >= 0)
		poll(&wait, 1, (int)(left < END_SLICE_MS ? left : END_SLICE_MS));
}

plug_err
tree_end_all(unsigned timeout_ms, unsigned *ret_left)
{
	uint64_t until_ms = clock_mono_ms() + timeout_ms;

	for (;;) {
		struct tree_walk *walk = tree_walk_begin();

		tree_walk_add_children(walk, getpid());
		tree_walk_kill(walk);
		if (!reap_all())
			break;
		if (clock_mono_ms() >= until_ms) {
			tree_walk_add_children(tree_walk_begin(), getpid());
			*ret_left = (unsigned)walk->roots;
			return PLUG_ETIMEOUT;
		}
		wait_for_one(until_ms);
	}
	*ret_left = 0;
	return PLUG_OK;
}
