/*
 * Turns on the processor, for a program that starts beside others which are in a hurry.
 *
 * A thread that is woken while it has had more than its share waits until the running one sleeps,
 * or until a tick of the timer that finds its slice over: 1.5 to 4 ms (EEVDF, kernel/sched/fair.c).
 * A program that starts runs for about as long without a pause, and where there are few processors
 * a call that has nothing to do with it waits for it.  So it pauses now and then.
 *
 * One thread calls these.  Nothing here allocates or fails.
 */
#ifndef PLUGD_TURN_H
#define PLUGD_TURN_H

#define TURN_NS      300000u  /* running for less, it hands over nothing */
#define TURN_LONG_NS 1000000u /* others do not need it to get the processor */

/* Up to `turns` turns from now on; until then turn_offer() does nothing.  The process is taken to
 * have run for TURN_NS. */
void turn_begin(unsigned turns);

/*
 * Lets others run, if the last turn was TURN_NS ago or more and there are some left.  Blocks for
 * about 60 us, or for as long as others use the processor; a turn of more than TURN_LONG_NS is the
 * last.  It sleeps for as little as the kernel can: sched_yield() hands over only within a group (a
 * cgroup; with autogroup, a session).
 */
void turn_offer(void);

#endif
