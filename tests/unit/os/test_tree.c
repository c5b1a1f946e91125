#include "os_support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/children.h"
#include "os/proc.h"
#include "os/tree.h"

static const char *const members[] = {"leader ", "child ", "session ", "orphan "};

#define MEMBERS 4

struct known {
	pid_t pid;
	const char *belongs_to; /* instance whose strangers are killed; NULL: none are */
	unsigned asked, reaped;
	struct stranger last;
	struct exit_status last_status;
};

static bool
is_known(void *context, pid_t pid)
{
	return ((struct known *)context)->pid == pid;
}

static bool
belongs(void *context, const struct stranger *stranger)
{
	struct known *known = context;

	known->asked++;
	known->last = *stranger;
	return known->belongs_to && !strcmp(known->belongs_to, stranger->instance);
}

static void
on_reaped(void *context, pid_t pid, const struct exit_status *status)
{
	struct known *known = context;

	assert_int_not_equal(pid, known->pid);
	known->reaped++;
	known->last_status = *status;
}

static struct tree_callbacks
callbacks_for(struct known *known)
{
	return (struct tree_callbacks){is_known, belongs, on_reaped, known};
}

/* A family of four; the pidfds of its members in the order of `members`. */
static void
start_family(struct running *family, const char *const *env, int *pidfds)
{
	struct spawn_request request = SPAWN_REQUEST_INIT;

	request.envp = (char *const *)(uintptr_t)env;
	running_start(family, &request, "family", NULL);
	for (int i = 0; i < MEMBERS; i++)
		running_read_until(family, members[i]);
	for (int i = 0; i < MEMBERS; i++)
		pidfds[i] = open_pidfd(running_number(family, members[i]));
}

static void
close_all(int *pidfds)
{
	for (int i = 0; i < MEMBERS; i++)
		close(pidfds[i]);
}

/* Waits for the strangers' deaths through the kernel's word, and reaps them all. */
static void
reap_strangers_until(struct known *known, unsigned count)
{
	struct tree_callbacks callbacks = callbacks_for(known);
	uint64_t until = clock_mono_ms() + DEADLINE_MS;

	while (known->reaped < count && clock_mono_ms() < until) {
		siginfo_t info;

		waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
		tree_reap_strangers(&callbacks);
	}
	assert_int_equal(known->reaped, count);
}

static void
test_children(void **state)
{
	size_t (*const ways[])(pid_t, pid_t *, size_t, bool *) = {children_of, children_of_by_scan};
	struct running one, two;
	pid_t pids[8];
	bool more;

	(void)state;
	running_start(&one, NULL, "hang", NULL);
	running_start(&two, NULL, "hang", NULL);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ways[i](getpid(), pids, 8, &more), 2);
		assert_false(more);
		assert_true((pids[0] == one.process.pid && pids[1] == two.process.pid) ||
			    (pids[1] == one.process.pid && pids[0] == two.process.pid));
		assert_int_equal(ways[i](getpid(), pids, 1, &more), 1);
		assert_true(more);
		assert_int_equal(ways[i](one.process.pid, pids, 8, &more), 0);
		assert_false(more);
	}
	kill(one.process.pid, SIGKILL);
	kill(two.process.pid, SIGKILL);
	running_reap(&one);
	running_reap(&two);
	assert_int_equal(children_of(getpid(), pids, 8, &more), 0);
	assert_int_equal(children_of(one.process.pid, pids, 8, &more), 0);
	running_close(&one);
	running_close(&two);
}

/* SIGTERM reaches the leader's descendants wherever they are, but not strangers. */
static void
test_signal(void **state)
{
	static const char *const env[] = {"PLUG_INSTANCE=a#1", NULL};
	struct known known = {.belongs_to = "a#1"};
	struct running family;
	int pidfds[MEMBERS];

	(void)state;
	start_family(&family, env, pidfds);
	known.pid = family.process.pid;
	assert_int_equal(tree_signal(known.pid, SIGTERM), 3);
	for (int i = 0; i < 3; i++)
		assert_true(ends(pidfds[i]));
	assert_false(wait_readable(pidfds[3], 0));
	assert_int_equal(running_reap(&family).signal, SIGTERM);
	tree_kill_strangers(&(struct tree_callbacks){is_known, belongs, NULL, &known});
	reap_strangers_until(&known, 3);
	close_all(pidfds);
	running_close(&family);
}

static void
test_kill_tree_and_strangers(void **state)
{
	static const char *const env[] = {"A=b", "PLUG_TOKEN=0123456789abcdef0123456789abcdef",
					  "PLUG_GENERATION=12", "PLUG_INSTANCE=tokenizer#1", NULL};
	struct known known = {0};
	struct tree_callbacks callbacks = callbacks_for(&known);
	struct running family;
	int pidfds[MEMBERS];

	(void)state;
	start_family(&family, env, pidfds);
	known.pid = family.process.pid;
	assert_int_equal(tree_kill(known.pid), 3);
	for (int i = 0; i < 3; i++)
		assert_true(ends(pidfds[i]));
	assert_false(wait_readable(pidfds[3], 0)); /* the orphan is ours, not the family's */
	assert_int_equal(running_reap(&family).signal, SIGKILL);

	assert_int_equal(tree_kill_strangers(&callbacks), 0); /* belongs() says no */
	assert_int_equal(known.asked, 1);
	assert_string_equal(known.last.instance, "tokenizer#1");
	assert_string_equal(known.last.token, "0123456789abcdef0123456789abcdef");
	assert_int_equal(known.last.generation, 12);
	assert_int_equal(known.last.pid, running_number(&family, "orphan "));
	assert_string_equal(known.last.command, "os_child");
	assert_int_not_equal(known.last.session, known.pid);
	assert_false(wait_readable(pidfds[3], 0));

	known.belongs_to = "tokenizer#1";
	assert_int_equal(tree_kill_strangers(&callbacks), 1);
	assert_true(ends(pidfds[3]));
	reap_strangers_until(&known, 3); /* child, session, orphan: the first two were adopted */
	assert_int_equal(known.last_status.signal, SIGKILL);
	assert_int_equal(tree_reap_strangers(&callbacks), 0);
	close_all(pidfds);
	running_close(&family);
}

