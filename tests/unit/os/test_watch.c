/* What inotify is asked for, and what is made of its answers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/watch.h"
#include "os_support.h"

#define PATIENCE_MS 5000
#define QUIET_MS    50

struct scene {
	char root[64];
	struct watch *watch;
	unsigned files, trees, lost;
};

static void
on_change(void *user, enum watch_kind kind)
{
	struct scene *scene = user;

	scene->files += kind == WATCH_FILE;
	scene->trees += kind == WATCH_TREE;
	scene->lost += kind == WATCH_LOST;
}

static const struct watch_ops ops = {.on_change = on_change};

static int
set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct reason why;

	assert_non_null(scene);
	make_directory(scene->root, sizeof(scene->root));
	assert_int_equal(watch_open(&ops, scene, &scene->watch, &why), PLUG_OK);
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;

	watch_close(scene->watch);
	remove_directory(scene->root);
	free(scene);
	return 0;
}

static const char *
at(const struct scene *scene, const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 8];

	snprintf(path, PATH_MAX, "%s/%s", scene->root, name);
	return path;
}

static void
put(const struct scene *scene, const char *name, const char *text)
{
	int fd = open(at(scene, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void
make_dir(const struct scene *scene, const char *name)
{
	assert_int_equal(mkdir(at(scene, name), 0700), 0);
}

static bool
news(struct scene *scene, int timeout_ms)
{
	struct pollfd fd = {.fd = watch_fd(scene->watch), .events = POLLIN};

	if (poll(&fd, 1, timeout_ms) != 1)
		return false;
	watch_read(scene->watch);
	return true;
}

/* Did anything that matters happen?  Counts start anew. */
static bool
told(struct scene *scene)
{
	bool any;

	while (!scene->files && !scene->trees && !scene->lost && news(scene, PATIENCE_MS))
		;
	while (news(scene, QUIET_MS))
		;
	any = scene->files || scene->trees || scene->lost;
	scene->files = scene->trees = scene->lost = 0;
	return any;
}

static bool
silent(struct scene *scene)
{
	while (news(scene, QUIET_MS))
		;
	return !scene->files && !scene->trees && !scene->lost;
}

static void
want(struct scene *scene, const char *name)
{
	struct reason why = {""};

	watch_begin(scene->watch);
	watch_want_file(scene->watch, at(scene, name));
	if (watch_end(scene->watch, &why))
		fail_msg("%s", why.text);
}

static void
test_a_file_in_every_way(void **state)
{
	struct scene *scene = *state;

	put(scene, "file", "1");
	want(scene, "file");
	assert_true(silent(scene));
	put(scene, "file", "2");
	assert_true(told(scene));
	put(scene, "other", "3");
	assert_true(silent(scene));
	assert_int_equal(rename(at(scene, "other"), at(scene, "file")), 0);
	assert_true(told(scene));
	assert_int_equal(chmod(at(scene, "file"), 0700), 0);
	assert_true(told(scene));
	assert_int_equal(unlink(at(scene, "file")), 0);
	assert_true(told(scene));
	put(scene, "file", "4");
	assert_true(told(scene));
	assert_int_equal(rename(at(scene, "file"), at(scene, "gone")), 0);
	assert_true(told(scene));
	put(scene, "gone", "5");
	assert_true(silent(scene));
}

static void
test_links_on_the_way(void **state)
{
	struct scene *scene = *state;

	make_dir(scene, "one");
	make_dir(scene, "two");
	put(scene, "one/file", "1");
	put(scene, "two/file", "2");
	assert_int_equal(symlink("one", at(scene, "current")), 0);
	assert_int_equal(symlink("../current/file", at(scene, "two/link")), 0);
	want(scene, "two/link");
	put(scene, "one/file", "3"); /* what both links lead to */
	assert_true(told(scene));
	assert_int_equal(symlink("two", at(scene, "next")), 0);
	assert_true(silent(scene));
	assert_int_equal(rename(at(scene, "next"), at(scene, "current")), 0);
	assert_true(told(scene));
	want(scene, "two/link");
	put(scene, "one/file", "4"); /* no more */
	assert_true(silent(scene));
	put(scene, "two/file", "5");
	assert_true(told(scene));
}

static void
test_links_in_a_circle(void **state)
{
	struct scene *scene = *state;
	struct reason why = {""};

	assert_int_equal(symlink("b", at(scene, "a")), 0);
	assert_int_equal(symlink("a", at(scene, "b")), 0);
	watch_begin(scene->watch);
	watch_want_file(scene->watch, at(scene, "a/file"));
	assert_true(watch_end(scene->watch, &why));
	assert_non_null(strstr(why.text, strerror(ELOOP)));
	assert_int_equal(unlink(at(scene, "b")), 0);
	assert_true(told(scene));
}

static void
test_a_folder_that_is_not_there_yet(void **state)
{
	struct scene *scene = *state;

	want(scene, "a/b/c/file");
	put(scene, "other", "x");
	assert_true(silent(scene));
	make_dir(scene, "a");
	assert_true(told(scene));
	want(scene, "a/b/c/file");
	make_dir(scene, "a/b");
	assert_true(told(scene));
	want(scene, "a/b/c/file");
	make_dir(scene, "a/b/c");
	assert_true(told(scene));
	want(scene, "a/b/c/file");
	put(scene, "a/b/c/file", "x");
	assert_true(told(scene));
}

