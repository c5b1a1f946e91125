/* Numbers as people read them.  No locale, no allocation. */
#ifndef PLUGCTL_FORMAT_H
#define PLUGCTL_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define FORMAT_BYTES 40 /* enough for each of these */

/* "850ms" "12.3s" "30s" "4m12s" "3h05m" "2d04h"; what is below the last digit is cut off */
const char *format_duration(uint64_t ms, char buffer[FORMAT_BYTES]);

/* "7us" "1.25ms" "310ms" "2.1s" */
const char *format_latency(uint64_t us, char buffer[FORMAT_BYTES]);

/* "128ns" "4.09us" "1.25ms" */
const char *format_ns(uint64_t ns, char buffer[FORMAT_BYTES]);

/* "0 B" "512 B" "84.2 MiB" */
const char *format_size(uint64_t bytes, char buffer[FORMAT_BYTES]);

/* Local time, "2025-11-21 00:31:02.123" */
const char *format_time(uint64_t epoch_ms, char buffer[FORMAT_BYTES]);

/* How long before now_ms: "12.3s ago"; "never" for 0. */
const char *format_ago(uint64_t epoch_ms, uint64_t now_ms, char buffer[FORMAT_BYTES]);

uint64_t format_now_ms(void); /* since the epoch */

/* Columns that UTF-8 text takes on a terminal, wide characters not considered. */
size_t format_columns(const char *text);

#endif
