#include "capture.h"

#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "out.h"

static char *
read_all(int fd, size_t *ret_size)
{
	char *text = calloc(1, 65536);
	ssize_t got;

	*ret_size = 0;
	while ((got = read(fd, text + *ret_size, 65535 - *ret_size)) > 0)
		*ret_size += (size_t)got;
	return text;
}

char *
capture(void (*fn)(void *), void *arg, unsigned columns, size_t *ret_size)
{
	struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
	int before = dup(STDOUT_FILENO), reader = -1, writer = -1;
	struct termios raw;
	size_t length;
	char *text;

	if (columns) {
		if (openpty(&reader, &writer, NULL, NULL, &size) < 0)
			abort();
		tcgetattr(writer, &raw);
		cfmakeraw(&raw);
		tcsetattr(writer, TCSANOW, &raw);
	} else {
		reader = writer = memfd_create("stdout", 0);
	}
	fflush(stdout);
	dup2(writer, STDOUT_FILENO);
	out_init(false);
	fn(arg);
	fflush(stdout);
	dup2(before, STDOUT_FILENO);
	close(before);
	out_init(true);
	if (columns)
		close(writer);
	else
		lseek(reader, 0, SEEK_SET);
	text = read_all(reader, &length);
	close(reader);
	if (ret_size)
		*ret_size = length;
	return text;
}
