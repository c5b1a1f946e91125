/*
 * Invariants
 *  - One thread speaks for the process: the first that is hit.  Another one waits for its end.
 *  - What may be wrong comes last: the byte, then the walk over the stack, which may fault; then
 *    the jump back brings what it had found.
 */
#include "dying.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "keeper.h"
#include "walk.h"

#define STACK_BYTES (64u * 1024)
#define GUARD_BYTES 4096u

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

#define DYING_CALLERS 1024 /* channels that plugd gives a process at most */
#define DYING_FEW     4    /* of them, before plugd is told */
#define SIGNALS       (sizeof(signals) / sizeof(*signals))

static volatile sig_atomic_t dying_fd = -1;
static pid_t owner;        /* a child that it forked says nothing in its name */
static atomic_int speaker; /* the thread's id */
static volatile sig_atomic_t walking;
static sigjmp_buf walk_failed;
static struct plug_trace trace;
static _Thread_local void *stack;
/* Wake sockets.  Each holds a descriptor plus one, so that 0 is a free place. */
static atomic_int hung_up_on[DYING_CALLERS];

static void
take_default(int number)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	sigaction(number, &action, NULL);
}

static void
hang_up(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		int held = atomic_load_explicit(&hung_up_on[i], memory_order_relaxed);

		if (held)
			shutdown(held - 1, SHUT_WR); /* here nobody is to notice */
	}
}

static void
say(const void *data, size_t size)
{
	send(dying_fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* plugd has given the place to a spare, if there is one, and has seen what there is to see of this
 * process.  Until then its end would only be in the way: the kernel takes down threads and memory
 * on the processors that they need who take over. */
static void
await_heard(void)
{
	struct pollfd heard = {.fd = dying_fd, .events = POLLRDHUP};

	poll(&heard, 1, PLUG_DYING_HEARD_MS);
}

static void
speak(int number, const siginfo_t *info, const void *context)
{
	uint8_t said = (uint8_t)number;

	/* Until plugd has heard, callers have nowhere to go; but they wake up meanwhile. */
	hang_up(0, DYING_FEW);
	say(&said, sizeof(said));
	hang_up(DYING_FEW, DYING_CALLERS);
	await_heard();
	plugp_walk_begin(&trace, number, info);
	if (!sigsetjmp(walk_failed, 1)) {
		walking = true;
		plugp_walk(&trace, context);
	}
	if (!trace.frame_count && !sigsetjmp(walk_failed, 1)) {
		walking = true;
		plugp_walk_jump(&trace, context);
	}
	walking = false;
	say(&trace, sizeof(trace));
}

/* False: another thread does, and has not come to its end within a second. */
static bool
is_speaker(int self)
{
	struct timespec second = {.tv_sec = 1};
	int nobody = 0;

	if (atomic_compare_exchange_strong(&speaker, &nobody, self))
		return true;
	if (nobody == self)
		return false;
	syscall(SYS_nanosleep, &second, NULL);
	return false;
}

/* On whatever thread and stack it hits: calls that are safe there, and nothing else.  Returning
 * executes the faulting instruction again, which ends the process; a signal that somebody sent has
 * to be sent again. */
static void
on_fault(int number, siginfo_t *info, void *context)
{
	int self = (int)syscall(SYS_gettid);

	/* A cancelled thread would end in what is called here: alone, and the fault with it. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (dying_fd >= 0 && getpid() == owner) {
		if (walking && atomic_load(&speaker) == self)
			siglongjmp(walk_failed, 1);
		if (is_speaker(self))
			speak(number, info, context);
	}
	take_default(number);
	if (info->si_code <= 0)
		syscall(SYS_tgkill, getpid(), self, number);
}

/* ---- a stack for the handler: the thread's own may be what is full ---- */

void
plugp_dying_thread_init(void)
{
	stack_t now;
	void *memory;

	if (stack || sigaltstack(NULL, &now) < 0 || !(now.ss_flags & SS_DISABLE))
		return; /* it has one, or the program sees to it */
	memory = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (memory == MAP_FAILED)
		return;
	now = (stack_t){.ss_sp = (char *)memory + GUARD_BYTES,
			.ss_size = STACK_BYTES - GUARD_BYTES};
	if (mprotect(memory, GUARD_BYTES, PROT_NONE) < 0 || sigaltstack(&now, NULL) < 0)
		munmap(memory, STACK_BYTES);
	else
		stack = memory;
}

void
plugp_dying_thread_fini(void)
{
	stack_t none = {.ss_flags = SS_DISABLE};

	if (!stack)
		return;
	sigaltstack(&none, NULL);
	munmap(stack, STACK_BYTES);
	stack = NULL;
}

/* ---- beginning and end ---- */

void
plugp_dying_init(int broker_fd)
{
	struct sigaction ours = {.sa_sigaction = on_fault,
				 .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	struct sigaction theirs;

	plugp_keeper_init();
	if (broker_fd < 0)
		return;
	owner = getpid();
	dying_fd = fcntl(broker_fd, F_DUPFD_CLOEXEC, 3);
	if (dying_fd < 0)
		return;
	plugp_walk_init();
	plugp_dying_thread_init();
	for (size_t i = 0; i < SIGNALS; i++)
		if (!sigaction(signals[i], NULL, &theirs) && theirs.sa_handler == SIG_DFL &&
		    !(theirs.sa_flags & SA_SIGINFO))
			sigaction(signals[i], &ours, NULL);
}

void
plugp_dying_fini(void)
{
	struct sigaction now;
	int fd = dying_fd;

	plugp_keeper_fini();
	for (size_t i = 0; i < SIGNALS; i++)
		if (!sigaction(signals[i], NULL, &now) && now.sa_flags & SA_SIGINFO &&
		    now.sa_sigaction == on_fault)
			take_default(signals[i]);
	dying_fd = -1;
	if (fd >= 0)
		close(fd);
	plugp_dying_thread_fini();
}

static bool
replace(int old, int new)
{
	for (size_t i = 0; i < DYING_CALLERS; i++) {
		int found = old;

		if (atomic_compare_exchange_strong(&hung_up_on[i], &found, new))
			return true;
	}
	return false;
}

void
plugp_dying_watch(int wake_fd)
{
	replace(0, wake_fd + 1);
}

void
plugp_dying_forget(int wake_fd)
{
	replace(wake_fd + 1, 0);
}
