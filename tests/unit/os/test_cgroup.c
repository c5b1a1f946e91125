/*
 * Where cgroup2 cannot be written, only the lowest rung is there to be tested, and the tests of the
 * others are skipped with the reason that cgroup_open() gives.
 */
#include "os_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/children.h"
#include "os/tree.h"

static const char *const members[] = {"leader ", "child ", "session ", "orphan "};

#define MEMBERS 4

static void
open_or_skip(struct cgroup *cgroup)
{
	cgroup_open(cgroup);
	if (cgroup->rung == CGROUP_NONE) {
		print_message("no cgroup to test: %s\n", cgroup->why.text);
		skip();
	}
}

static bool
is_there(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0;
}

static void
start_family_in(const struct cgroup_group *group, struct running *family, int *pidfds)
{
	struct spawn_request request = SPAWN_REQUEST_INIT;

	request.cgroup_fd = group->fd;
	running_start(family, &request, "family", NULL);
	for (int i = 0; i < MEMBERS; i++)
		running_read_until(family, members[i]);
	for (int i = 0; i < MEMBERS; i++)
		pidfds[i] = open_pidfd(running_number(family, members[i]));
}

static void
test_base_group(void **state)
{
	struct cgroup cgroup;
	char text[512], path[PATH_MAX];

	(void)state;
	open_or_skip(&cgroup);
	assert_true(is_there(cgroup.path));
	cgroup_text(&cgroup, text, sizeof(text));
	assert_non_null(strstr(text, cgroup.path));
	snprintf(path, sizeof(path), "%s", cgroup.path);
	cgroup_close(&cgroup);
	assert_false(is_there(path));
	assert_int_equal(cgroup.fd, -1);
}

/* One kill reaches a family that hides in sessions and behind dead parents. */
static void
kill_family(enum cgroup_rung rung)
{
	struct cgroup cgroup;
	struct cgroup_group group = CGROUP_GROUP_INIT;
	struct running family;
	int pidfds[MEMBERS];
	unsigned left;

	open_or_skip(&cgroup);
	if (cgroup.rung < rung)
		skip();
	cgroup.rung = rung;
	assert_int_equal(cgroup_group_open(&cgroup, "tokenizer#1", &group), PLUG_OK);
	assert_false(cgroup_group_populated(&group));
	start_family_in(&group, &family, pidfds);
	assert_true(family.process.in_cgroup);
	assert_true(cgroup_group_populated(&group));
	assert_int_equal(cgroup_group_remove(&cgroup, &group), PLUG_EBUSY);
	assert_true(group.fd >= 0);

	assert_int_equal(cgroup_group_kill(&cgroup, &group), PLUG_OK);
	for (int i = 0; i < MEMBERS; i++) {
		assert_true(ends(pidfds[i]));
		close(pidfds[i]);
	}
	running_reap(&family);
	assert_int_equal(tree_end_all(DEADLINE_MS, &left), PLUG_OK); /* reaps the adopted ones */
	assert_false(cgroup_group_populated(&group));
	assert_int_equal(cgroup_group_remove(&cgroup, &group), PLUG_OK);
	assert_int_equal(group.fd, -1);
	running_close(&family);
	cgroup_close(&cgroup);
}

static void
test_kill(void **state)
{
	(void)state;
	kill_family(CGROUP_KILL);
}

static void
test_kill_by_member_lists(void **state)
{
	(void)state;
	kill_family(CGROUP_PROCS);
}

