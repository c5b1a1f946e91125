#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Later than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define READ_FILE  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE)
#define READ_TREE  (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_FILE (READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define MAKE_FILES                                                        \
	(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |      \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |    \
	 LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_MAKE_CHAR |     \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_REFER)
#define EVERYTHING (READ_TREE | WRITE_FILE | MAKE_FILES)

const char *const sandbox_base_read[] = {"/usr",  "/lib", "/lib32", "/lib64", "/libx32", "/bin",
					 "/sbin", "/etc", "/proc",  "/sys",   "/dev",    NULL};

const char *const sandbox_base_write[] = {"/dev/null",
					  "/dev/zero",
					  "/dev/full",
					  "/dev/random",
					  "/dev/urandom",
					  "/dev/tty",
					  "/dev/nvidiactl",
					  "/dev/nvidia-uvm",
					  "/dev/nvidia0",
					  "/dev/nvidia1",
					  "/dev/nvidia2",
					  "/dev/nvidia3",
					  "/dev/nvidia4",
					  "/dev/nvidia5",
					  "/dev/nvidia6",
					  "/dev/nvidia7",
					  "/dev/nvidia-uvm-tools",
					  "/dev/nvidia-modeset",
					  "/dev/dri",
					  NULL};

/* ---- Landlock ---- */

int
sandbox_landlock_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version > 0 ? (int)version : 0;
}

/* What this kernel's version knows of `access`. */
static uint64_t
known(uint64_t access, int version)
{
	if (version < 2)
		access &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
	if (version < 3)
		access &= ~(uint64_t)LANDLOCK_ACCESS_FS_TRUNCATE;
	return access;
}

static int
add_rule(int ruleset, const char *path, uint64_t access)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	rule.allowed_access = S_ISDIR(st.st_mode) ? access : access & (READ_FILE | WRITE_FILE);
	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

static plug_err
add_rules(int ruleset, const char *const *paths, uint64_t access, bool may_miss, struct reason *why)
{
	for (; paths && *paths; paths++) {
		if (add_rule(ruleset, *paths, access) == 0 || (may_miss && errno == ENOENT))
			continue;
		return reason_set(why, errno == ENOENT ? PLUG_ENOTFOUND : PLUG_ESYS,
				  "%s cannot be given to the plugin: %s; correct the path in "
				  "sandbox, or leave it out",
				  *paths, strerror(errno));
	}
	return PLUG_OK;
}

static plug_err
prepare_landlock(const struct sandbox_config *config, int *ret_fd, struct reason *why)
{
	int version = sandbox_landlock_version();
	uint64_t write = known(EVERYTHING, version), read = known(READ_TREE, version);
	struct landlock_ruleset_attr attr = {.handled_access_fs = write};
	AUTO_CLOSE int fd = -1;
	plug_err err;

	if (!version)
		return reason_set(
			why, PLUG_EUNAVAILABLE,
			"this kernel has no Landlock (Linux 5.13, and \"landlock\" in the "
			"lsm= boot parameter), which sandbox.read and sandbox.write need; "
			"leave both out to run without");
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return reason_set(why, PLUG_ESYS, "cannot make a Landlock ruleset: %s",
				  strerror(errno));
	err = add_rules(fd, sandbox_base_read, read, true, why);
	if (!err)
		err = add_rules(fd, sandbox_base_write, write, true, why);
	if (!err)
		err = add_rules(fd, config->read_only, read, false, why);
	if (!err)
		err = add_rules(fd, config->writable, write, false, why);
	if (!err)
		*ret_fd = steal_fd(&fd);
	return err;
}

/* ---- user ---- */

