/*
 * LD_PRELOAD: faults that the kernel gives only to whole machines.  $CHAOS_SHIM names a file that
 * the driver writes and this reads, mapped, so that it can change while the process runs:
 *
 *   offset       is added to the wall clock; the monotonic one is left alone
 *   alloc_ppm    of so many allocations in a million is none made
 *   no_memfd     shared memory is full: no page of a memfd can be had
 *
 * Without the variable nothing is changed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct control {
	int64_t offset_ns;
	uint64_t seed;
	uint32_t alloc_ppm, no_memfd;
};

static const struct control nothing;
static const volatile struct control *control = &nothing;
static _Atomic uint64_t allocations;
static int (*libc_clock_gettime)(clockid_t, struct timespec *);
static int (*libc_posix_fallocate)(int, off_t, off_t);

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static void *places[64];

/* plugd leaves no core file: where it was goes to its log. */
static void
on_fault(int number)
{
	signal(number, SIG_DFL);
	backtrace_symbols_fd(places, backtrace(places, 64), STDERR_FILENO);
	raise(number);
}

__attribute__((constructor)) static void
load(void)
{
	const char *path = getenv("CHAOS_SHIM");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *page = MAP_FAILED;

	libc_clock_gettime =
		(int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	libc_posix_fallocate = (int (*)(int, off_t, off_t))dlsym(RTLD_NEXT, "posix_fallocate");
	if (fd >= 0)
		page = mmap(NULL, sizeof(*control), PROT_READ, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (page != MAP_FAILED)
		control = page;
	if (strcmp(program_invocation_short_name, "plugd") == 0) {
		backtrace(places, 1); /* what it loads, it loads now */
		signal(SIGSEGV, on_fault);
	}
}

/* ---- allocations ---- */

/* Some libraries do not survive it: what they do then is not ours to mend. */
static bool
is_fragile(const void *asked_from)
{
	static const char *const names[] = {"libfyaml", "libev.", "ld-linux"};
	Dl_info info;

	if (!dladdr(asked_from, &info) || !info.dli_fname)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strstr(info.dli_fname, names[i]))
			return true;
	return false;
}

static bool
fails(const void *asked_from)
{
	uint64_t word;

	if (!control->alloc_ppm)
		return false;
	word = (control->seed + atomic_fetch_add(&allocations, 1)) * 0x9e3779b97f4a7c15u;
	word = (word ^ word >> 29) * 0xbf58476d1ce4e5b9u;
	if ((word >> 20) % 1000000 >= control->alloc_ppm || is_fragile(asked_from))
		return false;
	errno = ENOMEM;
	return true;
}

EXPORT void *
malloc(size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

EXPORT void *
calloc(size_t count, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

EXPORT void *
realloc(void *old, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

/* ---- the wall clock ---- */

static void
shift(struct timespec *time)
{
	int64_t ns = time->tv_sec * INT64_C(1000000000) + time->tv_nsec + control->offset_ns;

	time->tv_sec = ns / 1000000000;
	time->tv_nsec = ns % 1000000000;
}

EXPORT int
clock_gettime(clockid_t clock, struct timespec *time)
{
	int failed = libc_clock_gettime ? libc_clock_gettime(clock, time)
					: (int)syscall(SYS_clock_gettime, clock, time);

	if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		shift(time);
	return failed;
}

EXPORT int
gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	time->tv_sec = now.tv_sec;
	time->tv_usec = now.tv_nsec / 1000;
	return 0;
}

EXPORT time_t
time(time_t *to)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (to)
		*to = now.tv_sec;
	return now.tv_sec;
}

/* ---- shared memory ---- */

EXPORT int
posix_fallocate(int fd, off_t from, off_t bytes)
{
	if (control->no_memfd && fcntl(fd, F_GET_SEALS) >= 0)
		return ENOSPC;
	return libc_posix_fallocate(fd, from, bytes);
}
