#include "install/where.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec.h"

#define LOCK_MS 30000

static bool
on_status(const Plug__Response *response, void *user)
{
	const Plug__DaemonStatus *status = response->daemon;
	struct where *where = user;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_DAEMON)
		return true;
	snprintf(where->path, sizeof(where->path), "%s", plug_str(status->store_dir));
	snprintf(where->keys, sizeof(where->keys), "%s", plug_str(status->store_keys));
	where->only_signed = status->store_signed;
	where->has_plugd = true;
	return true;
}

static int
ask_plugd(struct ctl *ctl, struct where *where)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatusRequest ask = PLUG__STATUS_REQUEST__INIT;
	int status;

	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &ask;
	status =
		ctl_request(ctl, &request, NULL, ctl_timeout(ctl, CTL_ANSWER_MS), on_status, where);
	if (status == CTL_NO_PLUGD)
		fputs("plugctl: a store can be changed without plugd, too: --store DIR\n", stderr);
	if (status == CTL_DONE && !*where->path)
		return ctl_fail(ctl, PLUG_EUNAVAILABLE, NULL,
				"this plugd knows no store: update it, or name one with --store");
	return status;
}

/* Of the nearest folder above that is there: what is made will be its owner's. */
static void
find_owner(const char *path, struct stat *info)
{
	char part[PATH_MAX], above[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	while (stat(part, info) < 0) {
		snprintf(above, sizeof(above), "%s", part);
		snprintf(part, sizeof(part), "%s", dirname(above));
		*info = (struct stat){.st_uid = geteuid(), .st_gid = getegid()};
		if (!strcmp(part, "/") || !strcmp(part, "."))
			return;
	}
}

/* What root makes would be root's, and plugd could not remove it. */
static plug_err
become_owner(const char *path, struct reason *why)
{
	const struct passwd *user;
	struct stat info;
	gid_t group;
	int failed;

	find_owner(path, &info);
	if (geteuid() || !info.st_uid)
		return PLUG_OK;
	user = getpwuid(info.st_uid);
	group = user ? user->pw_gid : info.st_gid;
	failed = user ? initgroups(user->pw_name, group) : setgroups(0, NULL);
	if (failed || setresgid(group, group, group) < 0 ||
	    setresuid(info.st_uid, info.st_uid, info.st_uid) < 0)
		return reason_set(why, PLUG_ESYS, "store %s: cannot act as its owner, uid %u: %s",
				  path, (unsigned)info.st_uid, strerrordesc_np(errno));
	setenv("HOME", user ? user->pw_dir : "/", 1);
	return PLUG_OK;
}

static int
name_store(struct ctl *ctl, const struct args *args, struct where *where)
{
	const char *store = args_text(args, "store", NULL);

	if (!store && args_text(args, "keys", NULL))
		return ctl_usage(ctl, "--keys is for --store; plugd has its own");
	if (!store)
		return ask_plugd(ctl, where);
	snprintf(where->path, sizeof(where->path), "%s", store);
	if (args_text(args, "keys", NULL))
		snprintf(where->keys, sizeof(where->keys), "%s", args_text(args, "keys", NULL));
	else
		snprintf(where->keys, sizeof(where->keys), "%.4000s/../keys", store);
	return CTL_DONE;
}

int
where_open(struct ctl *ctl, const struct args *args, enum where_access access, struct where *ret)
{
	struct reason why = {""};
	int status;
	plug_err err;

	if (sodium_init() < 0)
		return ctl_fail(ctl, PLUG_ESYS, NULL, "libsodium cannot be used here");
	status = name_store(ctl, args, ret);
	if (status != CTL_DONE)
		return status;
	umask(022); /* a plugin may have a user of its own, who has to read it */
	err = become_owner(ret->path, &why);
	if (!err)
		err = store_open(ret->path, access == WHERE_CREATE, &ret->store, &why);
	if (err == PLUG_ENOTFOUND && access == WHERE_LOOK)
		return CTL_DONE;
	if (!err && access >= WHERE_CHANGE)
		err = store_lock(&ret->store, ctl_timeout(ctl, LOCK_MS), &why);
	if (err == PLUG_ENOTFOUND)
		return ctl_fail(ctl, PLUG_ENOTFOUND, NULL,
				"nothing is installed: there is no store yet");
	if (err)
		return ctl_fail(ctl, err, NULL, why.text);
	if (access >= WHERE_CHANGE)
		store_sweep(&ret->store);
	return CTL_DONE;
}

void
where_unlock(struct where *where)
{
	if (where->store.lock_fd >= 0)
		close(where->store.lock_fd);
	where->store.lock_fd = -1;
}

void
where_close(struct where *where)
{
	store_close(&where->store);
}

bool
where_holds(const struct where *where, const char *path)
{
	size_t length = strlen(where->store.path);

	return !strncmp(path, where->store.path, length) && path[length] == '/';
}