static plug_err
prepare_user(const char *name, struct sandbox *sandbox, struct reason *why)
{
	int count = SANDBOX_GROUPS;
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(name);
	if (!entry)
		return reason_set(
			why, errno && errno != ENOENT ? PLUG_ESYS : PLUG_ENOTFOUND,
			"run.user: there is no user \"%s\"%s%s; create it, or name another", name,
			errno ? ": " : "", errno ? strerror(errno) : "");
	if (entry->pw_uid == geteuid() && entry->pw_gid == getegid())
		return PLUG_OK; /* nothing to change */
	if (geteuid() != 0)
		return reason_set(
			why, PLUG_EDENIED,
			"run.user: plugd runs as uid %u and cannot become \"%s\"; run plugd "
			"as root, or leave run.user out",
			(unsigned)geteuid(), name);
	if (getgrouplist(name, entry->pw_gid, sandbox->groups, &count) < 0)
		return reason_set(why, PLUG_EINVAL, "run.user: \"%s\" is in more than %d groups",
				  name, SANDBOX_GROUPS);
	sandbox->group_count = (size_t)count;
	sandbox->uid = entry->pw_uid;
	sandbox->gid = entry->pw_gid;
	sandbox->set_user = true;
	return PLUG_OK;
}

/* ---- limits ---- */

static void
add_limit(struct sandbox *sandbox, int resource, uint64_t value)
{
	struct rlimit now;

	if (!value)
		return;
	if (getrlimit(resource, &now) == 0 && now.rlim_max != RLIM_INFINITY && value > now.rlim_max)
		value = now.rlim_max;
	sandbox->limits[sandbox->limit_count++] =
		(struct sandbox_limit){resource, {.rlim_cur = value, .rlim_max = value}};
}

plug_err
sandbox_prepare(const struct sandbox_config *config, struct sandbox *ret, struct reason *why)
{
	struct sandbox sandbox = SANDBOX_INIT;
	plug_err err = PLUG_OK;

	if (config->user)
		err = prepare_user(config->user, &sandbox, why);
	if (err)
		return err;
	if (config->processes && !sandbox.set_user)
		return reason_set(
			why, PLUG_EINVAL,
			"a limit on processes without cgroup v2 counts all processes of a "
			"user, so it needs run.user");
	add_limit(&sandbox, RLIMIT_DATA, config->data_bytes);
	add_limit(&sandbox, RLIMIT_NPROC, config->processes);
	add_limit(&sandbox, RLIMIT_NOFILE, config->open_files);
	sandbox.no_new_privileges = !config->keep_privileges || config->confine ||
				    config->filter != SANDBOX_FILTER_NONE;
	if (config->filter != SANDBOX_FILTER_NONE)
		sandbox.filter = sandbox_filter_program();
	if (config->confine)
		err = prepare_landlock(config, &sandbox.landlock_fd, why);
	if (!err)
		*ret = sandbox;
	return err;
}

void
sandbox_fini(struct sandbox *sandbox)
{
	if (sandbox)
		close_fd(&sandbox->landlock_fd);
}

/* ---- in the child ---- */

int
sandbox_enter_user(const struct sandbox *sandbox)
{
	for (size_t i = 0; i < sandbox->limit_count; i++)
		if (syscall(SYS_prlimit64, 0, sandbox->limits[i].resource,
			    &sandbox->limits[i].limit, NULL) < 0)
			return -1;
	if (!sandbox->set_user)
		return 0;
	if (syscall(SYS_setgroups, sandbox->group_count, sandbox->groups) < 0 ||
	    syscall(SYS_setresgid, sandbox->gid, sandbox->gid, sandbox->gid) < 0 ||
	    syscall(SYS_setresuid, sandbox->uid, sandbox->uid, sandbox->uid) < 0)
		return -1;
	return 0;
}

int
sandbox_enter(const struct sandbox *sandbox)
{
	if (sandbox->no_new_privileges && syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	if (sandbox->landlock_fd >= 0 &&
	    syscall(SYS_landlock_restrict_self, sandbox->landlock_fd, 0) < 0)
		return -1;
	if (sandbox->filter.len &&
	    syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, &sandbox->filter) < 0)
		return -1;
	return 0;
}
