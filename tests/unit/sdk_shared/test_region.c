/* Regions: what the maker promises by seals, what a reader checks, what a peer cannot do. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "region.h"

#define BYTES PLUG_REGION_BYTES

static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL};
#define SEALS ((int)(sizeof(seals) / sizeof(*seals)))

static void
make(struct plugs_region *region, int *fd)
{
	assert_int_equal(plugs_region_make(PLUG_SIDE_CALLER, 0, BYTES, region, fd), PLUG_OK);
}

/* It is refused with a text that says `expected`, and nothing was mapped. */
static void
expect_refused(int fd, enum plug_region_side side, uint64_t bytes, const char *expected)
{
	struct plugs_region untouched = {.ring_bytes = 5}, region = untouched;
	const char *why = NULL;

	assert_int_equal(plugs_region_map(fd, side, bytes, &region, &why), PLUG_EPROTO);
	assert_non_null(why);
	if (!strstr(why, expected))
		fail_msg("it says \"%s\", expected \"%s\"", why, expected);
	assert_memory_equal(&region, &untouched, sizeof(region));
}

/* ---- made and mapped ---- */

static void
test_made_and_mapped(void **state)
{
	static const uint64_t sizes[] = {PLUG_REGION_BYTES_MIN, BYTES, PLUG_REGION_BYTES_MAX};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct plugs_region own, seen;
		const char *why = NULL;
		struct stat st;
		int fd = -1;

		assert_int_equal(plugs_region_make(PLUG_SIDE_PLUGIN, 42, sizes[i], &own, &fd),
				 PLUG_OK);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, sizes[i]);
		assert_true((uint64_t)st.st_blocks * 512 >= sizes[i]); /* its memory is there */
		assert_int_equal(plugs_region_map(fd, PLUG_SIDE_PLUGIN, sizes[i], &seen, &why),
				 PLUG_OK);
		close(fd);
		assert_int_equal(seen.head->channel, 42);
		assert_int_equal(seen.ring_bytes, sizes[i] - PLUG_REGION_HEAD);
		assert_int_equal(seen.region_bytes, sizes[i]);
		own.ring[0] = 1;
		own.ring[own.ring_bytes - 1] = 2;
		assert_int_equal(seen.ring[0], 1);
		assert_int_equal(seen.ring[seen.ring_bytes], 1); /* the same once more */
		assert_int_equal(seen.ring[2 * seen.ring_bytes - 1], 2);
		own.ring[own.ring_bytes] = 3;
		assert_int_equal(seen.ring[0], 3);
		plugs_region_fini(&seen);
		plugs_region_fini(&own);
		plugs_region_fini(&own); /* twice is allowed */
	}
}

static void
test_sizes_that_are_none(void **state)
{
	static const uint64_t sizes[] = {0,
					 1,
					 4096,
					 PLUG_REGION_BYTES_MIN - 4096,
					 PLUG_REGION_BYTES_MIN + 8,
					 PLUG_REGION_BYTES_MAX + 4096,
					 1ull << 40,
					 UINT64_MAX - 4095,
					 UINT64_MAX};
	struct plugs_region own, region;
	int fd = -1, none = -1;

	(void)state;
	make(&own, &fd);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_int_equal(plugs_region_make(PLUG_SIDE_CALLER, 0, sizes[i], &region, &none),
				 PLUG_EINVAL);
		expect_refused(fd, PLUG_SIDE_CALLER, sizes[i], "out of range");
	}
	close(fd);
	plugs_region_fini(&own);
}

/* ---- what a reader refuses ---- */

/* A memfd with the head of a region, as a maker would have made it, with those seals. */
static int
handmade(uint64_t file_bytes, const struct plug_region_head *head, int with_seals)
{
	int fd = memfd_create("handmade", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)file_bytes), 0);
	assert_int_equal(pwrite(fd, head, sizeof(*head), 0), sizeof(*head));
	if (with_seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, with_seals), 0);
	return fd;
}

static struct plug_region_head
right_head(void)
{
	return (struct plug_region_head){.magic = PLUG_REGION_MAGIC,
					 .version = PLUG_REGION_VERSION,
					 .side = PLUG_SIDE_CALLER,
					 .region_bytes = BYTES};
}

static int
all_seals(void)
{
	int all = 0;

	for (int i = 0; i < SEALS; i++)
		all |= seals[i];
	return all;
}

static void
test_every_seal_must_be_there(void **state)
{
	struct plug_region_head head = right_head();
	struct plugs_region region;
	const char *why = NULL;
	int fd = handmade(BYTES, &head, all_seals());

	(void)state;
	assert_int_equal(plugs_region_map(fd, PLUG_SIDE_CALLER, BYTES, &region, &why), PLUG_OK);
	plugs_region_fini(&region);
	close(fd);
	for (int i = 0; i < SEALS; i++) {
		fd = handmade(BYTES, &head, all_seals() & ~seals[i]);
		expect_refused(fd, PLUG_SIDE_CALLER, BYTES, "seals");
		assert_non_null(plugs_sealed(fd, BYTES));
		close(fd);
	}
	fd = handmade(BYTES, &head, 0);
	expect_refused(fd, PLUG_SIDE_CALLER, BYTES, "seals");
	close(fd);
}

static void
test_other_sizes_than_announced(void **state)
{
	static const uint64_t sizes[] = {0x100, BYTES - 4096, BYTES - 1, BYTES + 1, BYTES * 2};
	struct plug_region_head head = right_head();

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		int fd = handmade(sizes[i], &head, all_seals());

		expect_refused(fd, PLUG_SIDE_CALLER, BYTES, "size");
		close(fd);
	}
}

