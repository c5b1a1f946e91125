#include "spin.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "channel.h"

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
plugs_spin_budget_ns(unsigned long us)
{
	const char *text = getenv(PLUG_ENV_SPIN_US);
	unsigned long wanted;
	char *end;

	if (us > PLUGS_SPIN_US_MAX)
		us = PLUGS_SPIN_US_MAX;
	if (text && *text) {
		errno = 0;
		wanted = strtoul(text, &end, 10);
		if (!errno && !*end && *text != '-' && wanted <= PLUGS_SPIN_US_MAX)
			us = wanted;
	}
	if (us == 0 || plugs_processors("/proc/self/cgroup", "/sys/fs/cgroup") < 2)
		return 0;
	return us * 1000ull;
}

void
plugs_spin_init(struct plugs_spin *spin, uint64_t budget_ns)
{
	*spin = (struct plugs_spin){.budget_ns = budget_ns};
}

/* ---- one wait ---- */

static bool
banned(const struct plugs_spin *spin, uint64_t now)
{
	return spin->banned_until_ns && now < spin->banned_until_ns;
}

/*
 * Whether to spin at all, at the first look of a wait.  When it seems vain it is spun for a moment
 * all the same: not for longer than sleeping, and being woken, costs the two sides, and where
 * records come close after each other it is what keeps a side from doing so between any two.
 */
static bool
begin(struct plugs_spin *spin)
{
	bool vain = spin->expected_ns >= spin->budget_ns;

	if (spin->woken || spin->budget_ns == 0) {
		if (!spin->began_ns)
			spin->began_ns = now_ns();
		return false;
	}
	if (vain) {
		spin->probing = ++spin->vain >= PLUGS_SPIN_PROBE;
		vain = !spin->probing;
	}
	if (!vain && !spin->banned_until_ns)
		return true;
	spin->began_ns = spin->looked_ns = now_ns();
	spin->brief = vain || banned(spin, spin->began_ns);
	return true;
}

/* Others need the processor.  The more often it happens, the less is spun. */
static void
ban(struct plugs_spin *spin, uint64_t now)
{
	bool again = spin->banned_until_ns && now - spin->banned_until_ns < 10 * spin->ban_ns;

	spin->ban_ns = again ? spin->ban_ns * 2 : PLUGS_SPIN_BAN_NS;
	if (spin->ban_ns > PLUGS_SPIN_BAN_MAX)
		spin->ban_ns = PLUGS_SPIN_BAN_MAX;
	spin->banned_until_ns = now + spin->ban_ns;
}

/* The thread stood still between two looks.  Interrupts and threads that run for a moment do that
 * everywhere; who is kept waiting for a quarter of the time has no processor to burn.  The time is
 * that of many of a scheduler's slices, of which one alone takes 3 ms. */
static void
note_gap(struct plugs_spin *spin, uint64_t now)
{
	uint64_t elapsed = now - spin->judged_ns;

	spin->lost_ns += now - spin->looked_ns;
	if (elapsed < PLUGS_SPIN_JUDGE_NS)
		return;
	if (spin->judged_ns && spin->lost_ns >= elapsed / 4)
		ban(spin, now);
	spin->judged_ns = now;
	spin->lost_ns = 0;
}

bool
plugs_spin_check(struct plugs_spin *spin)
{
	uint64_t now;

	if (spin->looks == 1)
		return begin(spin);
	now = now_ns();
	if (spin->brief)
		return now - spin->began_ns < PLUGS_SPIN_BRIEF_NS;
	if (!spin->began_ns) {
		spin->began_ns = spin->looked_ns = now;
		return true;
	}
	if (now - spin->looked_ns > PLUGS_SPIN_GAP_NS)
		note_gap(spin, now);
	spin->looked_ns = now;
	return now - spin->began_ns < spin->budget_ns && !banned(spin, now);
}

bool
plugs_spin_glance(struct plugs_spin *spin)
{
	uint64_t now;

	if (spin->looks++ == 0)
		return begin(spin);
	now = now_ns();
	if (!spin->began_ns)
		spin->began_ns = spin->looked_ns = now;
	if (spin->brief)
		return now - spin->began_ns < PLUGS_SPIN_BRIEF_NS;
	return now - spin->began_ns < spin->budget_ns && !banned(spin, now);
}

void
plugs_spin_woke(struct plugs_spin *spin)
{
	spin->woken = true;
	spin->looks = 0;
}

void
plugs_spin_ended(struct plugs_spin *spin)
{
	uint64_t waited = spin->began_ns ? now_ns() - spin->began_ns : 0;
	uint64_t longest = 4 * spin->budget_ns;
	bool in_time = waited < spin->budget_ns;

	if (waited > longest)
		waited = longest;
	/* Both sides of a conversation may sleep only because the other one does: what a probe
	 * found to be quick is believed at once.  A wait that was slept through tells nothing of
	 * that kind: where both share a processor it is short because this side did not spin. */
	if (spin->probing)
		spin->vain = 0;
	if (spin->probing && in_time)
		spin->expected_ns = waited;
	else if (!spin->brief || !spin->woken)
		spin->expected_ns = spin->expected_ns - spin->expected_ns / 8 + waited / 8;
	if (spin->woken)
		spin->slept++;
	else
		spin->found++;
	plugs_spin_forget(spin);
}