static void
test_a_folder_that_comes_back(void **state)
{
	struct scene *scene = *state;

	make_dir(scene, "dir");
	put(scene, "dir/file", "1");
	want(scene, "dir/file");
	assert_int_equal(rename(at(scene, "dir"), at(scene, "away")), 0);
	assert_true(told(scene));
	want(scene, "dir/file");
	put(scene, "away/file", "2");
	assert_true(silent(scene));
	make_dir(scene, "dir");
	assert_true(told(scene));
	want(scene, "dir/file");
	put(scene, "dir/file", "3");
	assert_true(told(scene));
	assert_int_equal(unlink(at(scene, "dir/file")), 0);
	assert_int_equal(rmdir(at(scene, "dir")), 0);
	assert_true(told(scene));
}

static void
want_tree(struct scene *scene)
{
	struct reason why = {""};

	watch_begin(scene->watch);
	watch_want_tree(scene->watch, scene->root, "plugin.yaml");
	assert_false(watch_end(scene->watch, &why));
}

static void
test_a_tree(void **state)
{
	struct scene *scene = *state;

	make_dir(scene, "a");
	make_dir(scene, ".hidden");
	want_tree(scene);
	make_dir(scene, "a/b");
	assert_true(told(scene));
	want_tree(scene);
	put(scene, "a/b/single", "x"); /* where there is no plugin any file may be one */
	assert_true(told(scene));
	put(scene, "a/b/.single.new", "x");
	put(scene, "a/b/single~", "x");
	assert_true(silent(scene));
	put(scene, "a/b/plugin.yaml", "x");
	assert_true(told(scene));
	want_tree(scene);
	put(scene, "a/b/data", "x");
	put(scene, ".hidden/plugin.yaml", "x");
	assert_true(silent(scene));
	want_tree(scene);
	make_dir(scene, "a/b/c"); /* below a plugin nobody looks for others, but it is told */
	told(scene);
	want_tree(scene);
	put(scene, "a/b/c/plugin.yaml", "x");
	assert_true(silent(scene));
}

/* What is not whole yet: whatever comes, in it and directly below. */
static void
test_a_folder(void **state)
{
	struct scene *scene = *state;
	struct reason why;

	make_dir(scene, "a");
	make_dir(scene, "a/b");
	make_dir(scene, "a/b/c");
	watch_begin(scene->watch);
	watch_want_folder(scene->watch, at(scene, "a"));
	assert_false(watch_end(scene->watch, &why));
	put(scene, "a/file", "x");
	assert_true(told(scene));
	put(scene, "a/b/file", "x");
	assert_true(told(scene));
	put(scene, "a/b/c/file", "x");
	assert_true(silent(scene));
}

static void
test_what_is_not_wanted_any_more(void **state)
{
	struct scene *scene = *state;
	size_t before;
	struct reason why;

	make_dir(scene, "a");
	make_dir(scene, "b");
	want(scene, "a/file");
	before = watch_count(scene->watch);
	want(scene, "b/file");
	assert_int_equal(watch_count(scene->watch), before);
	put(scene, "a/file", "x");
	assert_true(silent(scene));
	put(scene, "b/file", "x");
	assert_true(told(scene));
	watch_begin(scene->watch);
	assert_false(watch_end(scene->watch, &why));
	assert_int_equal(watch_count(scene->watch), 0);
	put(scene, "b/file", "y");
	assert_true(silent(scene));
}

static long
queue_length(void)
{
	FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	long length = 0;

	if (file && fscanf(file, "%ld", &length) != 1)
		length = 0;
	if (file)
		fclose(file);
	return length;
}

static void
test_more_than_the_kernel_keeps(void **state)
{
	struct scene *scene = *state;
	long length = queue_length();

	if (length < 1 || length > 200000)
		skip();
	want(scene, "file");
	for (long i = 0; i <= length; i++) /* one after the other alike would be one event */
		assert_int_equal(mknod(at(scene, i % 2 ? "a" : "b"), S_IFREG | 0600, 0) ||
					 unlink(at(scene, i % 2 ? "a" : "b")),
				 0);
	while (!scene->lost && news(scene, PATIENCE_MS))
		;
	assert_int_equal(scene->lost, 1);
	while (news(scene, QUIET_MS))
		;
	scene->files = scene->lost = 0;
	put(scene, "file", "x");
	assert_true(told(scene));
}

static void
test_no_more_instances(void **state)
{
	struct watch *watch = NULL;
	struct reason why = {""};
	int fds[4096], count = 0;

	(void)state;
	while (count < 4096 && (fds[count] = inotify_init1(IN_CLOEXEC)) >= 0)
		count++;
	if (count < 4096) {
		assert_int_equal(watch_open(&ops, NULL, &watch, &why), PLUG_ESYS);
		assert_non_null(strstr(why.text, "nothing is watched"));
	}
	while (count)
		close(fds[--count]);
	assert_null(watch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_file_in_every_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_links_on_the_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_links_in_a_circle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_folder_that_is_not_there_yet, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_folder_that_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_tree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_not_wanted_any_more, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_more_than_the_kernel_keeps, set_up, tear_down),
		cmocka_unit_test(test_no_more_instances),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