/* Whoever read a hole would pay for it. */
static void
test_holes(void **state)
{
	struct plug_region_head head = right_head();
	int fd = handmade(BYTES, &head, 0);

	(void)state;
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 4096), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, all_seals()), 0);
	expect_refused(fd, PLUG_SIDE_CALLER, BYTES, "holes");
	close(fd);
}

static void
test_heads_that_are_wrong(void **state)
{
	struct plug_region_head heads[5];
	static const char *const texts[] = {"begin", "version", "side", "side", "size"};

	(void)state;
	for (int i = 0; i < 5; i++)
		heads[i] = right_head();
	heads[0].magic++;
	heads[1].version++;
	heads[2].side = PLUG_SIDE_PLUGIN;
	heads[3].side = 0;
	heads[4].region_bytes += 4096;
	for (int i = 0; i < 5; i++) {
		int fd = handmade(BYTES, &heads[i], all_seals());

		expect_refused(fd, PLUG_SIDE_CALLER, BYTES, texts[i]);
		close(fd);
	}
}

static void
test_descriptors_that_are_no_memfd(void **state)
{
	char path[] = "/tmp/plug-test-XXXXXX";
	int fds[8], pair[2], ends[2];

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	fds[0] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	fds[1] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds[2] = mkstemp(path);
	fds[3] = pair[0];
	fds[4] = ends[0];
	fds[5] = open("/", O_PATH | O_CLOEXEC);
	fds[6] = memfd_create("never sealed", MFD_CLOEXEC);
	fds[7] = -1;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fds[2], BYTES), 0);
	assert_int_equal(ftruncate(fds[6], BYTES), 0);
	for (int i = 0; i < 8; i++) {
		expect_refused(fds[i], PLUG_SIDE_CALLER, BYTES, i == 6 || i == 2 ? "" : "no memfd");
		if (fds[i] >= 0)
			close(fds[i]);
	}
	close(pair[1]);
	close(ends[1]);
}

/* ---- what a peer cannot do with the descriptor ---- */

static void
test_it_can_not_be_resized_or_unsealed(void **state)
{
	struct plugs_region own;
	int fd = -1;

	(void)state;
	make(&own, &fd);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, BYTES - 1), -1);
	assert_int_equal(ftruncate(fd, BYTES + 1), -1);
	assert_int_equal(fallocate(fd, 0, 0, BYTES * 2), -1);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
	plugs_region_fini(&own);
}

static void
expect_not_writable(int fd)
{
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(pwrite(fd, "x", 1, 64), -1);
	assert_ptr_equal(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

static void
test_it_can_not_be_written_by_others(void **state)
{
	struct plugs_region own, seen;
	const char *why = NULL;
	char path[64];
	int fd = -1, again;

	(void)state;
	make(&own, &fd);
	expect_not_writable(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	assert_true(again >= 0); /* the file may be opened, but not changed */
	expect_not_writable(again);
	close(again);
	assert_int_equal(open(path, O_RDWR | O_TRUNC | O_CLOEXEC), -1);
	assert_int_equal(plugs_region_map(fd, PLUG_SIDE_CALLER, BYTES, &seen, &why), PLUG_OK);
	assert_int_equal(mprotect(seen.head, PLUG_REGION_HEAD, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	own.ring[9] = 77; /* its maker still can */
	assert_int_equal(seen.ring[9], 77);
	plugs_region_fini(&seen);
	plugs_region_fini(&own);
	close(fd);
}

/* ---- limits ---- */

/* In a child with that limit: what plugs_region_make() returns, and errno. */
static void
expect_under_limit(int resource, rlim_t limit, plug_err expected, int expected_errno)
{
	pid_t child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit rlimit = {limit, RLIM_INFINITY};
		struct plugs_region region;
		int fd;

		getrlimit(resource, &rlimit);
		rlimit.rlim_cur = limit;
		if (setrlimit(resource, &rlimit) < 0)
			_exit(250);
		if (plugs_region_make(PLUG_SIDE_CALLER, 0, BYTES, &region, &fd) != expected)
			_exit(251);
		_exit(errno);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected_errno);
}

static void
test_limits(void **state)
{
	(void)state;
	expect_under_limit(RLIMIT_AS, 4096, PLUG_ENOMEM, ENOMEM);
	expect_under_limit(RLIMIT_FSIZE, BYTES - 1, PLUG_ENOMEM, EFBIG);
	expect_under_limit(RLIMIT_NOFILE, 3, PLUG_ESYS, EMFILE);
}

static void
test_no_address_space_for_the_other_side(void **state)
{
	struct plugs_region own, seen;
	const char *why = NULL;
	int fd = -1, status = 0;
	pid_t child;

	(void)state;
	make(&own, &fd);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit limit = {4096, RLIM_INFINITY};

		if (setrlimit(RLIMIT_AS, &limit) < 0)
			_exit(250);
		_exit(plugs_region_map(fd, PLUG_SIDE_CALLER, BYTES, &seen, &why));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), PLUG_ENOMEM);
	close(fd);
	plugs_region_fini(&own);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_and_mapped),
		cmocka_unit_test(test_sizes_that_are_none),
		cmocka_unit_test(test_every_seal_must_be_there),
		cmocka_unit_test(test_other_sizes_than_announced),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_heads_that_are_wrong),
		cmocka_unit_test(test_descriptors_that_are_no_memfd),
		cmocka_unit_test(test_it_can_not_be_resized_or_unsealed),
		cmocka_unit_test(test_it_can_not_be_written_by_others),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_address_space_for_the_other_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
