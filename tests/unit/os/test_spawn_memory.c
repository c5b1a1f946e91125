#include "os_support.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
is_mapped(pid_t pid, const void *address)
{
	uintptr_t at = (uintptr_t)address, from, to;
	char path[64], line[512];
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	assert_non_null(maps);
	while (!found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2 && at >= from &&
			at < to;
	fclose(maps);
	return found;
}

/* It is seen before it executes, while it has a file to check that takes hours: all of what it
 * needs for that was in the heap. */
static void
test_a_child_has_no_heap(void **state)
{
	static const unsigned char digest[SPAWN_DIGEST_BYTES];
	struct spawn_request request = SPAWN_REQUEST_INIT;
	char *heap = sbrk(4096), directory[64], *path = malloc(128);
	struct spawn_check *check = malloc(sizeof(*check));
	char **argv = calloc(2, sizeof(*argv));
	struct exit_status status;
	struct spawned child;
	int fd;

	(void)state;
	assert_true(heap != (void *)-1);
	memset(heap, 1, 4096);
	make_directory(directory, sizeof(directory));
	snprintf(path, 128, "%s/file", directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, (off_t)1 << 42), 0);
	close(fd);
	*check = (struct spawn_check){.path = path, .fd = -1, .digest = digest};
	argv[0] = strdup("true");
	request.path = "/bin/true";
	request.argv = request.envp = argv;
	request.stdout_fd = request.stderr_fd = STDERR_FILENO;
	request.checks = check;
	request.check_count = 1;
	assert_int_equal(spawn_process(&request, &child), PLUG_OK);
	free(argv[0]);
	free(argv);
	free(check);

	assert_false(is_mapped(child.pid, heap));
	assert_true(is_mapped(getpid(), heap));
	assert_int_equal(*heap, 1);
	assert_false(wait_readable(child.pidfd, 0)); /* it checks */
	kill(child.pid, SIGKILL);
	assert_true(ends(child.pidfd));
	assert_int_equal(exit_status_reap(child.pidfd, &status), PLUG_OK);
	assert_int_equal(status.signal, SIGKILL);
	close(child.pidfd);
	close(child.error_fd);
	remove_directory(directory);
	free(path);
}

/* Again and again, with a heap that grows and shrinks in between. */
static void
test_starts_as_the_heap_changes(void **state)
{
	struct running child;

	(void)state;
	for (size_t i = 1; i <= 20; i++) {
		char *block = malloc(i * 65536);

		memset(block, 1, i * 65536);
		running_start(&child, NULL, "exit", "7");
		assert_int_equal(running_reap(&child).code, 7);
		running_close(&child);
		assert_int_equal(block[i * 65536 - 1], 1);
		free(block);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_child_has_no_heap),
		cmocka_unit_test(test_starts_as_the_heap_changes),
	};

	spawn_heap_starts();
	return cmocka_run_group_tests(tests, become_subreaper, end_what_is_left);
}
