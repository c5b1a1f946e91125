#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
record_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	fprintf(stderr, "chaos: %s: %s\n", path, strerror(errno));
	exit(70);
}

void
record_line(int fd, const char *format, ...)
{
	char line[RECORD_LINE];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (size >= (int)sizeof(line) - 1)
		size = sizeof(line) - 2;
	line[size++] = '\n';
	if (write(fd, line, (size_t)size) == size)
		return;
	fprintf(stderr, "chaos: the record cannot be written: %s\n", strerror(errno));
	_exit(70);
}

/* Not by libc's function: a shim may have changed that. */
uint64_t
record_now_ns(void)
{
	struct timespec now = {0};

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
record_random(uint64_t *state)
{
	uint64_t word = *state += 0x9e3779b97f4a7c15u;

	word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
	word = (word ^ word >> 27) * 0x94d049bb133111ebu;
	return word ^ word >> 31;
}

const char *
record_clean(const char *text, char *to, size_t size)
{
	size_t used = 0;

	for (; text && *text && used + 1 < size; text++)
		to[used++] =
			*text < ' ' || *text == '"' || *text == '\\' || *text > '~' ? '?' : *text;
	to[used] = '\0';
	return to;
}
