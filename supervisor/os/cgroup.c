#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/cgroup_dir.h"
#include "os/cgroup_limit.h"
#include "os/dir.h"
#include "os/proc.h"
#include "os/spawn.h"

#define END_LEFTOVER_MS 2000
#define END_LOOK_MS     2

/* In mountinfo, blanks and backslashes of a path are octal escapes. */
static void
unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		unsigned value;

		if (*text == '\\' && sscanf(text + 1, "%3o", &value) == 1) {
			*out++ = (char)value;
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

/* "0::/path" is the process's place in cgroup2; the other lines are of version 1. */
static bool
own_group(char *ret, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		if (!strncmp(line, "0::", 3)) {
			line[strcspn(line, "\n")] = '\0';
			found = snprintf(ret, size, "%s", line + 3) < (int)size;
		}
	if (file)
		fclose(file);
	return found;
}

/* The part of `path` below `root`, or NULL when it lies elsewhere. */
static const char *
below(const char *path, const char *root)
{
	size_t length = strcmp(root, "/") ? strlen(root) : 0;

	if (strncmp(path, root, length) || (path[length] && path[length] != '/'))
		return NULL;
	return strcmp(path + length, "/") ? path + length : "";
}

/* Our group's directory, from one line of mountinfo.  false: not cgroup2, or not our part of it. */
static bool
directory_on_mount(char *line, const char *own, char *ret, size_t size)
{
	char *fields[5], *save = NULL, *dash = strstr(line, " - ");
	const char *rest;

	if (!dash || strncmp(dash + 3, "cgroup2 ", 8))
		return false;
	*dash = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!fields[i])
			return false;
	}
	unescape(fields[3]);
	unescape(fields[4]);
	rest = below(own, fields[3]);
	return rest && snprintf(ret, size, "%s%s", fields[4], rest) < (int)size;
}

static plug_err
find_directory(char *ret, size_t size, struct reason *why)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char own[PATH_MAX], line[2 * PATH_MAX];
	bool found = false;

	if (!file)
		return reason_set(why, PLUG_ESYS, "/proc/self/mountinfo: %s",
				  strerrordesc_np(errno));
	if (own_group(own, sizeof(own)))
		while (!found && fgets(line, sizeof(line), file))
			found = directory_on_mount(line, own, ret, size);
	fclose(file);
	return found ? PLUG_OK
		     : reason_set(why, PLUG_ENOTFOUND,
				  "no cgroup2 file system is mounted that shows our own group");
}

static uint64_t
pid_namespace(void)
{
	struct stat info;

	return stat("/proc/self/ns/pid", &info) ? 0 : (uint64_t)info.st_ino;
}

static int
base_name(char *ret, size_t size)
{
	struct proc_info info = {0};

	proc_read(getpid(), &info);
	return snprintf(ret, size, "plugd-%d-%llu-%llu", (int)getpid(),
			(unsigned long long)info.start_ticks, (unsigned long long)pid_namespace());
}

/* Of a daemon in another pid namespace nothing can be known, so it is left alone.  One that is dead
 * may wait for an init that is slow to reap it. */
static bool
is_of_dead_daemon(const char *name)
{
	unsigned long long start, namespace_id;
	struct proc_info info;
	int pid, end = 0;

	if (sscanf(name, "plugd-%d-%llu-%llu%n", &pid, &start, &namespace_id, &end) != 3 ||
	    name[end] || namespace_id != pid_namespace())
		return false;
	return proc_read(pid, &info) == PLUG_ENOTFOUND || info.start_ticks != start ||
	       info.state == 'Z' || info.state == 'X';
}

/* Until its processes are gone, or for END_LEFTOVER_MS: what is started next is no second copy. */
static void
remove_leftover(int parent_fd, const char *name)
{
	const struct timespec pause = {.tv_nsec = END_LOOK_MS * 1000000L};

	for (int waited = 0; waited < END_LEFTOVER_MS; waited += END_LOOK_MS) {
		if (cgroup_dir_remove(parent_fd, name) != PLUG_EBUSY)
			return;
		nanosleep(&pause, NULL);
	}
}

static bool
end_leftover(void *context, int parent_fd, const char *name, int type)
{
	(void)context;
	(void)type;
	if (is_of_dead_daemon(name)) {
		AUTO_CLOSE int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0)
			cgroup_dir_kill(fd, cgroup_dir_rung(fd));
		remove_leftover(parent_fd, name); /* if still ending: by the next daemon */
	}
	return true;
}

