/*
 * Waiting: whether to keep looking for a while before sleeping.
 *
 * Looking answers in a tenth of a microsecond and burns a processor; sleeping costs nothing and
 * tens of microseconds.  So a thread looks only for a bounded time, only while what it waits for
 * has lately come within that time and it was not itself made to wait for a processor, else for two
 * microseconds, and not at all where there is one processor.  A wait that is answered within the
 * first looks reads no clock.
 *
 *	while (!there(x)) {
 *		if (plugs_spin_look(&spin))
 *			continue;
 *		sleep until x may be there
 *		plugs_spin_woke(&spin);
 *	}
 *	plugs_spin_found(&spin);
 *
 * A struct plugs_spin belongs to one thread at a time.  Nothing here allocates or logs.
 */
#ifndef PLUGS_SPIN_H
#define PLUGS_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define PLUGS_SPIN_US       50 /* default budget */
#define PLUGS_SPIN_US_MAX   10000
#define PLUGS_SPIN_LOOKS    64     /* between two looks at the clock; a power of two */
#define PLUGS_SPIN_BRIEF_NS 2000u  /* when it seems vain; about as long as going to sleep takes */
#define PLUGS_SPIN_GAP_NS   20000u /* more between them: the thread did not run */
#define PLUGS_SPIN_JUDGE_NS 40000000ull /* over so long at least: a quarter of the time lost … */
#define PLUGS_SPIN_BAN_NS   40000000ull /* … and there is no spinning for so long, … */
#define PLUGS_SPIN_BAN_MAX \
	1000000000ull /* … doubled up to this when it happens again within ten times as long */
#define PLUGS_SPIN_PROBE 32 /* one wait in so many is spun through although it seems vain */

struct plugs_spin {
	uint64_t budget_ns;   /* 0: never spin */
	uint64_t expected_ns; /* how long waits were lately; of longer ones 4 budgets count */
	uint64_t ban_ns, banned_until_ns; /* 0: never banned */
	uint64_t judged_ns, lost_ns;      /* since then the thread stood still for so long */
	uint32_t vain;                    /* waits not spun through since the last probe */

	/* of the wait that is on */
	uint32_t looks;
	bool probing, woken;
	bool brief;                   /* it seems vain: for a moment only */
	uint64_t began_ns, looked_ns; /* CLOCK_MONOTONIC; 0: not known */

	uint64_t found, slept; /* waits that ended by looking, and in sleep; for statistics */
};

/*
 * The budget of this process in nanoseconds: PLUG_SPIN_US of the environment, else `us`, of either
 * at most PLUGS_SPIN_US_MAX; 0 where scheduling or a cgroup leave it less than two processors.
 * Reads files: once a process.
 */
uint64_t plugs_spin_budget_ns(unsigned long us);

/* Processors that this process may use at a time, at least 1: its affinity, and the cpu quota of
 * its cgroups.  `proc_cgroup` is /proc/self/cgroup and `mount` /sys/fs/cgroup, but for tests. */
unsigned plugs_processors(const char *proc_cgroup, const char *mount);

void plugs_spin_init(struct plugs_spin *spin, uint64_t budget_ns);

/* The same where the thread does other things between its looks, for as long as it likes. */
bool plugs_spin_glance(struct plugs_spin *spin);

/* Internal: the looks that look at the clock too. */
bool plugs_spin_check(struct plugs_spin *spin);
void plugs_spin_ended(struct plugs_spin *spin);

static inline void
plugs_spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* A look found nothing.  True: look again; false: sleep. */
static inline bool
plugs_spin_look(struct plugs_spin *spin)
{
	if (spin->looks++ % PLUGS_SPIN_LOOKS == 0)
		return plugs_spin_check(spin);
	/* A pause is as long as what many waits are short of. */
	if (spin->looks > PLUGS_SPIN_LOOKS && !spin->brief)
		plugs_spin_pause();
	return true;
}

/* What was waited for is there; without a wait it does nothing. */
static inline void
plugs_spin_found(struct plugs_spin *spin)
{
	if (spin->looks > PLUGS_SPIN_LOOKS || spin->began_ns || spin->probing) {
		plugs_spin_ended(spin);
	} else if (spin->looks) {
		spin->expected_ns -= spin->expected_ns / 8;
		spin->looks = 0;
		spin->found++;
	}
}

/* Back from sleeping, whatever woke the thread: it is the same wait, which is not spun through
 * again. */
void plugs_spin_woke(struct plugs_spin *spin);

/* The wait was given up: nothing is learnt from it. */
static inline void
plugs_spin_forget(struct plugs_spin *spin)
{
	spin->looks = 0;
	spin->began_ns = 0;
	spin->probing = false;
	spin->brief = false;
	spin->woken = false;
}

#endif
