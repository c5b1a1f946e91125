/* Sealed memory: what is refused, and that a page of ours is read-only to others. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/memfd.h"

#define SEALS  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define BYTES  65536u
#define NOBODY 65534

static int
memory(size_t bytes, size_t taken, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	if (taken)
		assert_int_equal(posix_fallocate(fd, 0, (off_t)taken), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static const struct {
	size_t bytes, taken;
	int seals;
	const char *fault; /* what the text has; NULL: none */
} cases[] = {
	{BYTES, BYTES, SEALS, NULL},
	{BYTES, BYTES, SEALS | F_SEAL_WRITE, NULL}, /* more is no harm: nobody writes then */
	{BYTES, BYTES, 0, "not sealed"},
	{BYTES, BYTES, SEALS & ~F_SEAL_SHRINK, "not sealed"},
	{BYTES, BYTES, SEALS & ~F_SEAL_GROW, "not sealed"},
	{BYTES, BYTES, SEALS & ~F_SEAL_FUTURE_WRITE, "not sealed"},
	{BYTES, BYTES, SEALS & ~F_SEAL_SEAL, "not sealed"},
	{BYTES - 1, BYTES - 1, SEALS, "another size"},
	{BYTES + 1, BYTES + 1, SEALS, "another size"},
	{0, 0, SEALS, "another size"},
	{BYTES, 0, SEALS, "holes"},
	{BYTES, BYTES - 4096, SEALS, "holes"},
};

static void
test_what_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd = memory(cases[i].bytes, cases[i].taken, cases[i].seals);
		const char *fault = memfd_fault(fd, BYTES);

		if (cases[i].fault)
			assert_non_null(fault);
		else
			assert_null(fault);
		if (fault && !strstr(fault, cases[i].fault))
			fail_msg("case %zu: \"%s\" does not say \"%s\"", i, fault, cases[i].fault);
		close(fd);
	}
}

static void
test_what_is_no_memfd(void **state)
{
	int ends[2], pair[2];
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_string_equal(memfd_fault(ends[0], BYTES), "is no memfd");
	assert_string_equal(memfd_fault(pair[0], BYTES), "is no memfd");
	assert_string_equal(memfd_fault(file, BYTES), "is no memfd");
	assert_string_equal(memfd_fault(-1, BYTES), "is no memfd");
	for (int i = 0; i < 2; i++) {
		close(ends[i]);
		close(pair[i]);
	}
	close(file);
}

/* Whoever is given the descriptor: no writable mapping, no write, no other size. */
static void
test_a_page_is_read_only_to_others(void **state)
{
	void *page, *theirs;
	int fd;

	(void)state;
	assert_int_equal(memfd_page_new("test-page", 4096, &fd, &page), PLUG_OK);
	assert_int_equal(fcntl(fd, F_GET_SEALS), SEALS & ~F_SEAL_FUTURE_WRITE);
	assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(errno, EACCES);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	theirs = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(theirs != MAP_FAILED);
	assert_int_equal(mprotect(theirs, 4096, PROT_READ | PROT_WRITE), -1);
	strcpy(page, "seen");
	assert_string_equal(theirs, "seen");
	memfd_page_free(page, 4096);
	memfd_page_free(NULL, 4096);
	assert_string_equal(theirs, "seen"); /* the reader keeps it as long as it likes */
	munmap(theirs, 4096);
	close(fd);
}

/* A page that was mapped before an execve is mapped again after it. */
static void
test_a_page_is_mapped_again_by_its_maker(void **state)
{
	void *page, *again;
	int fd;

	(void)state;
	assert_int_equal(memfd_page_new("test-page", 4096, &fd, &page), PLUG_OK);
	strcpy(page, "before");
	memfd_page_free(page, 4096);
	assert_int_equal(memfd_page_map(fd, 4096, &again), PLUG_OK);
	assert_string_equal(again, "before");
	strcpy(again, "after");
	memfd_page_free(again, 4096);
	close(fd);
}

/* Through /proc a descriptor can be opened anew, but by its owner only; and no longer or shorter.
 */
static void
test_another_user_cannot_open_a_page_for_writing(void **state)
{
	char path[64];
	void *page;
	int fd, status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip(); /* only root can become another user */
	assert_int_equal(memfd_page_new("test-page", 4096, &fd, &page), PLUG_OK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	pid = fork();
	if (pid == 0) {
		bool refused = setgid(NOBODY) == 0 && setuid(NOBODY) == 0 &&
			       open(path, O_RDWR) < 0 && errno == EACCES &&
			       mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED;

		_exit(refused ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	memfd_page_free(page, 4096);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_what_is_no_memfd),
		cmocka_unit_test(test_a_page_is_read_only_to_others),
		cmocka_unit_test(test_a_page_is_mapped_again_by_its_maker),
		cmocka_unit_test(test_another_user_cannot_open_a_page_for_writing),
	};

	return cmocka_run_group_tests_name("memfd", tests, NULL, NULL);
}
