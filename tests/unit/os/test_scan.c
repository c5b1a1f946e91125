#include "os_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/scan.h"

static char base[64];

static int
setup(void **state)
{
	(void)state;
	make_directory(base, sizeof(base));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	chmod(base, 0700);
	remove_directory(base);
	return 0;
}

static const char *
in_base(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", base, name);
	return path;
}

static void
folder(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	for (char *slash = path + strlen(base) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	mkdir(path, 0700);
}

static void
plugin(const char *name, const char *manifest)
{
	char path[512];
	int fd;

	folder(name);
	snprintf(path, sizeof(path), "%s/%s/plugin.yaml", base, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, manifest, strlen(manifest)), strlen(manifest));
	close(fd);
}

static void
run(const char *root, struct scan *scan)
{
	const char *path = in_base(root);

	assert_int_equal(scan_run(&path, 1, scan), PLUG_OK);
}

static void
expect_folders(const struct scan *scan, const char *const *names)
{
	size_t count = 0;

	for (; names[count]; count++) {
		assert_true(count < scan->plugin_count);
		assert_string_equal(scan->plugins[count].folder, in_base(names[count]));
	}
	assert_int_equal(scan->plugin_count, count);
}

static void
test_finds_sorted_and_skips(void **state)
{
	static const char *const expected[] = {"a/models/gpt2", "a/models/tiny", "a/zeta", NULL};
	struct scan scan;

	(void)state;
	plugin("a/zeta", "plugin: zeta\n");
	plugin("a/models/tiny", "plugin: tiny\n");
	plugin("a/models/gpt2", "plugin: gpt2\n");
	plugin("a/.hidden", "no");
	plugin("a/_disabled/x", "no");
	plugin("a/new.template", "no");
	plugin("a/zeta/inner", "no"); /* a plugin's folder is its own */
	folder("a/empty/really");
	run("a", &scan);
	expect_folders(&scan, expected);
	assert_int_equal(scan.error_count, 0);
	assert_string_equal(scan.plugins[0].text, "plugin: gpt2\n");
	assert_int_equal(scan.plugins[0].size, 13);
	assert_string_equal(scan.plugins[0].manifest, in_base("a/models/gpt2/plugin.yaml"));
	scan_fini(&scan);
	assert_int_equal(scan.plugin_count, 0);

	run("a/zeta", &scan); /* a plugin directory may be a plugin itself */
	assert_int_equal(scan.plugin_count, 1);
	scan_fini(&scan);
}

static const struct scan_error *
error_of(const struct scan *scan, const char *path)
{
	for (size_t i = 0; i < scan->error_count; i++)
		if (!strcmp(scan->errors[i].path, in_base(path)))
			return &scan->errors[i];
	fail_msg("no error for %s", path);
	return NULL;
}

static void
test_errors_hide_nothing(void **state)
{
	static const char *const expected[] = {"b/good", NULL};
	static char large[SCAN_MANIFEST_BYTES + 2];
	const struct scan_error *error;
	struct scan scan;

	(void)state;
	memset(large, '#', sizeof(large) - 1);
	plugin("b/large", large);
	folder("b/fifo");
	mkfifo(in_base("b/fifo/plugin.yaml"), 0600);
	folder("b/dir/plugin.yaml");
	folder("b/link");
	assert_int_equal(symlink("../good/plugin.yaml", in_base("b/link/plugin.yaml")), 0);
	assert_int_equal(symlink("nowhere", in_base("b/dangling")), 0);
	assert_int_equal(symlink("self", in_base("b/self")), 0);
	plugin("b/good", "ok");
	run("b", &scan);
	expect_folders(&scan, expected);
	assert_int_equal(scan.error_count, 6);
	error = error_of(&scan, "b/large/plugin.yaml");
	assert_int_equal(error->code, PLUG_ETOOLARGE);
	assert_non_null(strstr(error->why.text, "256 KiB"));
	error = error_of(&scan, "b/fifo/plugin.yaml");
	assert_non_null(strstr(error->why.text, "not a regular file"));
	error_of(&scan, "b/dir/plugin.yaml");
	error = error_of(&scan, "b/link/plugin.yaml");
	assert_non_null(strstr(error->why.text, "link its folder"));
	error = error_of(&scan, "b/dangling");
	assert_non_null(strstr(error->why.text, "No such file"));
	error_of(&scan, "b/self");
	scan_fini(&scan);

	large[SCAN_MANIFEST_BYTES] = '\0'; /* exactly as large as may be */
	plugin("b/large", large);
	run("b/large", &scan);
	assert_int_equal(scan.plugin_count, 1);
	assert_int_equal(scan.plugins[0].size, SCAN_MANIFEST_BYTES);
	scan_fini(&scan);
}

