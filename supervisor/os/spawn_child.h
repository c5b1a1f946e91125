/* Between fork and exec; for spawn.c only. */
#ifndef PLUGD_SPAWN_CHILD_H
#define PLUGD_SPAWN_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/spawn.h"

#define SPAWN_TARGET_MAX 63

#define SPAWN_STEP_MAP(X)                                     \
	X(SPAWN_STEP_SETSID, "make a session")                \
	X(SPAWN_STEP_DEATHSIG, "set the parent-death signal") \
	X(SPAWN_STEP_FDS, "pass descriptors on")              \
	X(SPAWN_STEP_STDIN, "open")                           \
	X(SPAWN_STEP_LIMIT, "set the descriptor limit")       \
	X(SPAWN_STEP_USER, "set limits and user")             \
	X(SPAWN_STEP_CHDIR, "enter")                          \
	X(SPAWN_STEP_CHECK, "check the SHA-256 of")           \
	X(SPAWN_STEP_SANDBOX, "enter the sandbox")            \
	X(SPAWN_STEP_EXEC, "exec")

enum spawn_step {
#define SPAWN_STEP_ENUM(name, text) name,
	SPAWN_STEP_MAP(SPAWN_STEP_ENUM)
#undef SPAWN_STEP_ENUM
		SPAWN_STEP_COUNT
};

/* What the child writes to the error pipe: at once (below PIPE_BUF), at most one. */
struct spawn_failure {
	int32_t error;
	uint8_t step;
	uint8_t exists;  /* execve said ENOENT, but the file is there */
	uint8_t changed; /* SPAWN_STEP_CHECK: `found` is what the file holds */
	unsigned char found[SPAWN_DIGEST_BYTES], expected[SPAWN_DIGEST_BYTES];
	char path[250]; /* cut; "" when the step has none */
};

struct spawn_child {
	const struct spawn_request *request;
	pid_t parent;
	int error_fd;
	bool enter_cgroup;     /* it was not born there */
	const char *oom_score; /* NULL: as the parent's */
};

/* Plain system calls only: no lock, no allocation, no handler of the parent may run here. */
_Noreturn void spawn_child_run(const struct spawn_child *child);

#endif
