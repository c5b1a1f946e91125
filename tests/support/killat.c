/*
 * For LD_PRELOAD: SIGKILL to the process itself, just before or just after the call with number
 * KILLAT_CALL, of those that change what is on disk.  KILLAT_AFTER: after it.  KILLAT_PATH: only
 * those with a path that contains this are counted.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static atomic_long calls;

static long
wanted(const char *name)
{
	const char *text = getenv(name);

	return text ? atol(text) : 0;
}

static void
end(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* Is this the call? */
static int
count(const char *path)
{
	const char *only = getenv("KILLAT_PATH");
	long call;

	if (only && (!path || !strstr(path, only)))
		return 0;
	call = atomic_fetch_add(&calls, 1) + 1;
	if (call != wanted("KILLAT_CALL"))
		return 0;
	if (!wanted("KILLAT_AFTER"))
		end();
	return 1;
}

#define AROUND(type, name, parameters, arguments, path_or_null)                                  \
	EXPORT type name parameters;                                                             \
	EXPORT type name parameters                                                              \
	{                                                                                        \
		type(*real) parameters = (type(*) parameters)(uintptr_t)dlsym(RTLD_NEXT, #name); \
		int is_it = count(path_or_null);                                                 \
		type result = real arguments;                                                    \
                                                                                                 \
		if (is_it)                                                                       \
			end();                                                                   \
		return result;                                                                   \
	}

AROUND(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), NULL)
AROUND(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), path)
AROUND(int, renameat, (int from, const char *old, int to, const char *path), (from, old, to, path),
       path)
AROUND(int, renameat2, (int from, const char *old, int to, const char *path, unsigned flags),
       (from, old, to, path, flags), path)
AROUND(int, symlinkat, (const char *target, int fd, const char *path), (target, fd, path), path)
AROUND(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), path)
AROUND(int, fchmod, (int fd, mode_t mode), (fd, mode), NULL)
AROUND(int, fsync, (int fd), (fd), NULL)
AROUND(int, syncfs, (int fd), (fd), NULL)
