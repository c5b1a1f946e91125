#include "store/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "core/fields.h"
#include "core/semver.h"
#include "os/dir.h"
#include "os/random.h"

#define LOCK_LOOK_NS 20000000L

/* ---- opening ---- */

static plug_err
make_with_parents(const char *path, struct reason *why)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return reason_set(why, PLUG_ETOOLARGE, "store: the path is too long");
	for (char *slash = part; slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST && errno != EISDIR)
			return reason_set(why, PLUG_ESYS, "store %s: %s", part,
					  strerrordesc_np(errno));
		if (slash)
			*slash = '/';
	}
	return PLUG_OK;
}

static plug_err
check_owner(int fd, const char *path, struct reason *why)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return reason_set(why, PLUG_ESYS, "store %s: %s", path, strerrordesc_np(errno));
	if (info.st_uid != geteuid())
		return reason_set(why, PLUG_EDENIED,
				  "store %s belongs to uid %u, and this is uid %u: only its owner "
				  "and root may change what plugd runs",
				  path, (unsigned)info.st_uid, (unsigned)geteuid());
	if (info.st_mode & 022)
		return reason_set(why, PLUG_EDENIED,
				  "store %s has mode %04o, so others can change what plugd runs: "
				  "chmod go-w it",
				  path, (unsigned)info.st_mode & 07777);
	return PLUG_OK;
}

plug_err
store_open(const char *path, bool create, struct store *ret, struct reason *why)
{
	struct store store = STORE_INIT;
	AUTO_CLOSE int fd = -1;
	plug_err err = create ? make_with_parents(path, why) : PLUG_OK;

	if (err)
		return err;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return reason_set(why, errno == ENOENT ? PLUG_ENOTFOUND : PLUG_ESYS, "store %s: %s",
				  path, strerrordesc_np(errno));
	err = check_owner(fd, path, why);
	if (err)
		return err;
	if (!realpath(path, store.path))
		return reason_set(why, PLUG_ESYS, "store %s: %s", path, strerrordesc_np(errno));
	store.fd = steal_fd(&fd);
	*ret = store;
	return PLUG_OK;
}

void
store_close(struct store *store)
{
	close_fd(&store->lock_fd);
	close_fd(&store->fd);
}

plug_err
store_lock(struct store *store, uint64_t wait_ms, struct reason *why)
{
	const struct timespec pause = {.tv_nsec = LOCK_LOOK_NS};
	uint64_t until = clock_mono_ms() + wait_ms;
	AUTO_CLOSE int fd =
		openat(store->fd, STORE_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return reason_set(why, PLUG_ESYS, "%s/" STORE_LOCK ": %s", store->path,
				  strerrordesc_np(errno));
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return reason_set(why, PLUG_ESYS, "%s/" STORE_LOCK ": %s", store->path,
					  strerrordesc_np(errno));
		if (clock_mono_ms() >= until)
			return reason_set(why, PLUG_EBUSY,
					  "another process changes the store %s; try again when it "
					  "has finished",
					  store->path);
		nanosleep(&pause, NULL);
	}
	store->lock_fd = steal_fd(&fd);
	return PLUG_OK;
}

/* ---- names ---- */

bool
store_version_ok(const char *version)
{
	struct semver number;
	char why[SEMVER_ERR_BYTES];

	return *version != '.' && !strchr(version, '/') && strlen(version) < STORE_VERSION_BYTES &&
	       semver_parse(version, &number, why);
}

static bool
name_ok(const char *name)
{
	return strlen(name) < STORE_NAME_BYTES && field_plugin_names.ok(name);
}

bool
store_folder(const char *root, const char *name, const char *version, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s%s%s/" STORE_VERSIONS "/%s/%s", root, *root ? "/" : "",
			name, version, name) < PATH_MAX;
}

/* The part up to the next slash; false: there is none, or it is too long. */
static bool
take_part(const char **at, char *part, size_t size)
{
	size_t length = strcspn(*at, "/");

	if (!length || length >= size)
		return false;
	memcpy(part, *at, length);
	part[length] = '\0';
	*at += length + ((*at)[length] == '/');
	return true;
}

