#include "failing.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	bool active, paused, failed;
	enum failing_how how;
	unsigned long spared, count;
} t;

void
failing_begin(unsigned long spared, enum failing_how how)
{
	t.failed = t.paused = false;
	t.how = how;
	t.spared = spared;
	t.count = 0;
	t.active = true;
}

bool
failing_end(void)
{
	t.active = false;
	return t.failed;
}

void
failing_pause(bool paused)
{
	t.paused = paused;
}

unsigned long
failing_count(void)
{
	return t.count;
}

void __sanitizer_print_stack_trace(void) __attribute__((weak));

static bool
fails(void)
{
	if (!t.active || t.paused)
		return false;
	if (t.count++ < t.spared || (t.failed && t.how == FAILING_ONE))
		return false;
	t.failed = true;
	if (getenv("FAILING_TRACE") && __sanitizer_print_stack_trace)
		__sanitizer_print_stack_trace();
	errno = ENOMEM;
	return true;
}

#define WRAP(type, name, parameters, arguments)                  \
	type __real_##name parameters;                           \
	type __wrap_##name parameters;                           \
	type __wrap_##name parameters                            \
	{                                                        \
		return fails() ? NULL : __real_##name arguments; \
	}

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size))
WRAP(char *, strdup, (const char *text), (text))
WRAP(char *, strndup, (const char *text, size_t size), (text, size))
WRAP(FILE *, open_memstream, (char **text, size_t *size), (text, size))

int __wrap_posix_memalign(void **ret, size_t align, size_t size);
int __real_posix_memalign(void **ret, size_t align, size_t size);
int
__wrap_posix_memalign(void **ret, size_t align, size_t size)
{
	return fails() ? ENOMEM : __real_posix_memalign(ret, align, size);
}

int __wrap_vasprintf(char **ret, const char *format, va_list ap)
	__attribute__((format(printf, 2, 0)));
int __real_vasprintf(char **ret, const char *format, va_list ap);
int
__wrap_vasprintf(char **ret, const char *format, va_list ap)
{
	return fails() ? -1 : __real_vasprintf(ret, format, ap);
}

int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
int
__wrap_asprintf(char **ret, const char *format, ...)
{
	va_list ap;
	int length;

	va_start(ap, format);
	length = __wrap_vasprintf(ret, format, ap);
	va_end(ap);
	return length;
}
