/* Starting, reading from and waiting for real processes in the tests of supervisor/os. */
#ifndef OS_SUPPORT_H
#define OS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/exit_status.h"
#include "os/spawn.h"

#define DEADLINE_MS 20000

struct running {
	struct spawned process;
	int out_fd; /* its stdout and stderr */
	size_t used;
	char text[65536]; /* what was read of it */
};

/* os_child with these arguments; `request` may be NULL. */
void running_start(struct running *running, const struct spawn_request *request, const char *mode,
		   const char *arg);

/* Read until `marker` has come; fails the test after the deadline or at the end of file. */
void running_read_until(struct running *running, const char *marker);

/* Read to the end of file. */
void running_read_all(struct running *running);

/* The number behind the line's first word. */
int running_number(const struct running *running, const char *word);

/* Wait for its end and reap it. */
struct exit_status running_reap(struct running *running);

/* Close the descriptors. */
void running_close(struct running *running);

bool wait_readable(int fd, int timeout_ms);

/* A pidfd of a live process; the test fails without. */
int open_pidfd(pid_t pid);

/* Has the process ended, or does it end before the deadline? */
bool ends(int pidfd);

/* A new directory below /tmp, removed by remove_directory(). */
void make_directory(char *path, size_t size);
void remove_directory(const char *path);

int count_open_fds(void);

/* The tests' own children are kept: the process becomes a subreaper. */
int become_subreaper(void **state);

/* Whatever a failed test left does not outlive the tests. */
int end_what_is_left(void **state);

#endif