bool
store_parse_folder(const char *root, const char *folder, char name[STORE_NAME_BYTES],
		   char version[STORE_VERSION_BYTES])
{
	size_t length = strlen(root);
	char versions[sizeof(STORE_VERSIONS)], again[STORE_NAME_BYTES];

	if (!length || strncmp(folder, root, length) || folder[length] != '/')
		return false;
	folder += length + 1;
	return take_part(&folder, name, STORE_NAME_BYTES) &&
	       take_part(&folder, versions, sizeof(versions)) &&
	       take_part(&folder, version, STORE_VERSION_BYTES) &&
	       take_part(&folder, again, sizeof(again)) && !*folder &&
	       !strcmp(versions, STORE_VERSIONS) && !strcmp(name, again) && name_ok(name) &&
	       store_version_ok(version);
}

plug_err
store_stage_name(char name[32])
{
	memcpy(name, STORE_STAGE, sizeof(STORE_STAGE) - 1);
	return random_hex(name + sizeof(STORE_STAGE) - 1, 16);
}

/* ---- the chosen version ---- */

plug_err
store_current(int store_fd, const char *name, char version[STORE_VERSION_BYTES])
{
	char link[PATH_MAX], target[PATH_MAX], folder[PATH_MAX], same[STORE_NAME_BYTES];
	ssize_t got;

	if (!name_ok(name))
		return PLUG_EINVAL;
	snprintf(link, sizeof(link), "%s/" STORE_CURRENT, name);
	got = readlinkat(store_fd, link, target, sizeof(target) - 1);
	if (got < 0)
		return errno == ENOENT ? PLUG_ENOTFOUND : PLUG_EINVAL;
	target[got] = '\0';
	if (snprintf(folder, sizeof(folder), "/%s/%s", name, target) >= (int)sizeof(folder))
		return PLUG_EINVAL;
	/* As if the store were the root. */
	snprintf(target, sizeof(target), "root%.*s", (int)sizeof(target) - 8, folder);
	return store_parse_folder("root", target, same, version) ? PLUG_OK : PLUG_EINVAL;
}

bool
store_has(int store_fd, const char *name, const char *version)
{
	char path[PATH_MAX];
	struct stat info;

	if (!name_ok(name) || !store_version_ok(version))
		return false;
	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS "/%s/" STORE_RECORD, name, version);
	return !fstatat(store_fd, path, &info, AT_SYMLINK_NOFOLLOW) && S_ISREG(info.st_mode);
}

static plug_err
point_to(int store_fd, const char *name, const char *version)
{
	char target[PATH_MAX], link[PATH_MAX], fresh[PATH_MAX];

	snprintf(target, sizeof(target), STORE_VERSIONS "/%s/%s", version, name);
	snprintf(link, sizeof(link), "%s/" STORE_CURRENT, name);
	snprintf(fresh, sizeof(fresh), "%s/." STORE_CURRENT ".new", name);
	if (unlinkat(store_fd, fresh, 0) < 0 && errno != ENOENT)
		return PLUG_ESYS;
	if (symlinkat(target, store_fd, fresh) < 0 || renameat(store_fd, fresh, store_fd, link) < 0)
		return PLUG_ESYS;
	return store_sync(store_fd, name);
}

/* Looked at again afterwards, as store_remove_version() does: whichever of the two comes last sees
 * what the other has done. */
plug_err
store_choose(int store_fd, const char *name, const char *version)
{
	char before[STORE_VERSION_BYTES] = "", link[STORE_PATH_BYTES];
	plug_err err;

	if (!store_has(store_fd, name, version))
		return PLUG_ENOTFOUND;
	store_current(store_fd, name, before);
	err = point_to(store_fd, name, version);
	if (err || store_has(store_fd, name, version))
		return err;
	if (*before && !point_to(store_fd, name, before) && store_has(store_fd, name, before))
		return PLUG_ENOTFOUND;
	snprintf(link, sizeof(link), "%s/" STORE_CURRENT, name);
	unlinkat(store_fd, link, 0);
	return PLUG_ENOTFOUND;
}

plug_err
store_sync(int dir_fd, const char *path)
{
	AUTO_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? PLUG_ESYS : PLUG_OK;
}

/* ---- versions ---- */

struct each {
	bool (*on_version)(void *context, const char *version);
	void *context;
};

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	struct each *each = context;

	(void)dir_fd;
	(void)type;
	return !store_version_ok(name) || each->on_version(each->context, name);
}

plug_err
store_each_version(int store_fd, const char *name,
		   bool (*on_version)(void *context, const char *version), void *context)
{
	struct each each = {on_version, context};
	char path[PATH_MAX];

	if (!name_ok(name))
		return PLUG_ENOTFOUND;
	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS, name);
	if (!dir_each(store_fd, path, on_entry, &each))
		return PLUG_OK;
	return errno == ENOENT ? PLUG_ENOTFOUND : PLUG_ESYS;
}
