/* Functions by name: of this very program, and of files that are no good. */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "symbols.h"

static void
find_me(void)
{
}

static uint64_t
offset_of(void (*function)(void))
{
	struct dl_find_object object;

	assert_int_equal(_dl_find_object((void *)(uintptr_t)function, &object), 0);
	return (uintptr_t)function - object.dlfo_link_map->l_addr;
}

static void
test_a_static_function(void **state)
{
	char text[SYMBOL_BYTES] = "";

	(void)state;
	assert_true(symbols_find("/proc/self/exe", offset_of(find_me), UINT64_MAX, text));
	assert_string_equal(text, "find_me+0x0");
	assert_true(symbols_find("/proc/self/exe", offset_of(find_me) + 1, UINT64_MAX, text));
	assert_string_equal(text, "find_me+0x1");
	assert_false(symbols_find("/proc/self/exe", 1, UINT64_MAX, text));
}

static void
test_what_is_no_such_file(void **state)
{
	char text[SYMBOL_BYTES] = "";

	(void)state;
	assert_false(symbols_find("/proc/self/exe", offset_of(find_me), 1000, text)); /* newer */
	assert_false(symbols_find("/nowhere", 0, UINT64_MAX, text));
	assert_false(symbols_find("/", 0, UINT64_MAX, text));
	assert_false(symbols_find("/dev/zero", 0, UINT64_MAX, text));
	assert_false(symbols_find("/proc/self/maps", 0, UINT64_MAX, text));
	assert_string_equal(text, "");
}

static uint8_t *
own_bytes(size_t *ret_size)
{
	FILE *file = fopen("/proc/self/exe", "re");
	uint8_t *bytes;
	long size;

	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	bytes = malloc((size_t)size);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
	fclose(file);
	*ret_size = (size_t)size;
	return bytes;
}

/* Cut short, and with wrong words in its head and its table of sections: no name, or a wrong one,
 * and nothing worse. */
static void
test_damaged_files(void **state)
{
	char path[] = "/tmp/plug-symbols-XXXXXX", text[SYMBOL_BYTES];
	int fd = mkstemp(path);
	uint64_t sections, offset = offset_of(find_me);
	uint8_t *bytes;
	size_t size;

	(void)state;
	assert_true(fd >= 0);
	bytes = own_bytes(&size);
	memcpy(&sections, bytes + 40, sizeof(sections));
	assert_true(sections < size);
	srand(7);
	for (int round = 0; round < 300; round++) {
		size_t length = round % 3 ? size : (size_t)rand() % size;
		size_t from = round % 2 ? 0 : sections, reach = round % 2 ? 64 : size - sections;
		size_t at = from + (size_t)rand() % reach;
		uint8_t kept = bytes[at];

		bytes[at] = (uint8_t)rand();
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, bytes, length, 0), length);
		bytes[at] = kept;
		symbols_find(path, offset, UINT64_MAX, text);
	}
	free(bytes);
	close(fd);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_static_function),
		cmocka_unit_test(test_what_is_no_such_file),
		cmocka_unit_test(test_damaged_files),
	};

	return cmocka_run_group_tests_name("symbols", tests, NULL, NULL);
}
