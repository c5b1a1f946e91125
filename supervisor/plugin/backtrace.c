#include "plugin/backtrace.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "os/exit_status.h"

bool
backtrace_is_meant(const void *bytes, size_t size)
{
	const uint64_t magic = PLUG_TRACE_MAGIC;

	return size >= sizeof(magic) && !memcmp(bytes, &magic, sizeof(magic));
}

static const char *
what_is_wrong(const struct plug_trace *trace)
{
	const struct exit_status status = {.signal = trace->signal};

	if (!exit_status_is_fault(&status))
		return "a backtrace that names no fault signal";
	if (trace->frame_count > PLUG_TRACE_FRAMES || trace->module_count > PLUG_TRACE_MODULES)
		return "a backtrace with more frames or modules than there can be";
	for (uint32_t i = 0; i < trace->frame_count; i++)
		if (trace->frames[i].module >= trace->module_count &&
		    trace->frames[i].module != PLUG_TRACE_MODULES)
			return "a backtrace that names a module it does not have";
	return NULL;
}

static void
clean(char *text, size_t size)
{
	text[size - 1] = '\0';
	utf8_clean(text, strlen(text));
}

const char *
backtrace_take(const void *bytes, size_t size, struct plug_trace **ret_trace)
{
	struct plug_trace *trace;
	const char *wrong;

	if (size != sizeof(*trace))
		return "a backtrace of another size than backtraces have";
	trace = malloc(sizeof(*trace));
	*ret_trace = trace;
	if (!trace)
		return NULL;
	memcpy(trace, bytes, sizeof(*trace));
	wrong = what_is_wrong(trace);
	if (wrong) {
		free(trace);
		*ret_trace = NULL;
		return wrong;
	}
	clean(trace->thread_name, sizeof(trace->thread_name));
	for (size_t i = 0; i < PLUG_TRACE_MODULES; i++)
		clean(trace->modules[i], sizeof(trace->modules[i]));
	return NULL;
}

/* The kernel says who sent it; with other codes, such as SI_QUEUE, the sender does. */
static bool
is_sender_true(const struct plug_trace *trace)
{
	return trace->code == SI_USER || trace->code == SI_TKILL;
}

bool
backtrace_is_from_outside(const struct plug_trace *trace)
{
	return trace->code <= 0 && !(trace->sender == trace->self && is_sender_true(trace));
}

/* Those that say more than the signal's name. */
static const struct {
	int signal, code;
	const char *text;
} codes[] = {
	{SIGSEGV, SEGV_MAPERR, "is not mapped"},
	{SIGSEGV, SEGV_ACCERR, "may not be accessed in this way"},
	{SIGBUS, BUS_ADRALN, "is not aligned"},
	{SIGBUS, BUS_ADRERR, "has no memory behind it: a file that shrank, or none left"},
	{SIGBUS, BUS_OBJERR, "could not be read"},
	{SIGFPE, FPE_INTDIV, "divides an integer by zero"},
	{SIGILL, ILL_ILLOPN, "is no instruction of this processor"},
	{SIGSYS, 1 /* SYS_SECCOMP */, "made a system call that run.system_calls forbids"},
};

const char *
backtrace_origin(const struct plug_trace *trace, char text[BACKTRACE_ORIGIN_BYTES])
{
	if (trace->code <= 0) {
		if (backtrace_is_from_outside(trace))
			snprintf(text, BACKTRACE_ORIGIN_BYTES, "sent by process %d", trace->sender);
		else
			snprintf(text, BACKTRACE_ORIGIN_BYTES, "raised by itself");
		return text;
	}
	snprintf(text, BACKTRACE_ORIGIN_BYTES, "a fault of its own");
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i].signal == trace->signal && codes[i].code == trace->code)
			snprintf(text, BACKTRACE_ORIGIN_BYTES, "address 0x%" PRIx64 " %s",
				 trace->address, codes[i].text);
	return text;
}
