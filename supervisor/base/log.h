/*
 * plugd's own log: one line a call, to stderr, as text or JSON, in UTF-8 whatever the text holds.
 *
 * Only who gives up logs, once, with the plugin, the pid, the reason and what happens next; core/
 * never does. Main thread only.  A stderr that cannot be written, or that is a pipe which nobody
 * reads, drops the line and counts it; it never blocks the daemon.
 */
#ifndef PLUGD_LOG_H
#define PLUGD_LOG_H

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

void log_configure(enum log_level level, enum log_format format);

/* 0 on success, -1 when `text` names no level or format. */
int log_level_parse(const char *text, enum log_level *ret);
int log_format_parse(const char *text, enum log_format *ret);

const char *log_level_name(enum log_level level);

void log_line(enum log_level level, const char *plugin, int64_t pid, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define log_debug(...) log_line(LOG_DEBUG, NULL, 0, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, NULL, 0, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, NULL, 0, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, NULL, 0, __VA_ARGS__)

/* Lines that could not be written since the start. */
uint64_t log_dropped(void);
/* Counted before, by another program in this process. */
void log_add_dropped(uint64_t lines);

#endif
