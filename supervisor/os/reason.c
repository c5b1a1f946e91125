#include "os/reason.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

plug_err
reason_set(struct reason *why, plug_err err, const char *format, ...)
{
	int saved = errno;
	va_list ap;

	if (!why)
		return err;
	va_start(ap, format);
	vsnprintf(why->text, sizeof(why->text), format, ap);
	va_end(ap);
	errno = saved;
	return err;
}
