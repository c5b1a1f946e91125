/* Addresses of the metrics plugin: numbers only, and what is wrong is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "listen.h"

static const char *const bad[] = {
	"",
	":",
	"9464",
	":9464",
	"localhost:9464",
	"127.0.0.1",
	"127.0.0.1:",
	"127.0.0.1:http",
	"127.0.0.1:-1",
	"127.0.0.1:+1",
	"127.0.0.1: 1",
	"127.0.0.1:65536",
	"127.0.0.1:000001",
	"127.0.0.1:1 ",
	"127.0.0.256:1",
	" 127.0.0.1:1",
	"::1:9464",
	"[::1]",
	"[::1]9464",
	"[::1:9464",
	"::1]:9464",
	"[]:9464",
	"[127.0.0.1]:9464",
	"[::1]:x",
	"[[::1]]:1",
	"1111111111111111111111111111111111111111111111111111111111111111111111111111111:1",
};

static void
test_what_is_no_address(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char why[LISTEN_WHY_BYTES] = "";
		int fd = listen_open(bad[i], why);

		if (fd >= 0)
			fail_msg("\"%s\" was accepted", bad[i]);
		if (!strstr(why, "expected ADDRESS:PORT in numbers"))
			fail_msg("\"%s\": %s", bad[i], why);
	}
}

static void
test_what_is_open(void **state)
{
	char why[LISTEN_WHY_BYTES] = "", text[LISTEN_TEXT_BYTES], same[LISTEN_WHY_BYTES];
	int fd = listen_open("127.0.0.1:0", why), other;

	(void)state;
	assert_true(fd >= 0);
	listen_text(fd, text);
	assert_memory_equal(text, "127.0.0.1:", 10);
	assert_true(strcmp(text, "127.0.0.1:0") != 0);
	assert_true(listen_is_loopback(fd));
	assert_int_equal(listen_open(text, same), -1);
	assert_non_null(strstr(same, "is taken by another process"));
	assert_non_null(strstr(same, text));
	close(fd);
	other = listen_open(text, why);
	assert_true(other >= 0);
	close(other);
	fd = listen_open("0.0.0.0:0", why);
	assert_true(fd >= 0);
	assert_false(listen_is_loopback(fd));
	close(fd);
}

static void
test_an_address_of_another_machine(void **state)
{
	char why[LISTEN_WHY_BYTES] = "";

	(void)state;
	assert_int_equal(listen_open("192.0.2.1:9464", why), -1); /* kept for documentation */
	assert_non_null(strstr(why, "no interface of this machine"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_no_address),
		cmocka_unit_test(test_what_is_open),
		cmocka_unit_test(test_an_address_of_another_machine),
	};

	return cmocka_run_group_tests_name("metrics_listen", tests, NULL, NULL);
}