static void
test_unreadable_folder(void **state)
{
	struct scan scan;

	(void)state;
	if (!geteuid())
		skip(); /* root can read everything */
	plugin("c/good", "ok");
	folder("c/closed");
	chmod(in_base("c/closed"), 0);
	run("c", &scan);
	assert_int_equal(scan.plugin_count, 1);
	assert_non_null(strstr(error_of(&scan, "c/closed")->why.text, "Permission denied"));
	scan_fini(&scan);
}

static void
test_links(void **state)
{
	static const char *const expected[] = {"d/real/one", "elsewhere/two", NULL};
	struct scan scan;

	(void)state;
	plugin("d/real/one", "1");
	plugin("elsewhere/two", "2");
	assert_int_equal(symlink("..", in_base("d/real/loop")), 0);
	assert_int_equal(symlink(".", in_base("d/here")), 0);
	assert_int_equal(symlink("real/one", in_base("d/again")), 0);
	assert_int_equal(symlink("../elsewhere/two", in_base("d/two")), 0);
	assert_int_equal(symlink("/etc/passwd", in_base("d/file")), 0);
	run("d", &scan);
	expect_folders(&scan, expected);
	assert_int_equal(scan.error_count, 0);
	scan_fini(&scan);
}

static void
test_several_roots(void **state)
{
	char first[128], second[128], missing[128];
	const char *roots[] = {second, missing, first, second, first};
	struct scan scan;

	(void)state;
	plugin("e/1/b", "b");
	plugin("e/1/a", "a");
	plugin("e/2/c", "c");
	snprintf(first, sizeof(first), "%s/e/1", base);
	snprintf(second, sizeof(second), "%s/e/2", base);
	snprintf(missing, sizeof(missing), "%s/e/3", base);
	assert_int_equal(scan_run(roots, 5, &scan), PLUG_OK);
	assert_int_equal(scan.plugin_count, 3); /* each once, in the order of the roots */
	assert_string_equal(scan.plugins[0].folder, in_base("e/2/c"));
	assert_string_equal(scan.plugins[1].folder, in_base("e/1/a"));
	assert_string_equal(scan.plugins[2].folder, in_base("e/1/b"));
	assert_int_equal(scan.plugins[0].root, 0);
	assert_int_equal(scan.plugins[2].root, 2);
	assert_int_equal(scan.error_count, 1);
	assert_int_equal(scan.errors[0].code, PLUG_ENOTFOUND);
	assert_string_equal(scan.errors[0].path, missing);
	scan_fini(&scan);
}

