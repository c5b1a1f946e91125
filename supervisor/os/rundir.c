#include "os/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/dir.h"
#include "os/random.h"
#include "wire.h"

#define PID_FILE       "plugd.pid"
#define SESSIONS       "s"
#define SESSION_FILE   2 /* bytes of a name in a session's directory */
#define LONGEST_NAME   (sizeof("/" SESSIONS "/") - 1 + RUNDIR_SESSION_HEX + 1 + SESSION_FILE)
#define LONGEST_PATH   (RUNDIR_SOCKET_BYTES - LONGEST_NAME)
#define REMOVE_DEPTH   4
#define REMOVE_ENTRIES 65536
#define LOCK_ATTEMPTS  8
#define NAME_ATTEMPTS  8

static plug_err
too_long(struct reason *why, const char *path)
{
	return reason_set(why, PLUG_ETOOLARGE,
			  "runtime directory %s: the path may have %zu bytes and has %zu, since "
			  "sockets below it must stay within %d; choose a shorter one with "
			  "--runtime-dir",
			  path, LONGEST_PATH, strlen(path), RUNDIR_SOCKET_BYTES);
}

plug_err
rundir_default_path(char *path, size_t size, struct reason *why)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (!base || *base != '/')
		base = "/run";
	if (snprintf(path, size, "%s/plugd", base) >= (int)size)
		return too_long(why, base);
	return PLUG_OK;
}

static plug_err
make_absolute(const char *path, char *ret, size_t size, struct reason *why)
{
	char cwd[PATH_MAX] = "", whole[2 * PATH_MAX];
	size_t length;

	if (*path != '/' && !getcwd(cwd, sizeof(cwd)))
		return reason_set(why, PLUG_ESYS, "runtime directory %s: no working directory: %s",
				  path, strerrordesc_np(errno));
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	snprintf(whole, sizeof(whole), "%s%s%s", cwd, *cwd ? "/" : "", path);
	length = strlen(whole);
	while (length > 1 && whole[length - 1] == '/')
		whole[--length] = '\0';
	if (length > LONGEST_PATH || length >= size)
		return too_long(why, whole);
	memcpy(ret, whole, length + 1);
	return PLUG_OK;
}

/* Whoever may write the parent may put another directory in our place. */
static plug_err
check_parent(int fd, const char *path, struct reason *why)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return reason_set(why, PLUG_ESYS, "%s: %s", path, strerrordesc_np(errno));
	if ((info.st_mode & S_IWOTH) && !(info.st_mode & S_ISVTX))
		return reason_set(why, PLUG_EDENIED,
				  "runtime directory %s: the directory it is in has mode %04o, so "
				  "anybody could replace it; chmod o-w that one or choose another "
				  "with --runtime-dir",
				  path, (unsigned)info.st_mode & 07777);
	return PLUG_OK;
}

static plug_err
check_directory(int fd, const char *path, struct reason *why)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return reason_set(why, PLUG_ESYS, "%s: %s", path, strerrordesc_np(errno));
	if (info.st_uid != geteuid())
		return reason_set(
			why, PLUG_EDENIED,
			"runtime directory %s belongs to uid %u, plugd runs as %u; choose "
			"another with --runtime-dir",
			path, (unsigned)info.st_uid, (unsigned)geteuid());
	if ((info.st_mode & 077) && (info.st_mode & 077) != 011)
		return reason_set(why, PLUG_EDENIED,
				  "runtime directory %s has mode %04o, open to others; 0700 is "
				  "needed: chmod 700 it, or choose another with --runtime-dir",
				  path, (unsigned)info.st_mode & 07777);
	/* 0711 is what a daemon with plugins of other users leaves. */
	if ((info.st_mode & 011) && fchmod(fd, 0700) < 0)
		return reason_set(why, PLUG_ESYS, "runtime directory %s: %s", path,
				  strerrordesc_np(errno));
	return PLUG_OK;
}

static plug_err
not_a_directory(int parent_fd, const char *name, const char *path, struct reason *why)
{
	int saved = errno;
	struct stat info;

	if (fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISLNK(info.st_mode))
			return reason_set(why, PLUG_EDENIED,
					  "runtime directory %s is a symbolic link; a directory is "
					  "needed: name the real one with --runtime-dir",
					  path);
		if (!S_ISDIR(info.st_mode))
			return reason_set(
				why, PLUG_EDENIED,
				"runtime directory %s is there but not a directory; remove "
				"it or choose another with --runtime-dir",
				path);
	}
	return reason_set(why, PLUG_ESYS, "runtime directory %s: %s", path, strerrordesc_np(saved));
}

