#include "os/core_file.h"

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define PATTERN_FILE "/proc/sys/kernel/core_pattern"
#define PID_FILE     "/proc/sys/kernel/core_uses_pid"

static bool
makes_core(int number)
{
	static const int signals[] = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
				      SIGFPE,  SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (signals[i] == number)
			return true;
	return false;
}

static void
first_line(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");

	if (!file || !fgets(text, (int)size, file))
		*text = '\0';
	if (file)
		fclose(file);
	text[strcspn(text, "\n")] = '\0';
}

/* ---- the name ---- */

static void
expand(char letter, const struct core_of *of, char *text, size_t size)
{
	switch (letter) {
	case 'p':
		snprintf(text, size, "%d", (int)of->pid);
		return;
	case 's':
		snprintf(text, size, "%d", of->status.signal);
		return;
	case 'u':
		snprintf(text, size, "%u", of->uid);
		return;
	case 'g':
		snprintf(text, size, "%u", of->gid);
		return;
	case '%':
		snprintf(text, size, "%%");
		return;
	default:
		snprintf(text, size, "*");
	}
}

void
core_glob(const char *pattern, const struct core_of *of, char *path, size_t size)
{
	size_t used = 0;

	*path = '\0';
	if (!*pattern || *pattern == '|' || *pattern == '@')
		return;
	if (*pattern != '/')
		used = (size_t)snprintf(path, size, "%s/", of->folder);
	for (const char *at = pattern; *at && used < size; at++) {
		char text[16] = {*at};

		if (*at == '%' && at[1])
			expand(*++at, of, text, sizeof(text));
		else if (strchr("*?[\\", *at))
			snprintf(text, sizeof(text), "\\%c", *at);
		used += (size_t)snprintf(path + used, size - used, "%s", text);
	}
	if (used >= size)
		*path = '\0';
}

/* ---- the file ---- */

static bool
is_its(const char *path, const struct core_of *of, time_t newest)
{
	struct stat st;

	return !lstat(path, &st) && S_ISREG(st.st_mode) && st.st_uid == of->uid &&
	       st.st_mtime >= of->started && st.st_mtime >= newest;
}

static void
look(const char *name, const struct core_of *of, char path[CORE_PATH_BYTES])
{
	glob_t found;
	time_t newest = 0;

	if (glob(name, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct stat st;

		if (!is_its(found.gl_pathv[i], of, newest) ||
		    strlen(found.gl_pathv[i]) >= CORE_PATH_BYTES || lstat(found.gl_pathv[i], &st))
			continue;
		newest = st.st_mtime;
		snprintf(path, CORE_PATH_BYTES, "%s", found.gl_pathv[i]);
	}
	globfree(&found);
}

static bool
limit_is_zero(pid_t pid)
{
	struct rlimit limit;

	return !prlimit(pid, RLIMIT_CORE, NULL, &limit) && limit.rlim_cur == 0;
}

static void
why_none(const struct core_of *of, const char *pattern, char note[CORE_NOTE_BYTES])
{
	if (*pattern == '|' || *pattern == '@')
		snprintf(note, CORE_NOTE_BYTES,
			 "none; the kernel would have handed it to %.160s (core_pattern)",
			 pattern + 1);
	else if (limit_is_zero(of->pid))
		snprintf(note, CORE_NOTE_BYTES,
			 "none: its limit was 0 (ulimit -c, or LimitCORE= of plugd's unit)");
	else if (!*pattern)
		snprintf(note, CORE_NOTE_BYTES, "none: %s is empty", PATTERN_FILE);
	else
		snprintf(note, CORE_NOTE_BYTES,
			 "none: the kernel could not write it, or the process forbade it "
			 "(core_pattern: %.100s)",
			 pattern);
}

static void
where(const struct core_of *of, const char *pattern, char path[CORE_PATH_BYTES],
      char note[CORE_NOTE_BYTES])
{
	char name[CORE_PATH_BYTES];

	if (*pattern == '|' || *pattern == '@') {
		snprintf(note, CORE_NOTE_BYTES, "handed to %.160s (core_pattern), which keeps it",
			 pattern + 1);
		return;
	}
	core_glob(pattern, of, name, sizeof(name));
	if (*name)
		look(name, of, path);
	if (!*path)
		snprintf(note, CORE_NOTE_BYTES, "written, and not found as %.200s",
			 *name ? name : pattern);
}

void
core_find(const struct core_of *of, char path[CORE_PATH_BYTES], char note[CORE_NOTE_BYTES])
{
	char pattern[256], uses_pid[8];

	*path = *note = '\0';
	if (!makes_core(of->status.signal))
		return;
	first_line(PATTERN_FILE, pattern, sizeof(pattern) - 3);
	first_line(PID_FILE, uses_pid, sizeof(uses_pid));
	if (*uses_pid == '1' && *pattern && *pattern != '|' && *pattern != '@' &&
	    !strstr(pattern, "%p"))
		strcat(pattern, ".%p"); /* as the kernel does */
	if (of->status.core_dumped)
		where(of, pattern, path, note);
	else
		why_none(of, pattern, note);
}
