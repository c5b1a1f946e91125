#include "os_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/logfile.h"
#include "os/statedir.h"

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
	remove_directory(base);
	return 0;
}

static char *
content(int dir_fd, const char *name)
{
	char *data = NULL;
	size_t size;

	return statedir_read(dir_fd, name, 1u << 24, &data, &size) ? NULL : data;
}

static void
expect_content(int dir_fd, const char *name, const char *expected)
{
	char *data = content(dir_fd, name);

	if (expected) {
		assert_non_null(data);
		assert_string_equal(data, expected);
	} else {
		assert_null(data);
	}
	free(data);
}

static int
open_base(void)
{
	int fd;

	assert_int_equal(statedir_open(base, &fd, NULL), PLUG_OK);
	return fd;
}

static void
test_file_writes_once(void **state)
{
	int fd = open_base();
	struct logfile file;
	struct stat info;

	(void)state;
	logfile_init(&file, fd, "a", 0, 0);
	assert_int_equal(file.fd, -1);
	logfile_flush(&file);
	assert_int_equal(file.fd, -1); /* no line, no file */
	logfile_append(&file, "one", 3);
	logfile_append(&file, "", 0);
	expect_content(fd, "a.log", NULL);
	logfile_flush(&file);
	expect_content(fd, "a.log", "one\n\n");
	assert_int_equal(fstatat(fd, "a.log", &info, 0), 0);
	assert_int_equal(info.st_mode & 07777, 0600);
	assert_null(file.buffer);
	logfile_append(&file, "two", 3);
	logfile_fini(&file);
	expect_content(fd, "a.log", "one\n\ntwo\n");

	logfile_init(&file, fd, "a", 0, 0); /* the next daemon appends */
	logfile_append(&file, "three", 5);
	logfile_fini(&file);
	expect_content(fd, "a.log", "one\n\ntwo\nthree\n");
	assert_int_equal(file.dropped, 0);
	close(fd);
}

static void
test_file_rotation(void **state)
{
	int fd = open_base();
	struct logfile file;

	(void)state;
	logfile_init(&file, fd, "r", 10, 2);
	for (int i = 0; i < 8; i++) {
		char line[8];

		snprintf(line, sizeof(line), "%d234", i);
		logfile_append(&file, line, 4);
	}
	logfile_flush(&file); /* two lines of five bytes fit a file, so four files: one is gone */
	expect_content(fd, "r.log", "6234\n7234\n");
	expect_content(fd, "r.log.1", "4234\n5234\n");
	expect_content(fd, "r.log.2", "2234\n3234\n");
	expect_content(fd, "r.log.3", NULL);
	logfile_append(&file, "longer than a whole file", 24);
	logfile_append(&file, "x", 1);
	logfile_fini(&file);
	expect_content(fd, "r.log", "x\n");
	expect_content(fd, "r.log.1", "longer than a whole file\n");
	assert_int_equal(file.dropped, 0);

	logfile_init(&file, fd, "t", 10, 0);
	logfile_append(&file, "12345678", 8);
	logfile_append(&file, "abcdefgh", 8);
	logfile_fini(&file);
	expect_content(fd, "t.log", "abcdefgh\n");
	expect_content(fd, "t.log.1", NULL);
	close(fd);
}

static void
test_file_reopen(void **state)
{
	int fd = open_base();
	struct logfile file;

	(void)state;
	logfile_init(&file, fd, "h", 0, 0);
	logfile_append(&file, "before", 6);
	logfile_flush(&file);
	assert_int_equal(renameat(fd, "h.log", fd, "moved"), 0);
	logfile_append(&file, "still", 5);
	logfile_flush(&file);
	logfile_reopen(&file);
	logfile_append(&file, "after", 5);
	logfile_fini(&file);
	expect_content(fd, "moved", "before\nstill\n");
	expect_content(fd, "h.log", "after\n");
	close(fd);
}

/* More than the buffer holds is written early; the order stays. */
static void
test_file_large_volume(void **state)
{
	int fd = open_base();
	struct logfile file;
	size_t lines = 0;
	char *data;

	(void)state;
	logfile_init(&file, fd, "v", 0, 0);
	for (int i = 0; i < 50000; i++) {
		char line[16];

		logfile_append(&file, line, (size_t)snprintf(line, sizeof(line), "%d", i));
		assert_true(file.capacity <= 2 * LOGFILE_BUFFER_BYTES);
	}
	logfile_fini(&file);
	data = content(fd, "v.log");
	for (char *at = data; *at; at = strchr(at, '\n') + 1)
		assert_int_equal(atoi(at), lines++);
	assert_int_equal(lines, 50000);
	free(data);
	close(fd);
}

static void
test_file_that_cannot_be_opened(void **state)
{
	int fd = open_base();
	struct logfile file;

	(void)state;
	mkfifoat(fd, "f.log", 0600);
	logfile_init(&file, fd, "f", 0, 0);
	logfile_append(&file, "a", 1);
	logfile_append(&file, "b", 1);
	logfile_flush(&file); /* a fifo without a reader: neither waits nor fails */
	assert_int_equal(file.dropped, 2);
	assert_int_not_equal(file.error, 0);
	unlinkat(fd, "f.log", 0);
	logfile_append(&file, "c", 1);
	logfile_flush(&file);
	assert_int_equal(file.dropped, 2);
	assert_int_equal(file.error, 0);
	logfile_fini(&file);
	expect_content(fd, "f.log",
		       "-- 2 lines are missing here: No such device or address --\nc\n");
	close(fd);
}

/* On a file system of its own, which is filled up, and emptied again. */
static void
test_file_full_disk(void **state)
{
	char path[128], filler[160], block[4096] = "";
	int fd, fill_fd;
	struct logfile file;
	char *data;

	(void)state;
	snprintf(path, sizeof(path), "%s/disk", base);
	snprintf(filler, sizeof(filler), "%s/filler", path);
	mkdir(path, 0700);
	if (mount("tmpfs", path, "tmpfs", 0, "size=64k,mode=0700")) {
		print_message("cannot mount a small file system: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(statedir_open(path, &fd, NULL), PLUG_OK);
	logfile_init(&file, fd, "d", 0, 0);
	logfile_append(&file, "first", 5);
	logfile_flush(&file);
	fill_fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fill_fd, block, sizeof(block)) == sizeof(block))
		;
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 3; i++)
		logfile_append(&file, block, sizeof(block)); /* some of it fits, no line may half */
	logfile_flush(&file);
	assert_int_equal(file.dropped, 3);
	assert_int_equal(file.error, ENOSPC);
	expect_content(fd, "d.log", "first\n");
	logfile_append(&file, "y", 1);
	close(fill_fd);
	unlink(filler);
	logfile_flush(&file);
	assert_int_equal(file.dropped, 3);
	data = content(fd, "d.log");
	assert_string_equal(data,
			    "first\n-- 3 lines are missing here: No space left on device --\ny\n");
	free(data);
	logfile_fini(&file);
	close(fd);
	umount(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_writes_once),
		cmocka_unit_test(test_file_rotation),
		cmocka_unit_test(test_file_reopen),
		cmocka_unit_test(test_file_large_volume),
		cmocka_unit_test(test_file_that_cannot_be_opened),
		cmocka_unit_test(test_file_full_disk),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
