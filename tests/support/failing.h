/*
 * Allocations that fail on request: of all code that is linked statically into a program that links
 * `failing` (CMake).  What shared libraries allocate for themselves is left alone.  With
 * $FAILING_TRACE a program that was built with a sanitizer prints where each fails.
 */
#ifndef FAILING_H
#define FAILING_H

#include <stdbool.h>
#include <stddef.h>

enum failing_how {
	FAILING_ONE, /* that one only */
	FAILING_ALL  /* that one and every later one */
};

/* After `spared` more allocations. */
void failing_begin(unsigned long spared, enum failing_how how);

/* No more.  True: one has failed since failing_begin(). */
bool failing_end(void);

/* Between begin and end: nothing fails and nothing is counted for a while. */
void failing_pause(bool paused);

/* Allocations since failing_begin(), those that failed included. */
unsigned long failing_count(void);

#endif
