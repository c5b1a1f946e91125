#include "format.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define SECOND 1000u
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * (uint64_t)HOUR)

/* "4m12s", or "4m" when nothing is left. */
static void
two_units(char buffer[FORMAT_BYTES], uint64_t large, char large_unit, uint64_t small,
	  char small_unit)
{
	if (small)
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 "%c%02" PRIu64 "%c", large, large_unit,
			 small, small_unit);
	else
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 "%c", large, large_unit);
}

const char *
format_duration(uint64_t ms, char buffer[FORMAT_BYTES])
{
	if (ms < SECOND)
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 "ms", ms);
	else if (ms < MINUTE && ms % SECOND)
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 ".%" PRIu64 "s", ms / SECOND,
			 ms % SECOND / 100);
	else if (ms < MINUTE)
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 "s", ms / SECOND);
	else if (ms < HOUR)
		two_units(buffer, ms / MINUTE, 'm', ms % MINUTE / SECOND, 's');
	else if (ms < DAY)
		two_units(buffer, ms / HOUR, 'h', ms % HOUR / MINUTE, 'm');
	else
		two_units(buffer, ms / DAY, 'd', ms % DAY / HOUR, 'h');
	return buffer;
}

const char *
format_latency(uint64_t us, char buffer[FORMAT_BYTES])
{
	if (us < 1000)
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 "us", us);
	else if (us < 100 * 1000)
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 ".%02" PRIu64 "ms", us / 1000,
			 us % 1000 / 10);
	else
		format_duration(us / 1000, buffer);
	return buffer;
}

const char *
format_ns(uint64_t ns, char buffer[FORMAT_BYTES])
{
	if (ns < 1000)
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 "ns", ns);
	else if (ns < 100 * 1000)
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 ".%02" PRIu64 "us", ns / 1000,
			 ns % 1000 / 10);
	else
		format_latency(ns / 1000, buffer);
	return buffer;
}

const char *
format_size(uint64_t bytes, char buffer[FORMAT_BYTES])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 " B", bytes);
		return buffer;
	}
	while (value >= 1023.95) { /* which would be written 1024.0 */
		value /= 1024;
		unit++;
	}
	snprintf(buffer, FORMAT_BYTES, "%.1f %s", value, units[unit]);
	return buffer;
}

const char *
format_time(uint64_t epoch_ms, char buffer[FORMAT_BYTES])
{
	time_t seconds = (time_t)(epoch_ms / 1000);
	struct tm local;
	char date[24];

	if (!localtime_r(&seconds, &local) ||
	    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &local) == 0)
		snprintf(buffer, FORMAT_BYTES, "%" PRIu64 "ms", epoch_ms);
	else
		snprintf(buffer, FORMAT_BYTES, "%s.%03u", date, (unsigned)(epoch_ms % 1000));
	return buffer;
}

const char *
format_ago(uint64_t epoch_ms, uint64_t now_ms, char buffer[FORMAT_BYTES])
{
	char duration[FORMAT_BYTES];

	if (epoch_ms == 0)
		snprintf(buffer, FORMAT_BYTES, "never");
	else
		snprintf(buffer, FORMAT_BYTES, "%.24s ago",
			 format_duration(now_ms > epoch_ms ? now_ms - epoch_ms : 0, duration));
	return buffer;
}

uint64_t
format_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

size_t
format_columns(const char *text)
{
	size_t columns = 0;

	for (; *text; text++)
		columns += ((unsigned char)*text & 0xc0) != 0x80;
	return columns;
}
