/*
 * The keeper (proto/channel.h): a process that shares this one's memory and does nothing else.  A
 * process that dies gives its memory back first, and only then closes its descriptors and is dead
 * for others: a tenth of a second later for 1 GiB, whatever killed it.  While the keeper has the
 * memory, too, there is nothing to give back: the end is seen at once, and the memory goes when the
 * keeper does, a moment later.
 *
 * It can neither run a line of the program nor do anything for somebody who makes it: all signals
 * are blocked, and of system calls it may read, sleep and end (seccomp).
 */
#ifndef PLUG_SDK_KEEPER_H
#define PLUG_SDK_KEEPER_H

/* Main thread, once, for a twentieth of a millisecond.  Does nothing without PLUG_KEEPER_FD, where
 * the kernel refuses, and under valgrind and ThreadSanitizer, which know of no such processes. */
void plugp_keeper_init(void);
void plugp_keeper_fini(void);

#endif
