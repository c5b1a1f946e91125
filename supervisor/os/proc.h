/* What /proc says of a process. */
#ifndef PLUGD_PROC_H
#define PLUGD_PROC_H

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

/* Exact proportions, at the cost of a walk over the mappings (100 µs and more). */
struct proc_memory {
	uint64_t rss_bytes, pss_bytes, private_bytes, swap_bytes;
};

/* PLUG_ENOTFOUND, PLUG_EDENIED, PLUG_ESYS. */
plug_err proc_read_memory(pid_t pid, struct proc_memory *ret);

/* Resident bytes of the caller; 0 if not known. */
uint64_t proc_self_rss_bytes(void);

#endif
