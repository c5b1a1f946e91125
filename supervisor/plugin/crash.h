/* Why it died: the last deaths of a plugin.  Loop's thread only. */
#ifndef PLUGD_CRASH_H
#define PLUGD_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "os/core_file.h"
#include "os/exit_status.h"

struct plug_trace;

#define CRASHES_KEPT    16
#define CRASH_LOG_LINES 20
#define CRASH_CALLS     32

struct crash_call {
	uint64_t id, age_ms;
	char method[64];
	bool hung;
	bool executing; /* its handler had begun, by the process's own word; true where it gave none
			 */
};

/* What a process executed when it died, or when another one got its place. */
struct last_calls {
	struct crash_call calls[CRASH_CALLS];
	size_t count;         /* all of them; at most CRASH_CALLS are listed */
	uint64_t on_channels; /* by its own word */
};

struct crash {
	struct list node;
	uint64_t time_ms; /* since the epoch */
	int64_t pid;
	uint32_t generation;
	struct exit_status status;
	char reason[640]; /* one sentence */
	char state[16];   /* of the process when it died */
	uint64_t uptime_ms;
	uint64_t rss_bytes, rss_age_ms; /* last seen, and how long before; 0 bytes: never */
	uint64_t peak_bytes;            /* 0: not known */
	struct plug_trace *trace;       /* NULL: it could not say where it was */
	char core_path[CORE_PATH_BYTES], core_note[CORE_NOTE_BYTES];
	struct crash_call calls[CRASH_CALLS];
	size_t call_count;      /* all of them; at most CRASH_CALLS are listed */
	uint64_t channel_calls; /* those on channels, by its own word */
	char *log[CRASH_LOG_LINES];
	size_t log_count;
	char decision[160]; /* what plugd did next */
	uint64_t retry_in_ms;
};

struct crashes {
	struct list list; /* oldest first */
	size_t count;
};

void crashes_init(struct crashes *crashes);
void crashes_fini(struct crashes *crashes);

/* A new last entry, zeroed, for the caller to fill; the oldest makes room.  NULL when memory is
 * short. */
struct crash *crashes_add(struct crashes *crashes);

#endif
