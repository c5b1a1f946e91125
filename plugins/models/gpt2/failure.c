#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

int
failf(struct failure *failure, const char *format, ...)
{
	va_list args;

	if (!failure)
		return -1;
	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	return -1;
}

int
fail_memory(struct failure *failure, const char *doing)
{
	return failf(failure, "out of memory while %s", doing);
}