static plug_err
open_directory(const char *path, int *ret_fd, struct reason *why)
{
	AUTO_CLOSE int parent_fd = -1, fd = -1;
	char parent[RUNDIR_PATH_BYTES];
	const char *name;
	plug_err err;

	name = strrchr(path, '/') + 1;
	if (!*name || !strcmp(name, "..") || !strcmp(name, "."))
		return reason_set(why, PLUG_EDENIED, "runtime directory %s: not a name of its own",
				  path);
	snprintf(parent, sizeof(parent), "%.*s", name - path > 1 ? (int)(name - path - 1) : 1,
		 path);
	parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent_fd < 0)
		return reason_set(why, PLUG_ESYS,
				  "runtime directory %s cannot be made: %s: %s; create that one "
				  "first, or choose another with --runtime-dir",
				  path, parent, strerrordesc_np(errno));
	err = check_parent(parent_fd, path, why);
	if (err)
		return err;
	if (mkdirat(parent_fd, name, 0700) < 0 && errno != EEXIST)
		return reason_set(why, PLUG_ESYS,
				  "runtime directory %s cannot be made: %s; choose another with "
				  "--runtime-dir",
				  path, strerrordesc_np(errno));
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return not_a_directory(parent_fd, name, path, why);
	err = check_directory(fd, path, why);
	if (!err)
		*ret_fd = steal_fd(&fd);
	return err;
}

static pid_t
read_pid(int fd)
{
	char text[24] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static plug_err
held(int fd, const char *path, pid_t *ret_holder, struct reason *why)
{
	pid_t holder = read_pid(fd);
	char who[32] = "";

	if (holder > 0)
		snprintf(who, sizeof(who), " with pid %d", (int)holder);
	if (ret_holder)
		*ret_holder = holder > 0 ? holder : 0;
	return reason_set(why, PLUG_EBUSY,
			  "another plugd%s runs on %s; stop it, or choose another directory with "
			  "--runtime-dir",
			  who, path);
}

/* A daemon that ends removes the file: a lock on one that is not there any more locks nothing. */
static bool
is_still_there(int dir_fd, int fd)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 &&
	       fstatat(dir_fd, PID_FILE, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

/* A lock of the open file description: it survives an exec, and no close of another loses it. */
static plug_err
lock(int dir_fd, const char *path, int *ret_fd, pid_t *ret_holder, struct reason *why)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char text[24];

	for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
		AUTO_CLOSE int fd =
			openat(dir_fd, PID_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd < 0)
			break;
		if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
			if (errno == EAGAIN || errno == EACCES)
				return held(fd, path, ret_holder, why);
			break;
		}
		if (!is_still_there(dir_fd, fd))
			continue;
		snprintf(text, sizeof(text), "%d\n", (int)getpid());
		if (ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) < 0)
			break;
		*ret_fd = steal_fd(&fd);
		return PLUG_OK;
	}
	return reason_set(why, PLUG_ESYS, "%s/" PID_FILE " cannot be locked: %s", path,
			  strerrordesc_np(errno));
}

struct removal {
	int depth;
	int left; /* entries that may still be looked at */
};

static bool
remove_entry(void *context, int dir_fd, const char *name, int type)
{
	struct removal *removal = context;

	(void)type;
	if (removal->left-- <= 0)
		return false;
	if (unlinkat(dir_fd, name, 0) == 0 || (errno != EISDIR && errno != EPERM))
		return true;
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || removal->depth == REMOVE_DEPTH)
		return true;
	removal->depth++;
	dir_each(dir_fd, name, remove_entry, removal); /* a directory: unlink would take a link */
	removal->depth--;
	unlinkat(dir_fd, name, AT_REMOVEDIR);
	return true;
}

static void
remove_tree(int dir_fd, const char *name)
{
	struct removal removal = {.left = REMOVE_ENTRIES};

	remove_entry(&removal, dir_fd, name, 0);
}

