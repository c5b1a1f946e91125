/* What /proc says of a process. */
#ifndef PLUGD_PROC_H
#define PLUGD_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <plug/error.h>

struct proc_info {
	pid_t pid, parent, group, session;
	char state;       /* R S D T t Z X … of proc(5) */
	char command[16]; /* first 15 bytes of its name */
	uint32_t threads;
	uint64_t cpu_ms;      /* user and system time of all its threads */
	uint64_t start_ticks; /* since boot, in clock ticks: with the pid, an identity */
	uint64_t rss_bytes;   /* approximate: the kernel batches the count per thread */
};

/* One file read, about 10 µs.  PLUG_ENOTFOUND: no such process.  PLUG_ESYS. */
plug_err proc_read(pid_t pid, struct proc_info *ret);

/* How a process of ours that has ended did, as waitpid() would say, also while it may not be waited
 * for.  PLUG_EAGAIN: it has not ended.  PLUG_ENOTFOUND.  PLUG_ESYS. */
plug_err proc_wait_status(pid_t pid, int *ret);

/* The most that was resident at a time (VmHWM); 0 if not known, as for a zombie. */
uint64_t proc_peak_bytes(pid_t pid);

/* Who traces it (ptrace): a debugger, strace; 0: nobody, or that is not known. */
pid_t proc_tracer(pid_t pid);

/* Does valgrind execute it?  False, too, when that is not known. */
bool proc_is_in_valgrind(pid_t pid);

/* Exact proportions, at the cost of a walk over the mappings (100 µs and more). */
struct proc_memory {
	uint64_t rss_bytes, pss_bytes, private_bytes, swap_bytes;
};

/* PLUG_ENOTFOUND, PLUG_EDENIED, PLUG_ESYS. */
plug_err proc_read_memory(pid_t pid, struct proc_memory *ret);

/* Memory that can be had without swapping (MemAvailable of /proc/meminfo); 0 if not known. */
uint64_t proc_available_bytes(void);

/* How many processes the kernel has killed on this machine because memory was short; 0 if not
 * known. */
uint64_t proc_oom_kills(void);

#endif
