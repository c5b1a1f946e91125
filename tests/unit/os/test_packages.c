#include "os_support.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/packages.h"

static char base[64];    /* has the plugin in "p" and the system's folders in "root" */
static char said[16384]; /* what was told of this check */
static unsigned unmet_count;

static int
setup(void **state)
{
	(void)state;
	make_directory(base, sizeof(base));
	unsetenv("PYTHONPATH");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unsetenv("PYTHONPATH");
	remove_directory(base);
	return 0;
}

/* A folder or, where the path ends without '/', a file, with all that is above it. */
static void
make(const char *path, const char *text)
{
	char whole[PATH_MAX];
	FILE *file;

	snprintf(whole, sizeof(whole), "%s/%s", base, path);
	for (char *at = whole + strlen(base) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(whole, 0755);
		*at = '/';
	}
	if (whole[strlen(whole) - 1] == '/')
		return;
	file = fopen(whole, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
on_unmet(void *context, const struct manifest_package *package, const char *text)
{
	size_t used = strlen(said);

	(void)context;
	snprintf(said + used, sizeof(said) - used, "%s: %s\n", package->name, text);
	unmet_count++;
}

/* Checks with this program and these lines of the manifest; the number of unmet ones. */
static unsigned
check(const char *program, const char *packages, const char *more)
{
	char text[1024], dir[PATH_MAX], root[PATH_MAX], path[PATH_MAX];
	struct manifest_input input = {.source = {.file = "plugin.yaml", .text = text}, .dir = dir};
	struct packages_look look = {.root = root, .program = program};
	struct manifest *manifest;
	struct diags diags;
	bool all;

	snprintf(dir, sizeof(dir), "%s/p", base);
	snprintf(root, sizeof(root), "%s/root", base);
	if (program && *program != '/') {
		snprintf(path, sizeof(path), "%s/%s", base, program);
		look.program = path;
	}
	input.source.length = (size_t)snprintf(
		text, sizeof(text),
		"plugin: p\nversion: 1.0.0\ntype: feature\nexec: [./x]\nrequires: { packages: %s "
		"}\n%s",
		packages, more);
	diags_init(&diags);
	manifest = manifest_parse(&input, &diags);
	assert_non_null(manifest);
	*said = '\0';
	unmet_count = 0;
	look.manifest = manifest;
	all = packages_check(&look, on_unmet, NULL);
	assert_int_equal(all, !unmet_count);
	manifest_free(manifest);
	diags_fini(&diags);
	return unmet_count;
}

static void
assert_said(const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!strstr(said, text))
		fail_msg("expected: %s\nfound: %s", text, said);
}

#define SITE "p/.venv/lib/python3.11/site-packages/"

static void
test_its_own_environment(void **state)
{
	(void)state;
	make("p/.venv/bin/python", "");
	make(SITE "numpy-1.26.4.dist-info/", "");
	make(SITE "ruamel.yaml-0.17.dist-info/", "");
	make(SITE "old_one-1.0-py3.11.egg-info", "a file, as distutils made them");
	make("root/usr/lib/python3/dist-packages/system_only-1.0.dist-info/", "");
	assert_int_equal(check("p/.venv/bin/python",
			       "[\"NumPy >=1.26,<3\", Ruamel-YAML, \"old.one ==1.0\"]", ""),
			 0);
	assert_int_equal(check("p/x", "[numpy]", ""), 0); /* a script beside it */
	assert_int_equal(check("p/.venv/bin/python", "[\"numpy >=2\", system-only, num]", ""), 3);
	assert_said("numpy: found numpy 1.26.4 in %s/p/.venv/lib/python3.11/site-packages; ", base);
	check("p/.venv/bin/python", "[\"numpy ^2\", nope]", "");
	assert_said("site-packages; expected \"numpy ^2\": %s/p/.venv/bin/python -m pip install "
		    "'numpy>=2,==2.*'",
		    base);
	assert_said("nope: found no nope in %s/p/.venv/lib/python3.*; expected \"nope\": ", base);
}

static void
test_a_version_that_is_none(void **state)
{
	(void)state;
	make(SITE "bare.egg-info/", "");
	make(SITE "odd-1.0.x.dist-info/", "");
	make(SITE "rc-2.0rc1.dist-info/", "");
	assert_int_equal(check("p/x", "[bare]", ""), 0);
	assert_int_equal(check("p/x", "[\"bare >=1\"]", ""), 1);
	assert_said("found bare without a version in ");
	assert_int_equal(check("p/x", "[odd]", ""), 1);
	assert_said("found odd 1.0.x in ");
	assert_int_equal(check("p/x", "[\"rc >=1\"]", ""), 1);
	assert_int_equal(check("p/x", "[\"rc >=2.0b1\"]", ""), 0);
}

/* Left by a change of versions that was cut off. */
static void
test_two_of_one_package(void **state)
{
	(void)state;
	make(SITE "a-1.0.dist-info/", "");
	make(SITE "a-2.0.dist-info/", "");
	assert_int_equal(check("p/x", "[\"a ==1.0\"]", ""), 0);
	assert_int_equal(check("p/x", "[\"a ==2.0\"]", ""), 0);
	assert_int_equal(check("p/x", "[\"a ==3.0\"]", ""), 1);
}

static void
test_the_system(void **state)
{
	(void)state;
	make("p/", "");
	make("root/usr/lib/python3/dist-packages/PyYAML-6.0.dist-info/", "");
	make("root/usr/local/lib/python3.11/dist-packages/b-1.0.dist-info/", "");
	make("root/usr/local/lib/python3.12/site-packages/c-1.0.dist-info/", "");
	make("root/usr/local/lib/python3.12/site-packages/PyYAML-7.0.dist-info/", "");
	assert_int_equal(check("/usr/bin/python3", "[pyyaml, b, c]", ""), 0);
	assert_int_equal(check("p/x", "[\"pyyaml ==7.*\", b, c]", ""), 0);
	assert_int_equal(check(NULL, "[nope]", ""), 1);
	assert_said("found no nope in /usr/lib/python3, /usr/local/lib/python3.*; expected "
		    "\"nope\": python3 -m pip install 'nope'");
	/* A Python of its own does not look into an environment that is beside it. */
	make(SITE "d-1.0.dist-info/", "");
	assert_int_equal(check("/usr/bin/python3", "[d]", ""), 1);
	assert_said("/usr/bin/python3 -m pip install 'd'");
	assert_int_equal(check("p/x", "[d]", ""), 0);
}

static void
test_a_system_that_is_not_debian(void **state)
{
	(void)state;
	make("p/", "");
	make("root/usr/lib/python3.12/site-packages/a-1.0.dist-info/", "");
	assert_int_equal(check("/usr/bin/python3", "[a]", ""), 0);
}

static void
test_another_installation(void **state)
{
	char link[PATH_MAX], target[PATH_MAX];

	(void)state;
	make("p/", "");
	make("opt/py/bin/python3.12", "");
	make("opt/py/lib/python3.12/site-packages/a-1.0.dist-info/", "");
	make("root/usr/lib/python3/dist-packages/b-1.0.dist-info/", "");
	make("bin/", "");
	snprintf(target, sizeof(target), "%s/opt/py/bin/python3.12", base);
	snprintf(link, sizeof(link), "%s/bin/python3", base);
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(check("bin/python3", "[a]", ""), 0);
	assert_int_equal(check("bin/python3", "[b]", ""), 1);
	assert_said("found no b in %s/opt/py/lib/python3.*; expected \"b\": %s -m pip install 'b'",
		    base, link);
}

static void
test_an_environment_that_sees_the_system(void **state)
{
	(void)state;
	make("venv/bin/python", "");
	make("venv/lib/python3.11/site-packages/a-2.0.dist-info/", "");
	make("root/usr/lib/python3/dist-packages/a-1.0.dist-info/", "");
	make("root/usr/lib/python3/dist-packages/b-1.0.dist-info/", "");
	make("p/", "");
	make("venv/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n");
	assert_int_equal(check("venv/bin/python", "[\"a ==2.0\"]", ""), 0);
	assert_int_equal(check("venv/bin/python", "[b]", ""), 1);
	make("venv/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = true\n");
	assert_int_equal(check("venv/bin/python", "[b]", ""), 0);
	assert_int_equal(check("venv/bin/python", "[\"a ==1.0\"]", ""), 1); /* it is hidden */
	assert_said("found a 2.0 in %s/venv/lib", base);
}

static void
test_pythonpath(void **state)
{
	char path[PATH_MAX + 32];

	(void)state;
	make(SITE "a-1.0.dist-info/", "");
	make("p/lib/a-2.0.dist-info/", "");
	make("more/b-1.0.dist-info/", "");
	snprintf(path, sizeof(path), "/no/such:%s/more:", base);
	assert_int_equal(check("p/x", "[\"a ==2.0\"]", "run: { env: { PYTHONPATH: lib } }\n"), 0);
	assert_int_equal(check("p/x", "[\"a ==1.0\"]", "run: { env: { PYTHONPATH: lib } }\n"), 1);
	assert_said("found a 2.0 in %s/p/lib", base);
	setenv("PYTHONPATH", path, 1);
	assert_int_equal(check("p/x", "[a, b]", ""), 0);
	assert_int_equal(check("p/x", "[b]", "run: { env: { PYTHONPATH: lib } }\n"), 1);
	assert_int_equal(check("p/x", "[b]", "run: { env_inherit: [PATH] }\n"), 1);
	assert_int_equal(check("p/x", "[b]", "run: { env_inherit: [PATH, PYTHONPATH] }\n"), 0);
}

static void
test_one_that_nobody_has_made(void **state)
{
	static const char own[] = "environment: { python: requirements.txt }\n";

	(void)state;
	make("p/", "");
	make("root/usr/lib/python3/dist-packages/a-1.0.dist-info/", "");
	assert_int_equal(check("p/x", "[a]", own), 1);
	assert_said("found no %s/p/.venv, in which \"a\" is expected; plugctl install makes it",
		    base);
	assert_int_equal(check("p/.venv/bin/python", "[a]", ""), 1);
	assert_int_equal(check("/usr/bin/python3", "[a]", own), 0);
	make(SITE, "");
	assert_int_equal(check("p/x", "[a]", own), 1);
	assert_said("found no a in %s/p/.venv/lib/python3.*", base);
}

/* Nothing that lies there is waited for, followed or read. */
static void
test_what_is_no_folder(void **state)
{
	char fifo[PATH_MAX], link[PATH_MAX], loop[PATH_MAX];

	(void)state;
	make(SITE, "");
	make("else/lib/python3.11/site-packages/a-1.0.dist-info/", "");
	make("p/.venv/lib/python3.9/", "");
	snprintf(fifo, sizeof(fifo), "%s/p/.venv/lib/python3.9/site-packages", base);
	assert_int_equal(mkfifo(fifo, 0644), 0);
	snprintf(fifo, sizeof(fifo), "%s/p/pipe", base);
	assert_int_equal(mkfifo(fifo, 0644), 0);
	snprintf(fifo, sizeof(fifo), "%s/p/.venv/pyvenv.cfg", base);
	assert_int_equal(mkfifo(fifo, 0644), 0);
	snprintf(link, sizeof(link), "%s/p/.venv/lib/python3.10", base);
	assert_int_equal(symlink("../../../else/lib/python3.11", link), 0);
	snprintf(loop, sizeof(loop), "%s/p/.venv/lib/python3.8", base);
	assert_int_equal(symlink("python3.8", loop), 0);
	assert_int_equal(check("p/x", "[a]", "run: { env: { PYTHONPATH: \"pipe:x:./\" } }\n"), 1);
	assert_said("found no a in %s/p/.venv", base);
}

static void
test_a_folder_without_end(void **state)
{
	char path[128];

	(void)state;
	make(SITE, "");
	for (int i = 0; i < PACKAGES_ENTRIES + 100; i++) {
		snprintf(path, sizeof(path), "%s/" SITE "%d", base, i);
		assert_int_equal(mknod(path, S_IFREG | 0644, 0), 0);
	}
	assert_int_equal(check("p/x", "[a]", ""), 1);
	assert_said("found no a among the first entries of %s/p/.venv/lib/python3.*", base);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_its_own_environment),
		TEST(test_a_version_that_is_none),
		TEST(test_two_of_one_package),
		TEST(test_the_system),
		TEST(test_a_system_that_is_not_debian),
		TEST(test_another_installation),
		TEST(test_an_environment_that_sees_the_system),
		TEST(test_pythonpath),
		TEST(test_one_that_nobody_has_made),
		TEST(test_what_is_no_folder),
		TEST(test_a_folder_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
