#include "log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "utf8.h"

#define LINE_BYTES 2048

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const format_names[] = {"text", "json"};

static enum log_level min_level = LOG_INFO;
static enum log_format line_format = LOG_TEXT;
static uint64_t dropped;

static int
name_index(const char *const *names, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i], text))
			return (int)i;
	return -1;
}

int
log_level_parse(const char *text, enum log_level *ret)
{
	int index = name_index(level_names, ARRAY_SIZE(level_names), text);

	if (index < 0)
		return -1;
	*ret = (enum log_level)index;
	return 0;
}

int
log_format_parse(const char *text, enum log_format *ret)
{
	int index = name_index(format_names, ARRAY_SIZE(format_names), text);

	if (index < 0)
		return -1;
	*ret = (enum log_format)index;
	return 0;
}

const char *
log_level_name(enum log_level level)
{
	return level_names[level];
}

void
log_configure(enum log_level level, enum log_format format)
{
	min_level = level;
	line_format = format;
}

uint64_t
log_dropped(void)
{
	return dropped;
}

void
log_add_dropped(uint64_t lines)
{
	dropped += lines;
}

static size_t
stamp(char *out, size_t size)
{
	uint64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm utc;
	size_t length;

	gmtime_r(&seconds, &utc);
	length = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
	return length +
	       (size_t)snprintf(out + length, size - length, ".%03uZ", (unsigned)(now % 1000));
}

/* What `text` begins with, made fit for a line; *ret_taken says how much of it that was. */
static size_t
put_character(char *out, size_t size, const char *text, size_t left, bool json, size_t *ret_taken)
{
	size_t bytes = utf8_sequence(text, left);
	unsigned char c = bytes ? (unsigned char)*text : '?';

	*ret_taken = bytes ? bytes : 1;
	if (c < 0x20 || c == 0x7f)
		return (size_t)snprintf(out, size, json ? "\\u%04x" : "\\x%02x", c);
	if (json && (c == '"' || c == '\\'))
		return (size_t)snprintf(out, size, "\\%c", c);
	if (bytes > 1)
		memcpy(out, text, bytes);
	else
		*out = (char)c;
	return *ret_taken;
}

/* Escapes for a JSON string, and keeps control characters out of the text format too.  A text may
 * come from anybody and may have been cut anywhere: the line is UTF-8 all the same. */
static size_t
put_escaped(char *out, size_t size, const char *text, bool json)
{
	size_t used = 0, left = strlen(text), taken;

	for (; left && used + 7 < size; text += taken, left -= taken)
		used += put_character(out + used, size - used, text, left, json, &taken);
	out[used] = '\0';
	return used;
}

static size_t
format_text(char *line, enum log_level level, const char *plugin, int64_t pid, const char *message)
{
	size_t used = stamp(line, LINE_BYTES);

	used += (size_t)snprintf(line + used, LINE_BYTES - used, " %-5s ", level_names[level]);
	if (plugin)
		used += (size_t)snprintf(line + used, LINE_BYTES - used, "%s", plugin);
	if (pid > 0)
		used += (size_t)snprintf(line + used, LINE_BYTES - used, "[%lld]", (long long)pid);
	if (plugin || pid > 0)
		used += (size_t)snprintf(line + used, LINE_BYTES - used, ": ");
	return used + put_escaped(line + used, LINE_BYTES - used - 2, message, false);
}

static size_t
format_json(char *line, enum log_level level, const char *plugin, int64_t pid, const char *message)
{
	size_t used = (size_t)snprintf(line, LINE_BYTES, "{\"time\":\"");

	used += stamp(line + used, LINE_BYTES - used);
	used += (size_t)snprintf(line + used, LINE_BYTES - used, "\",\"level\":\"%s\"",
				 level_names[level]);
	if (plugin)
		used += (size_t)snprintf(line + used, LINE_BYTES - used, ",\"plugin\":\"%s\"",
					 plugin);
	if (pid > 0)
		used += (size_t)snprintf(line + used, LINE_BYTES - used, ",\"pid\":%lld",
					 (long long)pid);
	used += (size_t)snprintf(line + used, LINE_BYTES - used, ",\"message\":\"");
	used += put_escaped(line + used, LINE_BYTES - used - 4, message, true);
	used += (size_t)snprintf(line + used, LINE_BYTES - used, "\"}");
	return used;
}

/* Would a write of at most PIPE_BUF bytes be taken at once?  Nobody may be reading the pipe. */
static bool
stderr_takes_a_line(void)
{
	struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&wait, 1, 0) == 1 && wait.revents & POLLOUT;
}

void
log_line(enum log_level level, const char *plugin, int64_t pid, const char *format, ...)
{
	char message[LINE_BYTES - 256], line[LINE_BYTES];
	size_t used;
	va_list ap;

	if (level < min_level)
		return;
	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	used = line_format == LOG_JSON ? format_json(line, level, plugin, pid, message)
				       : format_text(line, level, plugin, pid, message);
	line[used++] = '\n';
	if (!stderr_takes_a_line() || write(STDERR_FILENO, line, used) != (ssize_t)used)
		dropped++;
}
