/*
 * What a child gives up before it executes: its user, privileges, parts of the filesystem, system
 * calls, and resources.
 *
 * Everything that can fail for a reason worth a sentence is done before the fork, by
 * sandbox_prepare(); what is left for the child is plain system calls (sandbox_enter()).  Nothing
 * is given up halfway: a step that fails in the child ends it before it executes.
 *
 * The ladder of the filesystem rules is Landlock (Linux 5.13 and later, enabled at boot) or a
 * refusal: a plugin that asked to be kept out of the filesystem is not started with all of it.
 */
#ifndef PLUGD_SANDBOX_H
#define PLUGD_SANDBOX_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <plug/error.h>

#include "os/reason.h"

#define SANDBOX_GROUPS 32 /* supplementary ones, at most; more are refused */
#define SANDBOX_LIMITS 4

enum sandbox_filter {
	SANDBOX_FILTER_NONE,
	SANDBOX_FILTER_DEFAULT /* see sandbox_filter.c: what changes the machine or reads other
				  processes is refused with EPERM; what CUDA needs stays */
};

/* Lists end with NULL; NULL is an empty list.  Paths are absolute. */
struct sandbox_config {
	const char *user;     /* NULL: as the caller */
	bool keep_privileges; /* set-user-ID programs work in the child */
	enum sandbox_filter filter;
	/* When `confine` is set the child sees nothing of the filesystem but what is below these,
	 * and what every program needs (sandbox_base_paths). */
	bool confine;
	const char *const *read_only;
	const char *const *writable;
	/* 0: no limit of ours.  Exceeding one is an error in the child; it is never killed. */
	uint64_t data_bytes; /* RLIMIT_DATA: private writable memory */
	uint64_t processes;  /* RLIMIT_NPROC: counts all of that user's, so only with `user` */
	uint64_t open_files; /* RLIMIT_NOFILE, soft and hard */
};

struct sandbox_limit {
	int resource;
	struct rlimit limit;
};

struct sandbox {
	bool set_user, no_new_privileges;
	uid_t uid;
	gid_t gid;
	gid_t groups[SANDBOX_GROUPS];
	size_t group_count;
	int landlock_fd;          /* -1: none */
	struct sock_fprog filter; /* len 0: none; static memory */
	struct sandbox_limit limits[SANDBOX_LIMITS];
	size_t limit_count;
};

#define SANDBOX_INIT              \
	{                         \
		.landlock_fd = -1 \
	}

/*
 * Main thread; reads the user database.  On failure *ret is untouched and `why` says what to do.
 *
 * PLUG_ENOTFOUND  no such user, or a path that does not exist
 * PLUG_EDENIED    not root, and the user is another one
 * PLUG_EUNAVAILABLE  the kernel has no Landlock
 * PLUG_EINVAL     processes without user; too many groups
 * PLUG_ESYS
 */
plug_err sandbox_prepare(const struct sandbox_config *config, struct sandbox *ret,
			 struct reason *why);

/* Accepts SANDBOX_INIT and NULL. */
void sandbox_fini(struct sandbox *sandbox);

/* What the child always may read, or read and write, when it is confined.  NULL-terminated. */
extern const char *const sandbox_base_read[];
extern const char *const sandbox_base_write[];

/* The version of Landlock's interface; 0: there is none. */
int sandbox_landlock_version(void);

/* ---- in the child, between fork and exec: plain system calls only ---- */

/* Limits and user.  The parent-death signal has to be set again afterwards.  0, or -1 with errno.
 */
int sandbox_enter_user(const struct sandbox *sandbox);

/* Privileges, filesystem, system calls: last before the exec.  0, or -1 with errno. */
int sandbox_enter(const struct sandbox *sandbox);

/* ---- sandbox_filter.c ---- */

/* The program in force for this architecture; len 0 where we have none. */
struct sock_fprog sandbox_filter_program(void);

/* Is this system call among the refused ones?  For the tests. */
bool sandbox_filter_refuses(int number);

#endif
