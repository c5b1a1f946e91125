#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "format.h"

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static const struct {
	uint64_t value;
	const char *text;
} durations[] =
	{
		{0, "0ms"},
		{999, "999ms"},
		{SECOND, "1s"},
		{SECOND + 1, "1.0s"},
		{12345, "12.3s"},
		{30 * SECOND, "30s"},
		{MINUTE - 1, "59.9s"},
		{MINUTE, "1m"},
		{4 * MINUTE + 12 * SECOND, "4m12s"},
		{4 * MINUTE + 5 * SECOND, "4m05s"},
		{HOUR - 1, "59m59s"},
		{HOUR, "1h"},
		{3 * HOUR + 5 * MINUTE, "3h05m"},
		{DAY - 1, "23h59m"},
		{2 * DAY + 4 * HOUR, "2d04h"},
		{400 * DAY, "400d"},
		{UINT64_MAX, "213503982334d14h"},
},
  sizes[] =
	  {
		  {0, "0 B"},
		  {1023, "1023 B"},
		  {1024, "1.0 KiB"},
		  {1536, "1.5 KiB"},
		  {1024 * 1024 - 1, "1.0 MiB"}, /* never "1024.0 KiB" */
		  {88342528, "84.2 MiB"},
		  {1ull << 30, "1.0 GiB"},
		  {UINT64_MAX, "16.0 EiB"},
},
  latencies[] =
	  {
		  {0, "0us"},         {999, "999us"},    {1000, "1.00ms"},  {1259, "1.25ms"},
		  {99999, "99.99ms"}, {100000, "100ms"}, {2100000, "2.1s"},
},
  nanoseconds[] = {
	  {0, "0ns"},         {999, "999ns"},    {1000, "1.00us"},    {4096, "4.09us"},
	  {99999, "99.99us"}, {100000, "100us"}, {2100000, "2.10ms"},
};

static void
test_numbers(void **state)
{
	char text[FORMAT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++)
		assert_string_equal(format_duration(durations[i].value, text), durations[i].text);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		assert_string_equal(format_size(sizes[i].value, text), sizes[i].text);
	for (size_t i = 0; i < sizeof(latencies) / sizeof(*latencies); i++)
		assert_string_equal(format_latency(latencies[i].value, text), latencies[i].text);
	for (size_t i = 0; i < sizeof(nanoseconds) / sizeof(*nanoseconds); i++)
		assert_string_equal(format_ns(nanoseconds[i].value, text), nanoseconds[i].text);
}

static void
test_times(void **state)
{
	char text[FORMAT_BYTES];

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(format_time(1763685062123ull, text), "2025-11-21 00:31:02.123");
	assert_string_equal(format_time(0, text), "1970-01-01 00:00:00.000");
	assert_true(*format_time(UINT64_MAX, text)); /* whatever a broken clock says */
	assert_string_equal(format_ago(0, 5000, text), "never");
	assert_string_equal(format_ago(1000, 13300, text), "12.3s ago");
	assert_string_equal(format_ago(2000, 1000, text), "0ms ago");
}

static void
test_columns(void **state)
{
	(void)state;
	assert_int_equal(format_columns(""), 0);
	assert_int_equal(format_columns("abc"), 3);
	assert_int_equal(format_columns("über…"), 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_columns),
	};

	return cmocka_run_group_tests_name("plugctl_format", tests, NULL, NULL);
}