static plug_err
refused(struct reason *why, const char *path)
{
	if (errno == EACCES || errno == EPERM)
		return reason_set(why, PLUG_EDENIED,
				  "%s may not be written by uid %u; run plugd as root, or as a "
				  "systemd service with Delegate=yes",
				  path, (unsigned)geteuid());
	if (errno == EROFS)
		return reason_set(why, PLUG_EDENIED, "%s is mounted read-only", path);
	return reason_set(why, PLUG_ESYS, "%s: %s", path, strerrordesc_np(errno));
}

static bool
takes_processes(int fd)
{
	AUTO_CLOSE int type_fd = openat(fd, "cgroup.type", O_RDONLY | O_CLOEXEC);
	char type[32] = "";

	if (type_fd >= 0 && read(type_fd, type, sizeof(type) - 1) < 0)
		return false;
	return !strcmp(type, "domain\n");
}

static plug_err
open_base(int parent_fd, const char *parent, struct cgroup *cgroup)
{
	AUTO_CLOSE int fd = -1;
	char name[80];

	base_name(name, sizeof(name));
	if (snprintf(cgroup->path, sizeof(cgroup->path), "%s/%s", parent, name) >=
	    (int)sizeof(cgroup->path))
		return reason_set(&cgroup->why, PLUG_ETOOLARGE, "%s: path too long", parent);
	if (faccessat(parent_fd, "cgroup.procs", W_OK, AT_EACCESS) < 0)
		return refused(&cgroup->why, parent);
	if (mkdirat(parent_fd, name, 0755) < 0 && errno != EEXIST)
		return refused(&cgroup->why, parent);
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return refused(&cgroup->why, cgroup->path);
	if (!takes_processes(fd)) {
		unlinkat(parent_fd, name, AT_REMOVEDIR);
		return reason_set(&cgroup->why, PLUG_ESTATE,
				  "%s is in a threaded cgroup, which takes no processes", parent);
	}
	cgroup->fd = steal_fd(&fd);
	return PLUG_OK;
}

static plug_err
open_rung(struct cgroup *cgroup)
{
	char parent[PATH_MAX];
	AUTO_CLOSE int parent_fd = -1;
	plug_err err = find_directory(parent, sizeof(parent), &cgroup->why);

	if (err)
		return err;
	parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent_fd < 0)
		return refused(&cgroup->why, parent);
	dir_each(parent_fd, ".", end_leftover, NULL);
	return open_base(parent_fd, parent, cgroup);
}

static void
probe_births(struct cgroup *cgroup)
{
	struct cgroup_group probe;

	if (!cgroup_group_open(cgroup, "probe", &probe)) {
		spawn_probe_cgroup(probe.fd);
		cgroup_group_remove(cgroup, &probe);
		cgroup_group_close(&probe);
	}
}

void
cgroup_open(struct cgroup *ret)
{
	*ret = (struct cgroup){.rung = CGROUP_NONE, .fd = -1};
	if (open_rung(ret)) {
		ret->path[0] = '\0';
		return;
	}
	ret->rung = cgroup_dir_rung(ret->fd);
	ret->controllers = cgroup_enable_controllers(ret->fd);
	if (ret->rung != CGROUP_KILL)
		reason_set(&ret->why, PLUG_OK, "no cgroup.kill here: it came with Linux 5.14");
	probe_births(ret);
}

/* As (parent directory, name): the last slash becomes the end of the parent. */
static plug_err
remove_path(const char *path)
{
	char parent[PATH_MAX];
	AUTO_CLOSE int parent_fd = -1;
	char *slash;

	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return PLUG_EINVAL;
	*slash = '\0';
	parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return parent_fd < 0 ? PLUG_ESYS : cgroup_dir_remove(parent_fd, slash + 1);
}

void
cgroup_close(struct cgroup *cgroup)
{
	if (cgroup->rung != CGROUP_NONE)
		remove_path(cgroup->path);
	close_fd(&cgroup->fd);
	cgroup->rung = CGROUP_NONE;
}

plug_err
cgroup_end_path(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? PLUG_OK : PLUG_ESYS;
	cgroup_dir_kill(fd, cgroup_dir_rung(fd));
	return remove_path(path);
}

const char *
cgroup_text(const struct cgroup *cgroup, char *text, size_t size)
{
	static const char *const rungs[] = {
		[CGROUP_NONE] = "process groups and subreaper",
		[CGROUP_PROCS] = "cgroup2 member lists",
		[CGROUP_KILL] = "cgroup.kill",
	};

	snprintf(text, size, "%s%s%s%s%s", rungs[cgroup->rung], *cgroup->path ? " in " : "",
		 cgroup->path, *cgroup->why.text ? ", because " : "", cgroup->why.text);
	return text;
}
