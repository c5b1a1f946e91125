/*
 * echo, the smallest useful plugin: every method is a function, and main() hands the table of them
 * to libplug.
 */
#include <jansson.h>
#include <plug/plugin.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Read the call's JSON arguments into variables, as json_unpack() does ("s?I": optional integer).
 * Returns the object, to be released with json_decref(), or NULL after plug_fail().
 */
static json_t *
arguments(struct plug_call *call, const char *format, ...)
{
	json_error_t error;
	size_t size;
	const char *text = plug_call_payload(call, &size);
	json_t *args = size ? json_loadb(text, size, 0, &error) : json_object();
	bool ok = args != NULL;
	va_list ap;

	va_start(ap, format);
	ok = ok && json_vunpack_ex(args, &error, 0, format, ap) == 0;
	va_end(ap);
	if (ok)
		return args;
	plug_fail(call, PLUG_EINVAL, "the arguments: %s", error.text);
	json_decref(args);
	return NULL;
}

static plug_err
echo(struct plug_call *call, void *user)
{
	size_t size;
	const void *data = plug_call_payload(call, &size);

	(void)user;
	return plug_reply(call, NULL, data, size);
}

static plug_err
nap(struct plug_call *call, void *user)
{
	json_int_t ms = 1000;
	json_t *args = arguments(call, "{s?I}", "ms", &ms);

	(void)user;
	if (!args)
		return PLUG_EINVAL;
	json_decref(args);
	if (ms < 0)
		return plug_fail(call, PLUG_EINVAL, "ms is less than 0");
	return plug_call_sleep(call, (uint64_t)ms);
}

static plug_err
fail(struct plug_call *call, void *user)
{
	const char *message = "failed as asked";
	int code = PLUG_EPLUGIN;
	json_t *args = arguments(call, "{s?s s?i}", "message", &message, "code", &code);
	plug_err err = args ? plug_fail(call, (plug_err)code, "%s", message) : PLUG_EINVAL;

	(void)user;
	json_decref(args);
	return err;
}

static plug_err
stream(struct plug_call *call, void *user)
{
	json_int_t count = 10, interval = 0;
	json_t *args = arguments(call, "{s?I s?I}", "count", &count, "interval_ms", &interval);
	plug_err err = args ? PLUG_OK : PLUG_EINVAL;
	char piece[64];

	(void)user;
	json_decref(args);
	for (json_int_t i = 0; i < count && err == PLUG_OK; i++) {
		int n = snprintf(piece, sizeof(piece), "{\"piece\": %lld}", (long long)i);

		err = plug_reply_piece(call, "application/json", piece, (size_t)n);
		if (err == PLUG_OK && interval > 0)
			err = plug_call_sleep(call, (uint64_t)interval);
	}
	return err; /* PLUG_OK without plug_reply() is an empty answer */
}

static plug_err
crash(struct plug_call *call, void *user)
{
	const char *name = "";
	int status = -1;
	json_t *args = arguments(call, "{s?s s?i}", "signal", &name, "exit", &status);

	(void)user;
	if (!args)
		return PLUG_EINVAL;
	if (strcmp(name, "SEGV") == 0)
		raise(SIGSEGV);
	if (strcmp(name, "ABRT") == 0)
		raise(SIGABRT);
	if (strcmp(name, "KILL") == 0)
		raise(SIGKILL);
	if (status >= 0)
		_exit(status);
	json_decref(args);
	return plug_fail(call, PLUG_EINVAL,
			 "expected {\"signal\": \"SEGV\", \"ABRT\" or \"KILL\"} "
			 "or {\"exit\": N}");
}

static plug_err
hang(struct plug_call *call, void *user)
{
	(void)user;
	while (call) /* and never a look at plug_call_cancelled() */
		sleep(3600);
	return PLUG_OK;
}

int
main(void)
{
	static const struct plug_method methods[] = {
		{"echo", echo, PLUG_METHOD_IDEMPOTENT, 0, "returns what it is given"},
		{"sleep", nap, 0, 0, "sleeps for `ms` milliseconds, or until cancelled"},
		{"fail", fail, 0, 0, "fails with `message` and `code`"},
		{"stream", stream, PLUG_METHOD_STREAM, 0, "`count` pieces, `interval_ms` apart"},
		{"crash", crash, 0, 0, "ends the process by `signal` or with status `exit`"},
		{"hang", hang, 0, 0, "never returns, even when cancelled"},
		{0},
	};
	struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = "echo",
		.version = "0.1.0",
		.contract = "interface",
		.methods = methods,
	};

	return plug_main(&config);
}
