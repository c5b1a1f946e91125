#include "failure.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static int
fill(struct failure *failure, bool internal, const char *format, va_list args)
{
	if (!failure)
		return -1;
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	failure->internal = internal;
	return -1;
}

int
failf(struct failure *failure, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fill(failure, false, format, args);
	va_end(args);
	return -1;
}

int
failf_internal(struct failure *failure, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fill(failure, true, format, args);
	va_end(args);
	return -1;
}

int
fail_memory(struct failure *failure, const char *doing)
{
	return failf_internal(failure, "out of memory while %s", doing);
}
