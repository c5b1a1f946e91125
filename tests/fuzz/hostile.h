/*
 * A thread that damages this process's own side of every channel that the library opened, behind
 * the library's back: what is posted and told, and the wake sockets.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdint.h>

/* Once in a process, before channels are opened.  The thread never ends.  Its steps follow from the
 * seed; which channel they find open does not. */
void hostile_start(uint64_t seed);

/* How often it damaged something so far.  Any thread. */
uint64_t hostile_count(void);

#endif