/* Also by the path alone, with a sub-group that a plugin made. */
static void
test_end_path(void **state)
{
	struct cgroup cgroup;
	struct cgroup_group group = CGROUP_GROUP_INIT, inner;
	struct running family, other;
	struct spawn_request request = SPAWN_REQUEST_INIT;
	int pidfds[MEMBERS];
	unsigned left;
	plug_err err;

	(void)state;
	open_or_skip(&cgroup);
	assert_int_equal(cgroup_group_open(&cgroup, "a", &group), PLUG_OK);
	assert_int_equal(mkdirat(group.fd, "inner", 0755), 0);
	inner = (struct cgroup_group){.fd = openat(group.fd, "inner", O_RDONLY | O_CLOEXEC)};
	start_family_in(&group, &family, pidfds);
	request.cgroup_fd = inner.fd;
	running_start(&other, &request, "hang", NULL);
	running_read_until(&other, "\n");

	err = cgroup_end_path(cgroup.path); /* how fast they end decides */
	assert_true(err == PLUG_EBUSY || err == PLUG_OK);
	for (int i = 0; i < MEMBERS; i++) {
		assert_true(ends(pidfds[i]));
		close(pidfds[i]);
	}
	running_reap(&family);
	running_reap(&other);
	assert_int_equal(tree_end_all(DEADLINE_MS, &left), PLUG_OK);
	assert_int_equal(cgroup_end_path(cgroup.path), PLUG_OK);
	assert_false(is_there(cgroup.path));
	assert_int_equal(cgroup_end_path(cgroup.path), PLUG_OK); /* gone already */
	running_close(&family);
	running_close(&other);
	cgroup_group_close(&inner);
	cgroup_group_close(&group);
	cgroup_close(&cgroup);
}

/* A group that is still busy when its instance is forgotten goes away later. */
static void
test_left_groups_are_removed(void **state)
{
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct cgroup_group group, second;
	struct running child;
	struct cgroup cgroup;
	char path[PATH_MAX + 16];

	(void)state;
	open_or_skip(&cgroup);
	assert_int_equal(cgroup_group_open(&cgroup, "first", &group), PLUG_OK);
	request.cgroup_fd = group.fd;
	running_start(&child, &request, "hang", NULL);
	running_read_until(&child, "\n");
	assert_int_equal(cgroup_group_remove(&cgroup, &group), PLUG_EBUSY);
	cgroup_group_close(&group);
	snprintf(path, sizeof(path), "%s/first", cgroup.path);
	assert_int_equal(cgroup_group_open(&cgroup, "second", &second), PLUG_OK);
	assert_true(is_there(path));
	cgroup_group_remove(&cgroup, &second);
	kill(child.process.pid, SIGKILL);
	running_reap(&child);
	assert_int_equal(cgroup_group_open(&cgroup, "third", &second), PLUG_OK);
	assert_false(is_there(path));
	cgroup_group_remove(&cgroup, &second);
	running_close(&child);
	cgroup_close(&cgroup);
}

/* Some kernels kill what is born elsewhere by a member of a group that was killed before. */
static void
test_in_a_group_that_was_killed(void **state)
{
	struct cgroup cgroup;
	struct cgroup_group group;
	int status;
	pid_t daemon;

	(void)state;
	open_or_skip(&cgroup);
	assert_int_equal(cgroup_group_open(&cgroup, "killed", &group), PLUG_OK);
	assert_int_equal(cgroup_group_kill(&cgroup, &group), PLUG_OK);
	daemon = fork();
	if (!daemon) {
		struct spawn_request request = SPAWN_REQUEST_INIT;
		int procs = openat(group.fd, "cgroup.procs", O_WRONLY);
		struct cgroup_group inner;
		struct running child;
		struct cgroup own;

		if (write(procs, "0", 1) != 1)
			_exit(1);
		cgroup_open(&own);
		if (!strstr(own.path, "/killed/plugd-") || cgroup_group_open(&own, "inner", &inner))
			_exit(2);
		request.cgroup_fd = inner.fd;
		running_start(&child, &request, "hang", NULL);
		running_read_until(&child, "\n");
		if (!cgroup_group_populated(&inner))
			_exit(3);
		cgroup_group_kill(&own, &inner);
		running_reap(&child);
		if (cgroup_group_remove(&own, &inner))
			_exit(4);
		cgroup_close(&own);
		_exit(0);
	}
	assert_int_equal(waitpid(daemon, &status, 0), daemon);
	assert_int_equal(status, 0);
	assert_int_equal(cgroup_group_remove(&cgroup, &group), PLUG_OK);
	cgroup_close(&cgroup);
}

