/* A process seen from outside: /proc, its vitals page, and a debugger's view of its stacks. */
#ifndef PLUGCTL_INSPECT_H
#define PLUGCTL_INSPECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * {"pid", "state", "threads": [{"tid", "name", "state", "wchan", "syscall", "kernel_stack"}],
 *  "descriptors", "executing": [{"call", "for_ms"}], "silent_ms", "stopped"}; NULL: it is gone.
 * What may not be read is left out.  The caller's.
 */
json_t *inspect_process(uint64_t pid);

/*
 * The stacks of all its threads, as gdb or eu-stack print them: an array of lines.  The process
 * stands still meanwhile, for 5 s at most.  NULL after the reason, with what to do, was written to
 * `why`.
 */
json_t *inspect_stacks(uint64_t pid, char *why, size_t why_size);

#endif
