/*
 * A state tried as `plugd --check-state` tries it: everything is made anew, without effect, and
 * taken apart.  One that was accepted is handed over once more.  What must hold fails the program:
 *
 *  - accepted, or refused with a reason, which is a line of UTF-8
 *  - nothing is removed, made, renamed, killed or sent while it is tried
 *  - no watcher, descriptor or memory is left (memory: with a sanitizer)
 *  - what was accepted can be handed over
 *
 * Link with --wrap for what has an effect (CMakeLists.txt).
 */
#ifndef UPGRADE_TRY_H
#define UPGRADE_TRY_H

#include <stdbool.h>
#include <stddef.h>

/* A state's head and the rest; false: refused, and `why` says the reason. */
bool upgrade_try(const void *head, size_t head_size, const void *bytes, size_t size, char *why,
		 size_t why_size);

/* With a head that is right. */
bool upgrade_try_body(const void *bytes, size_t size, char *why, size_t why_size);

#endif
