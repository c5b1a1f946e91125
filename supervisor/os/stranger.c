#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/children.h"
#include "os/proc.h"
#include "os/tree.h"
#include "os/tree_walk.h"

#define KILL_ROUNDS   4
#define ENVIRON_BYTES (1024u * 1024) /* read at most; it is the stranger's to fill */

static void
copy_value(char *out, size_t size, const char *entry, const char *name)
{
	size_t length = strlen(name);

	if (!strncmp(entry, name, length) && entry[length] == '=')
		snprintf(out, size, "%s", entry + length + 1);
}

static void
take_entry(struct stranger *stranger, const char *entry)
{
	char generation[16] = "";

	copy_value(stranger->instance, sizeof(stranger->instance), entry, PLUG_ENV_INSTANCE);
	copy_value(stranger->token, sizeof(stranger->token), entry, PLUG_ENV_TOKEN);
	copy_value(generation, sizeof(generation), entry, PLUG_ENV_GENERATION);
	if (*generation)
		stranger->generation = (uint32_t)strtoul(generation, NULL, 10);
}

/* An entry longer than the buffer is none of ours, and cut. */
static void
read_environment(struct stranger *stranger)
{
	char path[32], chunk[4096], entry[256];
	size_t used = 0, total = 0;
	AUTO_CLOSE int fd = -1;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)stranger->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && total < ENVIRON_BYTES && (got = read(fd, chunk, sizeof(chunk))) > 0) {
		total += (size_t)got;
		for (ssize_t i = 0; i < got; i++) {
			if (used + 1 < sizeof(entry))
				entry[used++] = chunk[i];
			if (chunk[i])
				continue;
			entry[used] = '\0';
			take_entry(stranger, entry);
			used = 0;
		}
	}
}

/* false when it has ended, or is no child of ours any more. */
static bool
describe(pid_t pid, struct stranger *ret)
{
	struct proc_info info;

	if (proc_read(pid, &info) || info.parent != getpid() || info.state == 'Z' ||
	    info.state == 'X')
		return false;
	*ret = (struct stranger){.pid = pid, .group = info.group, .session = info.session};
	memcpy(ret->command, info.command, sizeof(ret->command));
	read_environment(ret);
	return true;
}

static bool
is_to_be_killed(const struct tree_callbacks *callbacks, pid_t pid)
{
	struct stranger stranger;

	if (callbacks->is_known && callbacks->is_known(callbacks->context, pid))
		return false;
	if (!describe(pid, &stranger))
		return false;
	return !callbacks->belongs || callbacks->belongs(callbacks->context, &stranger);
}

/* Returns whether there is one that was not yet killed in the round before. */
static bool
find_strangers(const struct tree_callbacks *callbacks, struct tree_walk *walk, pid_t *killed,
	       size_t *killed_count)
{
	bool more, fresh = false;
	size_t found, kept = 0, before = *killed_count;
	pid_t self = getpid();

	found = children_of(self, walk->pids, TREE_WALK_MAX, &more);
	for (size_t i = 0; i < found; i++)
		if (is_to_be_killed(callbacks, walk->pids[i]))
			walk->pids[kept++] = walk->pids[i];
	for (size_t i = 0; i < kept; i++) {
		size_t at = 0;

		while (at < before && killed[at] != walk->pids[i])
			at++;
		fresh |= at == before;
	}
	memcpy(killed, walk->pids, kept * sizeof(*killed));
	*killed_count = kept;
	for (size_t i = 0; i < kept; i++)
		tree_walk_add_root(walk, killed[i], self);
	return fresh;
}

unsigned
tree_kill_strangers(const struct tree_callbacks *callbacks)
{
	static pid_t killed[TREE_WALK_MAX];
	size_t killed_count = 0;
	unsigned total = 0;

	for (int round = 0; round < KILL_ROUNDS; round++) {
		struct tree_walk *walk = tree_walk_begin();

		if (!find_strangers(callbacks, walk, killed, &killed_count))
			break;
		total += tree_walk_kill(walk);
	}
	return total;
}

static bool
reap_one(const struct tree_callbacks *callbacks, pid_t pid)
{
	struct exit_status status;
	siginfo_t info = {0};

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | __WALL) < 0 || !info.si_pid)
		return false;
	exit_status_from_siginfo(&info, &status);
	if (callbacks->on_reaped)
		callbacks->on_reaped(callbacks->context, pid, &status);
	return true;
}

/* waitid() shows the first that has ended, again and again when it is not ours to reap. */
static unsigned
reap_behind_a_known_one(const struct tree_callbacks *callbacks)
{
	struct tree_walk *walk = tree_walk_begin();
	unsigned reaped = 0;
	bool more;
	size_t found = children_of(getpid(), walk->pids, TREE_WALK_MAX, &more);

	for (size_t i = 0; i < found; i++)
		if (!callbacks->is_known(callbacks->context, walk->pids[i]))
			reaped += reap_one(callbacks, walk->pids[i]);
	return reaped;
}

unsigned
tree_reap_strangers(const struct tree_callbacks *callbacks)
{
	unsigned reaped = 0;

	for (;;) {
		siginfo_t info = {0};

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
		    !info.si_pid)
			return reaped;
		if (callbacks->is_known && callbacks->is_known(callbacks->context, info.si_pid))
			return reaped + reap_behind_a_known_one(callbacks);
		if (!reap_one(callbacks, info.si_pid))
			return reaped;
		reaped++;
	}
}
