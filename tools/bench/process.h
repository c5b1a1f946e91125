/* Child processes, their processors, and what /proc says of them.  Main thread only: the
 * parent-death signal belongs to the thread that forks. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <sys/resource.h>
#include <sys/types.h>

#include "bench.h"

struct process_request {
	char *const *argv;        /* argv[0] is the path */
	char *const *extra_env;   /* NAME=value…, NULL at the end; may be NULL */
	const char *cwd;          /* NULL: ours */
	int stdout_fd, stderr_fd; /* -1: /dev/null */
	const cpu_set_t *cpus;    /* NULL: ours */
};

/* It dies with us.  Ends the process on failure. */
pid_t process_start(const struct process_request *request);

/* Wait for its end; the exit status, or 128 + the signal.  usage may be NULL. */
int process_wait(pid_t pid, struct rusage *usage);

/* SIGKILL and wait. */
void process_kill(pid_t pid);

/* The first (0) or the second (1) of the two processors, or both (-1). */
cpu_set_t process_cpus(const struct bench *bench, int which);

/* Where the caller's side runs, and where the other one. */
cpu_set_t process_caller_cpus(const struct bench *bench);
cpu_set_t process_other_cpus(const struct bench *bench);

void process_pin_self(const cpu_set_t *cpus);
void process_pin(pid_t pid, const cpu_set_t *cpus); /* all its threads; those made later inherit */

/* The first process that it started and that lives; 0: none, or it cannot be known. */
pid_t process_child(pid_t pid);

/* Kilobytes: resident; private (clean and dirty).  -1 when it cannot be read. */
long process_resident_kb(pid_t pid);
long process_private_kb(pid_t pid);

/* The most that was resident since its start or, where the kernel lets us, the last reset; false:
 * it does not. */
long process_peak_kb(pid_t pid);
bool process_peak_reset(pid_t pid);

int process_fds(pid_t pid); /* that it has open; -1 when it cannot be read */

/* How often its threads that live gave up a processor to wait. */
uint64_t process_waits(pid_t pid);

/* Time on a processor of all its threads that live, in nanoseconds. */
uint64_t process_cpu_ns(pid_t pid);

#endif
