#include "os_support.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "os/kept_list.h"
#include "os/statedir.h"

static char base[64];
static int fd;

static int
setup(void **state)
{
	(void)state;
	make_directory(base, sizeof(base));
	fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(fd);
	remove_directory(base);
	return 0;
}

static void
test_a_list(void **state)
{
	struct kept_list list = {0};

	(void)state;
	assert_int_equal(kept_list_add(&list, "/a", 2), PLUG_OK);
	assert_int_equal(kept_list_add(&list, "/b", 2), PLUG_OK);
	assert_int_equal(kept_list_add(&list, "/a", 2), PLUG_OK); /* once */
	assert_int_equal(list.count, 2);
	assert_int_equal(kept_list_add(&list, "/c", 2), PLUG_ETOOLARGE);
	assert_int_equal(kept_list_add(&list, "", 9), PLUG_EINVAL);
	assert_int_equal(kept_list_add(&list, "/c\n/d", 9), PLUG_EINVAL);
	assert_true(kept_list_remove(&list, "/a"));
	assert_false(kept_list_remove(&list, "/a"));
	assert_true(kept_list_has(&list, "/b"));
	kept_list_fini(&list);
	assert_int_equal(list.count, 0);
}

static void
test_it_is_kept(void **state)
{
	struct kept_list list = {0}, read = {0};
	char *text;
	size_t size;

	(void)state;
	assert_int_equal(kept_list_load(&read, fd, "list", 9), PLUG_OK); /* none */
	kept_list_add(&list, "/with a space", 9);
	kept_list_add(&list, "/b", 9);
	assert_int_equal(kept_list_store(&list, fd, "list"), PLUG_OK);
	assert_int_equal(kept_list_load(&read, fd, "list", 9), PLUG_OK);
	assert_int_equal(read.count, 2);
	assert_string_equal(read.items[0], "/with a space");
	kept_list_fini(&read);
	assert_int_equal(kept_list_load(&read, fd, "list", 1),
			 PLUG_OK); /* no more than there may be */
	assert_int_equal(read.count, 1);
	kept_list_fini(&list);
	assert_int_equal(kept_list_store(&list, fd, "list"), PLUG_OK);
	assert_int_equal(statedir_read(fd, "list", 99, &text, &size), PLUG_ENOTFOUND);
	kept_list_fini(&read);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list),
		cmocka_unit_test(test_it_is_kept),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
