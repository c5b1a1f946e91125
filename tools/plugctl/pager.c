#include "pager.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "format.h"
#include "out.h"

static FILE *terminal; /* what stdout was; NULL: nothing is kept */
static char *kept;
static size_t kept_size;

void
pager_begin(bool unwanted)
{
	FILE *to;

	if (unwanted || !out_is_terminal() || !(to = open_memstream(&kept, &kept_size)))
		return;
	terminal = stdout;
	stdout = to;
}

/* Columns, without the sequences that colour them. */
static size_t
columns_of(const char *line, size_t length)
{
	char text[4096];
	size_t used = 0;
	bool escaped = false;

	for (size_t i = 0; i < length && used + 1 < sizeof(text); i++) {
		if (line[i] == '\033')
			escaped = true;
		else if (!escaped)
			text[used++] = line[i];
		else if (line[i] == 'm')
			escaped = false;
	}
	text[used] = '\0';
	return format_columns(text);
}

static bool
fits(const char *text)
{
	struct winsize size;
	size_t rows = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		return true;
	while (*text && rows < size.ws_row) {
		size_t length = strcspn(text, "\n"), width = columns_of(text, length);

		rows += width ? (width + size.ws_col - 1) / size.ws_col : 1;
		text += length + (text[length] == '\n');
	}
	return rows < size.ws_row; /* the prompt has one */
}

static const char *
pager(void)
{
	const char *chosen = getenv("PAGER");

	if (!chosen)
		chosen = check_program("less") ? "less" : "";
	return strcmp(chosen, "cat") == 0 ? "" : chosen;
}

static bool
page(const char *command)
{
	void (*was)(int) = signal(SIGPIPE, SIG_IGN); /* its user may have seen enough */
	FILE *to;

	setenv("LESS", "FRX", 0); /* colours; nothing is asked for what fits */
	to = popen(command, "w");
	if (to) {
		fwrite(kept, 1, kept_size, to);
		pclose(to);
	}
	signal(SIGPIPE, was);
	return to;
}

void
pager_end(void)
{
	FILE *to = stdout;

	if (!terminal)
		return;
	stdout = terminal;
	terminal = NULL;
	if (fclose(to) == 0 && kept && (fits(kept) || !*pager() || !page(pager())))
		fwrite(kept, 1, kept_size, stdout);
	free(kept);
	kept = NULL;
}