/* A daemon died with a process in its group: the next one ends both. */
static void
test_leftovers_of_a_dead_daemon(void **state)
{
	struct cgroup cgroup, again;
	char path[PATH_MAX] = "";
	int ends_of_pipe[2], pidfd;
	pid_t daemon, member = 0;

	(void)state;
	open_or_skip(&cgroup);
	assert_int_equal(pipe2(ends_of_pipe, O_CLOEXEC), 0);
	daemon = fork();
	if (!daemon) {
		struct cgroup theirs;
		int procs;

		cgroup_open(&theirs);
		procs = openat(theirs.fd, "cgroup.procs", O_WRONLY);
		member = fork();
		if (!member) {
			if (write(procs, "0", 1) != 1 || write(ends_of_pipe[1], ".", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		if (read(ends_of_pipe[0], path, 1) != 1 ||
		    write(ends_of_pipe[1], &member, sizeof(member)) < 0 ||
		    write(ends_of_pipe[1], theirs.path, strlen(theirs.path)) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(daemon, NULL, 0), daemon);
	assert_int_equal(read(ends_of_pipe[0], &member, sizeof(member)), sizeof(member));
	assert_true(read(ends_of_pipe[0], path, sizeof(path) - 1) > 0);
	pidfd = open_pidfd(member);
	assert_true(is_there(path));
	cgroup_open(&again); /* kills; whether the group can go yet depends on the death */
	assert_true(ends(pidfd));
	waitpid(member, NULL, 0);
	cgroup_open(&again);
	assert_false(is_there(path));
	assert_true(is_there(cgroup.path)); /* ours is of a live daemon */
	close(pidfd);
	close(ends_of_pipe[0]);
	close(ends_of_pipe[1]);
	close(again.fd);
	cgroup_close(&cgroup);
}

/* What callers do without cgroups is the same, and succeeds. */
static void
test_lowest_rung(void **state)
{
	struct cgroup none = {.rung = CGROUP_NONE, .fd = -1};
	struct cgroup_group group;
	char text[128];

	(void)state;
	assert_int_equal(cgroup_group_open(&none, "a", &group), PLUG_OK);
	assert_int_equal(group.fd, -1);
	assert_int_equal(cgroup_group_kill(&none, &group), PLUG_OK);
	assert_false(cgroup_group_populated(&group));
	assert_int_equal(cgroup_group_remove(&none, &group), PLUG_OK);
	reason_set(&none.why, PLUG_OK, "test");
	assert_string_equal(cgroup_text(&none, text, sizeof(text)),
			    "process groups and subreaper, because test");
	cgroup_close(&none);
}

static void
test_names(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", ".a", "a\nb"};
	struct cgroup none = {.rung = CGROUP_NONE, .fd = -1};
	struct cgroup_group group;
	char longest[sizeof(group.name) + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cgroup_group_open(&none, bad[i], &group), PLUG_EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(group.name)] = '\0';
	assert_int_equal(cgroup_group_open(&none, longest, &group), PLUG_EINVAL);
	longest[sizeof(group.name) - 1] = '\0';
	assert_int_equal(cgroup_group_open(&none, longest, &group), PLUG_OK);
}

/* A descriptor that is no cgroup: the process starts all the same, and says so. */
static void
test_spawn_without_the_group(void **state)
{
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct running child;

	(void)state;
	request.cgroup_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	running_start(&child, &request, "exit", "4");
	assert_false(child.process.in_cgroup);
	assert_int_equal(running_reap(&child).code, 4);
	running_close(&child);
	close(request.cgroup_fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base_group),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_kill_by_member_lists),
		cmocka_unit_test(test_end_path),
		cmocka_unit_test(test_left_groups_are_removed),
		cmocka_unit_test(test_in_a_group_that_was_killed),
		cmocka_unit_test(test_leftovers_of_a_dead_daemon),
		cmocka_unit_test(test_lowest_rung),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_spawn_without_the_group),
	};

	return cmocka_run_group_tests(tests, become_subreaper, end_what_is_left);
}
