#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/cgroup_dir.h"
#include "os/dir.h"

static bool
name_is_valid(const char *name, size_t size)
{
	return *name && *name != '.' && !strchr(name, '/') && !strchr(name, '\n') &&
	       strlen(name) < size;
}

/* Groups in use hold a process, so that they cannot be removed. */
static bool
remove_if_empty(void *context, int dir_fd, const char *name, int type)
{
	struct cgroup *cgroup = context;

	if (type == DT_DIR && cgroup_dir_remove(dir_fd, name) == PLUG_EBUSY)
		cgroup->untidy = true;
	return true;
}

static void
tidy(struct cgroup *cgroup)
{
	if (!cgroup->untidy)
		return;
	cgroup->untidy = false;
	dir_each(cgroup->fd, ".", remove_if_empty, cgroup);
}

plug_err
cgroup_group_open(struct cgroup *cgroup, const char *name, struct cgroup_group *ret)
{
	struct cgroup_group group = CGROUP_GROUP_INIT;

	*ret = group;
	if (!name_is_valid(name, sizeof(group.name)))
		return PLUG_EINVAL;
	snprintf(group.name, sizeof(group.name), "%s", name);
	if (cgroup->rung != CGROUP_NONE) {
		tidy(cgroup);
		if (mkdirat(cgroup->fd, name, 0755) < 0 && errno != EEXIST)
			return PLUG_ESYS;
		group.fd = openat(cgroup->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (group.fd < 0)
			return PLUG_ESYS;
	}
	*ret = group;
	return PLUG_OK;
}

plug_err
cgroup_group_kill(const struct cgroup *cgroup, const struct cgroup_group *group)
{
	return group->fd < 0 ? PLUG_OK : cgroup_dir_kill(group->fd, cgroup->rung);
}

bool
cgroup_group_populated(const struct cgroup_group *group)
{
	AUTO_CLOSE int fd = -1;
	char text[256];
	ssize_t got;

	if (group->fd < 0)
		return false;
	fd = openat(group->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (got <= 0)
		return false;
	text[got] = '\0';
	return strstr(text, "populated 1") != NULL;
}

plug_err
cgroup_group_remove(struct cgroup *cgroup, struct cgroup_group *group)
{
	plug_err err = PLUG_OK;

	if (group->fd >= 0)
		err = cgroup_dir_remove(cgroup->fd, group->name);
	if (err == PLUG_EBUSY)
		cgroup->untidy = true;
	else
		cgroup_group_close(group);
	return err;
}

void
cgroup_group_close(struct cgroup_group *group)
{
	close_fd(&group->fd);
}