static void
executable(const char *name, const char *text)
{
	int fd = open(in_base(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

#define SCRIPT "#!/bin/sh\n# ---plugin---\n# a: 1\n# ---end---\n"

/* builtin, then what is in no store, then optional, then community. */
static void
test_stores_and_single_files(void **state)
{
	static const char *const expected[] = {
		"h/builtin/z/single", "h/a", "h/optional/models/single", "h/community/link", NULL};
	struct scan scan;

	(void)state;
	folder("h/builtin/z");
	folder("h/optional/models");
	folder("h/community");
	executable("h/community/tool", "#!/bin/sh\n");
	executable("h/community/.hidden", SCRIPT);
	executable("h/builtin/z/single", SCRIPT);
	executable("h/optional/models/single", SCRIPT);
	executable("h/a", SCRIPT);
	executable("h/a.template.sh", SCRIPT);
	assert_int_equal(symlink("../a", in_base("h/community/link")), 0);
	run("h", &scan);
	for (size_t i = 0; expected[i]; i++)
		assert_string_equal(scan.plugins[i].manifest, in_base(expected[i]));
	assert_int_equal(scan.plugin_count, 4);
	assert_string_equal(scan.plugins[2].folder, in_base("h/optional/models"));
	assert_string_equal(scan.plugins[2].text, "\n\n  a: 1\n");
	assert_int_equal(scan.error_count, 0);
	scan_fini(&scan);

	run("h/a", &scan); /* a plugin directory may be a single file */
	assert_int_equal(scan.plugin_count, 1);
	scan_fini(&scan);
	run("h/community/tool", &scan);
	assert_int_equal(scan.plugin_count, 0);
	assert_non_null(strstr(error_of(&scan, "h/community/tool")->why.text, "holds no manifest"));
	scan_fini(&scan);
}

/* As run() in steps that are as small as can be. */
static void
test_steps(void **state)
{
	const char *path = in_base("h");
	struct scan_walk *walk = scan_begin(&path, 1);
	struct scan scan;
	unsigned steps = 1;

	(void)state;
	while (!scan_step(walk, 1))
		steps++;
	assert_true(steps >= 6); /* folders */
	assert_int_equal(scan_end(walk, &scan), PLUG_OK);
	assert_int_equal(scan.plugin_count, 4);
	scan_fini(&scan);
	walk = scan_begin(&path, 1);
	scan_step(walk, 1);
	scan_end(walk, NULL); /* called off */
}

static void
test_relative_root(void **state)
{
	const char *root = "e";
	struct scan scan;

	(void)state;
	assert_int_equal(chdir(base), 0);
	assert_int_equal(scan_run(&root, 1, &scan), PLUG_OK);
	assert_int_equal(scan.plugin_count, 3);
	assert_string_equal(scan.plugins[0].folder, in_base("e/1/a"));
	scan_fini(&scan);
	assert_int_equal(chdir("/"), 0);
}

static void
test_depth(void **state)
{
	struct scan scan;

	(void)state;
	plugin("f/1/2/3/4/5/6/7/8", "in");
	plugin("f/1/2/3/4/5/6/7/x/9", "out");
	run("f", &scan);
	assert_int_equal(scan.plugin_count, 1);
	assert_string_equal(scan.plugins[0].text, "in");
	assert_int_equal(scan.error_count, 1);
	assert_non_null(strstr(scan.errors[0].why.text, "8 levels"));
	scan_fini(&scan);
}

/* 300 plugins are found in much less than the 100 ms that the daemon has for all of discovery. */
static void
test_many(void **state)
{
	uint64_t start;
	struct scan scan;

	(void)state;
	for (int i = 0; i < 300; i++) {
		char name[64];

		snprintf(name, sizeof(name), "g/%d/plugin-%d", i % 7, i);
		plugin(name, "plugin: x\n");
	}
	start = clock_mono_ns();
	run("g", &scan);
	print_message("300 plugins in %.1f ms\n", (double)(clock_mono_ns() - start) / 1e6);
	assert_int_equal(scan.plugin_count, 300);
	for (size_t i = 1; i < scan.plugin_count; i++)
		assert_true(strcmp(scan.plugins[i - 1].folder, scan.plugins[i].folder) < 0);
	scan_fini(&scan);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_sorted_and_skips),
		cmocka_unit_test(test_errors_hide_nothing),
		cmocka_unit_test(test_unreadable_folder),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_several_roots),
		cmocka_unit_test(test_stores_and_single_files),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_relative_root),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
