/* Methods of plugbench's plugin that make it large, loud or dead.  Handlers: any thread. */
#ifndef BENCH_PLUGIN_FAULTS_H
#define BENCH_PLUGIN_FAULTS_H

#include <plug/plugin.h>

/* Have so many bytes resident, as the payload says in decimal. */
plug_err fault_fill(struct plug_call *call, void *user);

/* From here on, `hold` does not return in this process. */
plug_err fault_arm(struct plug_call *call, void *user);

/* Answers at once, or never: in a process that was armed. */
plug_err fault_hold(struct plug_call *call, void *user);

/* Answers once `hold` waits. */
plug_err fault_held(struct plug_call *call, void *user);

/* Die by SIGSEGV, as a program does that has a fault.  The payload may name a file: just before,
 * the time is written to it, eight bytes, nanoseconds of CLOCK_MONOTONIC. */
plug_err fault_die(struct plug_call *call, void *user);

/* Print so many bytes as the payload says in decimal, as fast as they are taken. */
plug_err fault_flood(struct plug_call *call, void *user);

#endif
