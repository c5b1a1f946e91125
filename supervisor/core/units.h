/*
 * Durations and byte sizes as people write them.
 *
 * A duration is one or more numbers with units, largest first or not: "100ms", "1.5s", "1h30m"; the
 * units are ns us ms s m h d.  A size is one number with an optional unit: "512", "64KiB",
 * "1.5GiB", "10MB"; B, then kB KB MB GB TB (powers of 1000) and K M G T KiB MiB GiB TiB (powers of
 * 1024).  "0" needs no unit. Nothing is rounded up; what lies below one nanosecond or one byte is
 * cut off.
 */
#ifndef PLUGD_UNITS_H
#define PLUGD_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_TEXT_BYTES 64 /* enough for everything that is formatted here */

enum units_err {
	UNITS_OK,
	UNITS_NO_NUMBER,
	UNITS_NO_UNIT,
	UNITS_BAD_UNIT,
	UNITS_TOO_LARGE, /* for the result: above INT64_MAX */
	UNITS_ERR_COUNT,
};

/* *ret is untouched on failure and never above INT64_MAX. */
enum units_err units_duration_ns(const char *text, uint64_t *ret_ns);
enum units_err units_size_bytes(const char *text, uint64_t *ret_bytes);

/* "it has no unit"; static memory. */
const char *units_err_text(enum units_err err);

/* The shortest exact way to write it: "1h30m", "1500us"; "64KiB", "10MB", "1000001". */
void units_format_duration(uint64_t ns, char *buffer, size_t size);
void units_format_size(uint64_t bytes, char *buffer, size_t size);

#endif
