/*
 * How many processors this process may keep busy.  Quotas are looked for in every group from its
 * own up to the root of what is mounted: in a container the path may be one of the host, of which
 * only the root is there.
 */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spin.h"

static unsigned
by_affinity(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return UINT_MAX; /* more processors than a cpu_set_t holds */
	return (unsigned)CPU_COUNT(&set);
}

static bool
read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool ok;

	if (!file)
		return false;
	ok = fgets(line, (int)size, file) != NULL;
	fclose(file);
	return ok;
}

static unsigned
whole(long long quota, long long period)
{
	if (quota <= 0 || period <= 0 || quota / period > (long long)UINT_MAX)
		return UINT_MAX; /* -1: no quota */
	return quota < period ? 1 : (unsigned)(quota / period);
}

/* The quota of one group; UINT_MAX: none. */
static unsigned
by_group(const char *dir, bool v1)
{
	char path[PATH_MAX + 32], line[64];
	long long quota = 0, period = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, v1 ? "cpu.cfs_quota_us" : "cpu.max");
	if (!read_line(path, line, sizeof(line)))
		return UINT_MAX;
	if (!v1)
		return sscanf(line, "%lld %lld", &quota, &period) == 2 ? whole(quota, period)
								       : UINT_MAX; /* "max" */
	quota = atoll(line);
	snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
	return read_line(path, line, sizeof(line)) ? whole(quota, atoll(line)) : UINT_MAX;
}

/* The least quota from mount/hierarchy/group up to mount/hierarchy. */
static unsigned
by_path(const char *mount, const char *hierarchy, const char *group, bool v1)
{
	char dir[PATH_MAX];
	int root = snprintf(dir, sizeof(dir), "%s%s", mount, hierarchy);
	unsigned least = UINT_MAX;

	if (root < 0 || (size_t)root + strlen(group) >= sizeof(dir))
		return UINT_MAX;
	strcpy(dir + root, group);
	for (;;) {
		unsigned here = by_group(dir, v1);
		char *slash = strrchr(dir + root, '/');

		if (here < least)
			least = here;
		if (!slash)
			return least;
		*slash = '\0';
	}
}

static bool
has_cpu(const char *controllers)
{
	const char *at = controllers;
	size_t length;

	for (; *at; at += length + (at[length] == ',')) {
		length = strcspn(at, ",");
		if (length == 3 && memcmp(at, "cpu", 3) == 0)
			return true;
	}
	return false;
}

/* One line of /proc/self/cgroup: "4:cpu,cpuacct:/a/b", "0::/a/b". */
static unsigned
by_line(char *line, const char *mount)
{
	char *controllers = strchr(line, ':'), *group = controllers, hierarchy[64];
	unsigned first, second;

	if (!controllers || !(group = strchr(++controllers, ':')))
		return UINT_MAX;
	*group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	if (!*controllers) {
		first = by_path(mount, "", group, false);
		second = by_path(mount, "/unified", group, false);
		return first < second ? first : second;
	}
	if (!has_cpu(controllers) ||
	    snprintf(hierarchy, sizeof(hierarchy), "/%s", controllers) >= (int)sizeof(hierarchy))
		return UINT_MAX;
	first = by_path(mount, hierarchy, group, true);
	second = by_path(mount, "/cpu", group, true);
	return first < second ? first : second;
}

unsigned
plugs_processors(const char *proc_cgroup, const char *mount)
{
	unsigned least = by_affinity();
	FILE *file = fopen(proc_cgroup, "re");
	char line[PATH_MAX];

	while (file && fgets(line, sizeof(line), file)) {
		unsigned here = by_line(line, mount);

		if (here < least)
			least = here;
	}
	if (file)
		fclose(file);
	return least ? least : 1;
}
