/*
 * Log lines go to plugd as messages; when too many wait there, to stderr, which plugd captures too.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

#define LOG_BYTES      4096 /* longer lines are cut */
#define LOG_FIELDS     64
#define STDERR_WAIT_MS 100

static void
write_stderr(const char *text, size_t size)
{
	struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};

	/* A pipe that polls writable takes PIPE_BUF bytes without blocking. */
	if (poll(&pfd, 1, STDERR_WAIT_MS) == 1 && (pfd.revents & POLLOUT))
		while (write(STDERR_FILENO, text, size) < 0 && errno == EINTR)
			;
}

static void
print_line(const struct plug_plugin *plugin, const char *level, const char *text)
{
	char line[LOG_BYTES];
	int n = snprintf(line, sizeof(line) - 1, "%s: %s%s", plugin->config.name, level, text);
	size_t size = n < 0 ? 0 : (size_t)n < sizeof(line) - 1 ? (size_t)n : sizeof(line) - 2;

	line[size] = '\n';
	write_stderr(line, size + 1);
}

void
plugp_complain(const struct plug_plugin *plugin, const char *format, ...)
{
	char text[LOG_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print_line(plugin, "", text);
}

static void
send_log(struct plug_plugin *plugin, uint64_t call, enum plug_log_level level, const char *message,
	 const struct plug_field *fields)
{
	static const char *const names[] = {"debug: ", "info: ", "warning: ", "error: "};
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__Log log = PLUG__LOG__INIT;
	Plug__Field body[LOG_FIELDS], *list[LOG_FIELDS];

	log.level = level <= PLUG_LOG_ERROR ? (uint32_t)level : PLUG_LOG_ERROR;
	log.message = (char *)message;
	log.call = call;
	log.fields = list;
	for (; fields && fields->key && log.n_fields < LOG_FIELDS; fields++, log.n_fields++) {
		list[log.n_fields] = &body[log.n_fields];
		plug__field__init(list[log.n_fields]);
		list[log.n_fields]->key = (char *)fields->key;
		list[log.n_fields]->value = (char *)(fields->value ? fields->value : "");
	}
	env.body_case = PLUG__ENVELOPE__BODY_LOG;
	env.log = &log;
	if (plugp_outbox_push_log(&plugin->outbox, &env) != PLUG_OK)
		print_line(plugin, names[log.level], message);
}

bool
plug_log_enabled(const struct plug_plugin *plugin, enum plug_log_level level)
{
	return (uint32_t)level >= atomic_load(&plugin->log_level);
}

void
plug_log(struct plug_plugin *plugin, enum plug_log_level level, const char *format, ...)
{
	char text[LOG_BYTES];
	va_list args;

	if (!plug_log_enabled(plugin, level))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_log(plugin, 0, level, text, NULL);
}

void
plug_call_log(struct plug_call *call, enum plug_log_level level, const char *format, ...)
{
	char text[LOG_BYTES];
	va_list args;

	if (!plug_log_enabled(call->plugin, level))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_log(call->plugin, plugp_call_number(call->channel, call->id), level, text, NULL);
}

void
plug_log_fields(struct plug_plugin *plugin, enum plug_log_level level, const char *message,
		const struct plug_field *fields)
{
	if (plug_log_enabled(plugin, level))
		send_log(plugin, 0, level, message, fields);
}
