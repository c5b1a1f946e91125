#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/keys.h"
#include "store/layout.h"

static char base[] = "/tmp/store-XXXXXX";
static struct store store;

static int
setup(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/store-XXXXXX");
	store = (struct store)STORE_INIT;
	return !mkdtemp(base) || store_open(base, true, &store, NULL) ||
	       store_lock(&store, 0, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	store_close(&store);
	return !store_remove_tree(AT_FDCWD, base);
}

static void
make(const char *path, bool is_file)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = part; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdirat(store.fd, part, 0755);
		*slash = '/';
	}
	if (is_file)
		close(openat(store.fd, path, O_WRONLY | O_CREAT, 0644));
	else
		mkdirat(store.fd, path, 0755);
}

static void
install(const char *name, const char *version)
{
	char path[PATH_MAX];

	assert_true(store_folder("", name, version, path));
	make(path, false);
	snprintf(path, sizeof(path), "%s/.versions/%s/pinned.yaml", name, version);
	make(path, true);
}

static bool
exists(const char *path)
{
	return !faccessat(store.fd, path, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void
test_a_version_is_chosen(void **state)
{
	char version[STORE_VERSION_BYTES] = "";

	(void)state;
	assert_int_equal(store_current(store.fd, "echo", version), PLUG_ENOTFOUND);
	assert_int_equal(store_choose(store.fd, "echo", "1.0.0"), PLUG_ENOTFOUND);
	install("echo", "1.0.0");
	install("echo", "2.0.0-rc.1");
	assert_int_equal(store_choose(store.fd, "echo", "1.0.0"), PLUG_OK);
	assert_int_equal(store_current(store.fd, "echo", version), PLUG_OK);
	assert_string_equal(version, "1.0.0");
	make("echo/.current.new", true); /* of one that was killed */
	assert_int_equal(store_choose(store.fd, "echo", "2.0.0-rc.1"), PLUG_OK);
	assert_int_equal(store_current(store.fd, "echo", version), PLUG_OK);
	assert_string_equal(version, "2.0.0-rc.1");
	assert_true(exists("echo/current/."));
	assert_false(exists("echo/.current.new"));
}

static void
test_the_chosen_version_is_not_removed(void **state)
{
	char version[STORE_VERSION_BYTES] = "";

	(void)state;
	install("echo", "1.0.0");
	install("echo", "2.0.0");
	assert_int_equal(store_choose(store.fd, "echo", "1.0.0"), PLUG_OK);
	assert_int_equal(store_remove_version(&store, "echo", "1.0.0"), PLUG_ESTATE);
	assert_true(exists("echo/current/."));
	assert_int_equal(store_remove_version(&store, "echo", "2.0.0"), PLUG_OK);
	assert_false(exists("echo/.versions/2.0.0"));
	assert_int_equal(store_remove_version(&store, "echo", "2.0.0"), PLUG_ESYS);
	assert_int_equal(store_choose(store.fd, "echo", "2.0.0"), PLUG_ENOTFOUND);
	assert_int_equal(store_current(store.fd, "echo", version), PLUG_OK);
	assert_string_equal(version, "1.0.0");
}

/* ---- another process, at the worst moment ---- */

int __real_renameat(int from, const char *old, int to, const char *path);
int __wrap_renameat(int from, const char *old, int to, const char *path);

static void (*before_rename)(void); /* once */

int
__wrap_renameat(int from, const char *old, int to, const char *path)
{
	void (*hook)(void) = before_rename;

	before_rename = NULL;
	if (hook)
		hook();
	return __real_renameat(from, old, to, path);
}

static void
choose_the_second(void)
{
	assert_int_equal(store_choose(store.fd, "echo", "2.0.0"), PLUG_OK);
}

static void
remove_the_second(void)
{
	assert_int_equal(store_remove_version(&store, "echo", "2.0.0"), PLUG_OK);
}

static void
remove_both(void)
{
	remove_the_second();
	assert_int_equal(unlinkat(store.fd, "echo/current", 0), 0);
	assert_int_equal(store_remove_version(&store, "echo", "1.0.0"), PLUG_OK);
	assert_int_equal(symlinkat(".versions/1.0.0/echo", store.fd, "echo/current"), 0);
}

static void
install_two(void)
{
	install("echo", "1.0.0");
	install("echo", "2.0.0");
	assert_int_equal(store_choose(store.fd, "echo", "1.0.0"), PLUG_OK);
}

static void
test_one_that_is_chosen_while_it_is_removed(void **state)
{
	char version[STORE_VERSION_BYTES] = "";

	(void)state;
	install_two();
	before_rename = choose_the_second;
	assert_int_equal(store_remove_version(&store, "echo", "2.0.0"), PLUG_ESTATE);
	assert_int_equal(store_current(store.fd, "echo", version), PLUG_OK);
	assert_string_equal(version, "2.0.0");
	assert_true(exists("echo/current/."));
}

static void
test_one_that_is_removed_while_it_is_chosen(void **state)
{
	char version[STORE_VERSION_BYTES] = "";

	(void)state;
	install_two();
	before_rename = remove_the_second;
	assert_int_equal(store_choose(store.fd, "echo", "2.0.0"), PLUG_ENOTFOUND);
	assert_int_equal(store_current(store.fd, "echo", version), PLUG_OK);
	assert_string_equal(version, "1.0.0");
	assert_true(exists("echo/current/."));
}

static void
test_all_are_removed_while_one_is_chosen(void **state)
{
	(void)state;
	install_two();
	before_rename = remove_both;
	assert_int_equal(store_choose(store.fd, "echo", "2.0.0"), PLUG_ENOTFOUND);
	assert_false(exists("echo/current"));
}

static void
test_a_link_of_somebody_elses_is_no_version(void **state)
{
	const char *const targets[] = {"/etc",
				       "..",
				       ".versions/1.0.0",
				       ".versions/1.0.0/other",
				       ".versions/x/echo",
				       ".versions/1.0.0/echo/more",
				       ".versions/../echo"};
	char version[STORE_VERSION_BYTES];

	(void)state;
	make("echo", false);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		assert_int_equal(symlinkat(targets[i], store.fd, "echo/current"), 0);
		assert_int_equal(store_current(store.fd, "echo", version), PLUG_EINVAL);
		unlinkat(store.fd, "echo/current", 0);
	}
	assert_int_equal(store_current(store.fd, "../echo", version), PLUG_EINVAL);
}

static void
test_folders_are_named_and_recognised(void **state)
{
	char path[PATH_MAX], name[STORE_NAME_BYTES], version[STORE_VERSION_BYTES];
	const char *const others[] = {"/s",
				      "/s/",
				      "/s/a/.versions/1.0.0",
				      "/s/a/.versions/1.0.0/b",
				      "/s/a/1.0.0/a",
				      "/sx/a/.versions/1.0.0/a",
				      "/s/a/.versions/1/a",
				      "/s/A/.versions/1.0.0/A",
				      "/s/a/.versions/1.0.0/a/x",
				      "a/.versions/1.0.0/a"};

	(void)state;
	assert_true(store_folder("/s", "a", "1.0.0", path));
	assert_string_equal(path, "/s/a/.versions/1.0.0/a");
	assert_true(store_parse_folder("/s", path, name, version));
	assert_string_equal(name, "a");
	assert_string_equal(version, "1.0.0");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(store_parse_folder("/s", others[i], name, version));
	assert_false(store_parse_folder("", path, name, version));
}

static void
test_leftovers_are_swept(void **state)
{
	(void)state;
	install("echo", "1.0.0");
	assert_int_equal(store_choose(store.fd, "echo", "1.0.0"), PLUG_OK);
	make("echo/.versions/2.0.0/echo/half", true);
	make("fresh/.versions/1.0.0/fresh/half", true);
	make(".stage-1/tree/a/b/c", true);
	make("gone/.versions/1.0.0/gone", false);
	assert_int_equal(symlinkat(".versions/1.0.0/gone", store.fd, "gone/current"), 0);
	make("my-own/plugin.yaml", true);
	assert_true(store_sweep(&store) > 0);
	assert_true(exists("echo/current/."));
	assert_false(exists("echo/.versions/2.0.0"));
	assert_false(exists("fresh"));
	assert_false(exists("gone"));
	assert_false(exists(".stage-1"));
	assert_true(exists("my-own/plugin.yaml")); /* no affair of ours */
	assert_int_equal(store_sweep(&store), 0);
}

static void
test_links_are_removed_and_not_followed(void **state)
{
	char outside[64];

	(void)state;
	snprintf(outside, sizeof(outside), "%s/echo/kept", base);
	make("echo/kept", true);
	make(".stage-2/d", false);
	assert_int_equal(symlinkat("../echo", store.fd, ".stage-2/link"), 0);
	assert_int_equal(fchmodat(store.fd, ".stage-2/d", 0, 0), 0);
	store_sweep(&store);
	assert_false(exists(".stage-2"));
	assert_int_equal(access(outside, F_OK), 0);
}

static void
test_one_changes_it_at_a_time(void **state)
{
	struct store other = STORE_INIT;
	struct reason why = {""};

	(void)state;
	assert_int_equal(store_open(base, false, &other, &why), PLUG_OK);
	assert_int_equal(store_lock(&other, 0, &why), PLUG_EBUSY);
	store_close(&store);
	assert_int_equal(store_lock(&other, 0, &why), PLUG_OK);
	store_close(&other);
}

static void
test_others_may_not_write_there(void **state)
{
	struct store other = STORE_INIT;
	struct store_keys keys;
	struct reason why = {""};

	(void)state;
	assert_int_equal(fchmod(store.fd, 0777), 0);
	assert_int_equal(store_open(base, false, &other, &why), PLUG_EDENIED);
	assert_non_null(strstr(why.text, "chmod go-w"));
	assert_int_equal(store_keys_read(base, &keys, &why), PLUG_EDENIED);
	assert_int_equal(fchmod(store.fd, 0755), 0);
}

static void
test_a_store_that_is_not_there(void **state)
{
	struct store other = STORE_INIT;
	struct reason why = {""};

	(void)state;
	assert_int_equal(store_open("/tmp/there/is/none", false, &other, &why), PLUG_ENOTFOUND);
}

static void
test_a_tree_is_synced_with_what_is_in_it(void **state)
{
	(void)state;
	make("t/a/b", true);
	assert_int_equal(symlinkat("nowhere", store.fd, "t/a/link"), 0);
	assert_int_equal(store_sync_tree(store.fd, "t"), PLUG_OK);
	assert_int_equal(store_sync_tree(store.fd, "missing"), PLUG_ESYS);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_version_is_chosen),
		TEST(test_the_chosen_version_is_not_removed),
		TEST(test_one_that_is_chosen_while_it_is_removed),
		TEST(test_one_that_is_removed_while_it_is_chosen),
		TEST(test_all_are_removed_while_one_is_chosen),
		TEST(test_a_link_of_somebody_elses_is_no_version),
		TEST(test_folders_are_named_and_recognised),
		TEST(test_leftovers_are_swept),
		TEST(test_links_are_removed_and_not_followed),
		TEST(test_one_changes_it_at_a_time),
		TEST(test_others_may_not_write_there),
		TEST(test_a_store_that_is_not_there),
		TEST(test_a_tree_is_synced_with_what_is_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
