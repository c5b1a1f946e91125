/*
 * Invariants
 *  - The keeper has the thread-local storage of the thread that made it.  So it calls nothing but
 *    syscall(), which writes there only when a call fails, while that thread waits, and nothing of
 *    the C library afterwards.
 *  - plugd sees its end by a connection whose other end only it has, and ends it when nobody waits
 *    for an answer of this process any more.  It waits for that, or for plugd's end, and not for
 *    the death: woken by that it would have the processor before those whose calls wait.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"

#define STACK_BYTES (32u * 1024)
#define GUARD_BYTES 4096u
/* By then those that were called have been answered by others; and who kills what this process
 * left behind ends it before. */
#define LINGER_NS     3000000
#define LOOK_NS       20000
#define KERNEL_SIGSET 8 /* bytes */

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#else
#define OWN_ARCH 0
#endif

struct keeper {
	pid_t pid;
	int given_fd; /* the keeper's */
	char *stack;
	atomic_bool waits; /* it has nothing left that it may do */
};

static struct keeper keeper;

/* ---- in the keeper ---- */

#define FIELD(name) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, name))
#define ALLOW(number, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), (skip), 0)
#define VERDICT(what)       BPF_STMT(BPF_RET | BPF_K, (what))

static struct sock_filter rules[] = {
	FIELD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0),
	VERDICT(SECCOMP_RET_KILL_PROCESS),
	FIELD(nr),
	ALLOW(SYS_read, 5),
	ALLOW(SYS_nanosleep, 4),
	ALLOW(SYS_restart_syscall, 3),
	ALLOW(SYS_exit, 2),
	ALLOW(SYS_exit_group, 1),
	VERDICT(SECCOMP_RET_KILL_PROCESS),
	VERDICT(SECCOMP_RET_ALLOW),
};

static struct sock_fprog program = {sizeof(rules) / sizeof(*rules), rules};

#define KEEPER_CODE __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

/* Without errno, which is the other thread's. */
KEEPER_CODE static long
raw_call(long number, long a, long b, long c)
{
#if defined(__x86_64__)
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#else
	return number + a + b + c; /* there is no keeper */
#endif
}

KEEPER_CODE static long
close_all_but(unsigned fd)
{
	long failed = syscall(SYS_close_range, 0u, fd - 1, 0u); /* it is 3 or more */

	return failed ? failed : syscall(SYS_close_range, fd + 1, ~0u, 0u);
}

KEEPER_CODE static int
keep(void *arg)
{
	const struct timespec linger = {.tv_nsec = LINGER_NS};
	const struct rlimit no_core = {0};
	struct keeper *own = arg;
	char byte;

	if (close_all_but((unsigned)own->given_fd) ||
	    syscall(SYS_prctl, PR_SET_NAME, "plug-keeper", 0L, 0L, 0L) ||
	    syscall(SYS_prlimit64, 0, RLIMIT_CORE, &no_core, NULL) ||
	    syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) ||
	    syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0L, 0L))
		return 1;
	atomic_store(&own->waits, true);
	while (raw_call(SYS_read, own->given_fd, (long)&byte, 1) > 0)
		; /* nobody writes */
	raw_call(SYS_nanosleep, (long)&linger, 0, 0);
	return 0;
}

/* ---- in this process ---- */

static int
given_fd(void)
{
	const char *text = getenv(PLUG_ENV_KEEPER_FD);
	struct stat given;
	char *end;
	long fd = text ? strtol(text, &end, 10) : -1;

	if (!text || end == text || *end || fd < 3 || fd > INT32_MAX ||
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	if (!fstat((int)fd, &given) && S_ISSOCK(given.st_mode))
		return (int)fd;
	close((int)fd); /* a plugd from before it was a socket: then there is no keeper */
	return -1;
}

/* These want to know about every thread, and the keeper is none. */
extern void __tsan_init(void) __attribute__((weak));

static bool
is_watched_over(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return __tsan_init || (preload && strstr(preload, "/vgpreload_")); /* valgrind's */
}

/* The C library's own functions leave two signals out, which are its own. */
static pid_t
make(struct keeper *own)
{
	uint64_t all = UINT64_MAX, before;
	pid_t pid;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, KERNEL_SIGSET);
	pid = clone(keep, own->stack + STACK_BYTES, CLONE_VM, own);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, KERNEL_SIGSET);
	return pid;
}

/* A child that waitpid() shows to nobody who does not ask for such ones.  False: it could not do
 * all that it has to do before it waits, and has ended. */
static bool
start(struct keeper *own)
{
	const struct timespec moment = {.tv_nsec = LOOK_NS};

	own->pid = make(own);
	while (own->pid > 0 && !atomic_load(&own->waits)) {
		if (waitpid(own->pid, NULL, WNOHANG | __WCLONE) == own->pid)
			return false;
		nanosleep(&moment, NULL);
	}
	return own->pid > 0;
}

static char *
make_stack(void)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return NULL;
	if (!mprotect(stack, GUARD_BYTES, PROT_NONE))
		return stack;
	munmap(stack, STACK_BYTES);
	return NULL;
}

static void
forget(struct keeper *own)
{
	if (own->stack)
		munmap(own->stack, STACK_BYTES);
	*own = (struct keeper){0};
}

void
plugp_keeper_init(void)
{
	struct keeper *own = &keeper;
	bool started = false;

	own->given_fd = given_fd();
	if (own->given_fd < 0)
		return;
	own->stack = OWN_ARCH && !is_watched_over() ? make_stack() : NULL;
	started = own->stack && start(own);
	close(own->given_fd); /* plugd is not to take it for the keeper's */
	if (!started)
		forget(own);
}

void
plugp_keeper_fini(void)
{
	if (!keeper.pid)
		return;
	if (kill(keeper.pid, SIGKILL)) { /* it is another user now: plugd ends the keeper */
		keeper = (struct keeper){0};
		return;
	}
	while (waitpid(keeper.pid, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	forget(&keeper);
}