/* A leader that died by itself leaves its group to one call. */
static void
test_kill_group_of_a_zombie(void **state)
{
	struct known known = {.belongs_to = ""};
	struct running family;
	int pidfds[MEMBERS];

	(void)state;
	start_family(&family, NULL, pidfds);
	known.pid = family.process.pid;
	kill(known.pid, SIGKILL);
	assert_true(ends(pidfds[0]));
	assert_false(wait_readable(pidfds[1], 0));
	tree_kill_group(known.pid);
	assert_true(ends(pidfds[1]));
	assert_false(wait_readable(pidfds[2], 0));
	assert_int_equal(
		tree_kill_strangers(&(struct tree_callbacks){is_known, NULL, NULL, &known}), 2);
	/* The known zombie stands before the strangers and must be neither reaped nor in the way.
	 */
	reap_strangers_until(&known, 3);
	assert_int_equal(running_reap(&family).signal, SIGKILL);
	close_all(pidfds);
	running_close(&family);
}

static void
test_reap_does_not_touch_known(void **state)
{
	struct known known = {0};
	struct tree_callbacks callbacks = callbacks_for(&known);
	struct running child, zombies;

	(void)state;
	running_start(&child, NULL, "exit", "3");
	known.pid = child.process.pid;
	assert_true(ends(child.process.pidfd));
	assert_int_equal(tree_reap_strangers(&callbacks), 0);
	assert_int_equal(running_reap(&child).code, 3);
	running_close(&child);

	running_start(&zombies, NULL, "zombies", "5");
	known.pid = zombies.process.pid;
	assert_true(ends(zombies.process.pidfd));
	reap_strangers_until(&known, 5);
	assert_int_equal(known.last_status.code, 5);
	assert_int_equal(running_reap(&zombies).code, 0);
	running_close(&zombies);
}

/* While it forks as fast as it can, with half of the processes in sessions of their own. */
static void
test_fork_bomb(void **state)
{
	struct known known = {.belongs_to = ""};
	struct tree_callbacks callbacks = callbacks_for(&known);
	struct running bomb;
	uint64_t until = clock_mono_ms() + DEADLINE_MS;
	pid_t left[8];
	bool more;

	(void)state;
	running_start(&bomb, NULL, "bomb", "400");
	known.pid = bomb.process.pid;
	running_read_until(&bomb, "leader ");
	tree_kill(known.pid);
	assert_true(ends(bomb.process.pidfd));
	running_reap(&bomb);
	known.pid = 0;
	while (children_of(getpid(), left, 8, &more) && clock_mono_ms() < until) {
		tree_kill_strangers(&callbacks);
		tree_reap_strangers(&callbacks);
	}
	assert_int_equal(children_of(getpid(), left, 8, &more), 0);
	running_close(&bomb);
}

static void
test_end_all(void **state)
{
	struct running family, bomb, stubborn;
	int pidfds[MEMBERS];
	unsigned left = 99;
	pid_t pid;
	bool more;

	(void)state;
	start_family(&family, NULL, pidfds);
	running_start(&bomb, NULL, "bomb", "300");
	running_start(&stubborn, NULL, "ignore-term", NULL);
	running_read_until(&bomb, "leader ");
	running_read_until(&stubborn, "\n");
	assert_int_equal(tree_end_all(DEADLINE_MS, &left), PLUG_OK);
	assert_int_equal(left, 0);
	for (int i = 0; i < MEMBERS; i++)
		assert_true(wait_readable(pidfds[i], 0));
	assert_int_equal(children_of(getpid(), &pid, 1, &more), 0);
	assert_int_equal(tree_end_all(0, &left), PLUG_OK);
	close_all(pidfds);
	running_close(&family);
	running_close(&bomb);
	running_close(&stubborn);
}

/* A stopped tree does not act on SIGTERM, but SIGKILL ends it. */
static void
test_kill_of_a_stopped_tree(void **state)
{
	struct known known = {.belongs_to = ""};
	struct running family;
	int pidfds[MEMBERS];
	siginfo_t info;

	(void)state;
	start_family(&family, NULL, pidfds);
	known.pid = family.process.pid;
	tree_signal(known.pid, SIGSTOP);
	assert_int_equal(waitid(P_PID, (id_t)known.pid, &info, WSTOPPED), 0);
	tree_signal(known.pid, SIGTERM);
	assert_false(wait_readable(pidfds[0], 20));
	tree_kill(known.pid);
	for (int i = 0; i < 3; i++)
		assert_true(ends(pidfds[i]));
	running_reap(&family);
	tree_kill_strangers(&(struct tree_callbacks){is_known, belongs, NULL, &known});
	reap_strangers_until(&known, 3);
	close_all(pidfds);
	running_close(&family);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_kill_tree_and_strangers),
		cmocka_unit_test(test_kill_group_of_a_zombie),
		cmocka_unit_test(test_reap_does_not_touch_known),
		cmocka_unit_test(test_fork_bomb),
		cmocka_unit_test(test_end_all),
		cmocka_unit_test(test_kill_of_a_stopped_tree),
	};

	return cmocka_run_group_tests(tests, become_subreaper, end_what_is_left);
}