/* What is no socket is not ours to remove: listening there fails, and says so. */
static void
remove_socket(const struct rundir *rundir)
{
	struct stat info;

	if (fstatat(rundir->fd, PLUG_SOCKET_NAME, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISSOCK(info.st_mode))
		unlinkat(rundir->fd, PLUG_SOCKET_NAME, 0);
}

static plug_err
renew_content(struct rundir *rundir, struct reason *why)
{
	remove_socket(rundir);
	remove_tree(rundir->fd, SESSIONS);
	if (mkdirat(rundir->fd, SESSIONS, 0700) == 0)
		rundir->sessions_fd = openat(rundir->fd, SESSIONS,
					     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rundir->sessions_fd < 0)
		return reason_set(why, PLUG_ESYS, "%s/" SESSIONS " cannot be made anew: %s",
				  rundir->path, strerrordesc_np(errno));
	return PLUG_OK;
}

plug_err
rundir_open(const char *path, struct rundir *ret, pid_t *ret_holder, struct reason *why)
{
	struct rundir rundir = RUNDIR_INIT;
	plug_err err = make_absolute(path, rundir.path, sizeof(rundir.path), why);

	if (!err)
		err = open_directory(rundir.path, &rundir.fd, why);
	if (!err)
		err = lock(rundir.fd, rundir.path, &rundir.lock_fd, ret_holder, why);
	if (!err)
		err = renew_content(&rundir, why);
	if (err) {
		close_fd(&rundir.lock_fd);
		close_fd(&rundir.fd);
		return err;
	}
	*ret = rundir;
	return PLUG_OK;
}

void
rundir_close(struct rundir *rundir)
{
	if (rundir->lock_fd >= 0) {
		remove_socket(rundir);
		remove_tree(rundir->fd, SESSIONS);
		unlinkat(rundir->fd, PID_FILE, 0);
	}
	close_fd(&rundir->sessions_fd);
	close_fd(&rundir->lock_fd);
	close_fd(&rundir->fd);
}

plug_err
rundir_path(const struct rundir *rundir, const char *name, char *path, size_t size)
{
	int length = snprintf(path, size, "%s/%s", rundir->path, name);

	return length < (int)size && length <= RUNDIR_SOCKET_BYTES ? PLUG_OK : PLUG_ETOOLARGE;
}

plug_err
rundir_session_new(const struct rundir *rundir, struct rundir_session *ret)
{
	struct rundir_session session;

	for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
		if (random_hex(session.name, RUNDIR_SESSION_HEX))
			return PLUG_ESYS;
		if (mkdirat(rundir->sessions_fd, session.name, 0700) == 0) {
			*ret = session;
			return PLUG_OK;
		}
		if (errno != EEXIST)
			return PLUG_ESYS;
	}
	return PLUG_ESYS;
}

plug_err
rundir_session_path(const struct rundir *rundir, const struct rundir_session *session,
		    const char *name, char *path, size_t size)
{
	char below[64];

	snprintf(below, sizeof(below), SESSIONS "/%s/%s", session->name, name);
	return rundir_path(rundir, below, path, size);
}

void
rundir_session_remove(const struct rundir *rundir, struct rundir_session *session)
{
	if (*session->name)
		remove_tree(rundir->sessions_fd, session->name);
	session->name[0] = '\0';
}

/* ---- users of their own ---- */

plug_err
rundir_admit_users(const struct rundir *rundir)
{
	if (fchmod(rundir->fd, 0711) < 0 || fchmod(rundir->sessions_fd, 0711) < 0)
		return PLUG_ESYS;
	if (fchmodat(rundir->fd, PLUG_SOCKET_NAME, 0666, 0) < 0 && errno != ENOENT)
		return PLUG_ESYS;
	return PLUG_OK;
}

static bool
give_entry(void *context, int dir_fd, const char *name, int type)
{
	const uid_t *uid = context;

	(void)type;
	return fchownat(dir_fd, name, *uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) == 0;
}

plug_err
rundir_session_give(const struct rundir *rundir, const struct rundir_session *session, uid_t uid)
{
	dir_each(rundir->sessions_fd, session->name, give_entry, &uid);
	if (fchownat(rundir->sessions_fd, session->name, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
		return PLUG_ESYS;
	return PLUG_OK;
}
