/*
 * Invariants
 *  - What is in the store under its own name was synced before it got it.
 *  - A version's folder without a record is not installed: a step that fails after it got its place
 *    takes it out again, and where that is killed the next sweep does.
 *  - `current` is made last.
 */
#include "install/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "check.h"
#include "install/environment.h"
#include "install/pin.h"
#include "install/single.h"
#include "install/sums.h"
#include "install/unpack.h"
#include "os/dir.h"
#include "os/statedir.h"
#include "progress.h"

#define TREE      "tree" /* what was unpacked, in a stage */
#define SYNC_EACH 256    /* files */
#define READY     "v"    /* what becomes the version's folder */

struct placing {
	const struct install_order *place;
	struct placed placed;
	char stage[32];                /* below the store */
	char folder[STORE_PATH_BYTES]; /* of the version, below the store; "": not there yet */
	char from[STORE_PATH_BYTES];   /* the plugin's folder in the stage */
	char file[NAME_MAX + 1];       /* that the manifest is in */
	struct fetched_signer signer;
	struct sums sums;
	struct manifest *manifest;
	struct diags *diags;
	struct reason *why;
};

static plug_err
refuse_by_system(struct placing *p, const char *what)
{
	return reason_set(p->why, PLUG_ESYS, "%s: %s; nothing was installed", what,
			  strerrordesc_np(errno));
}

static int
store_fd(const struct placing *p)
{
	return p->place->store->fd;
}

/* ---- into the stage ---- */

static plug_err
make_stage(struct placing *p, int *ret_tree_fd)
{
	char tree[64];

	if (store_stage_name(p->stage) || mkdirat(store_fd(p), p->stage, 0755) < 0)
		return refuse_by_system(p, p->place->store->path);
	snprintf(tree, sizeof(tree), "%s/" TREE, p->stage);
	if (mkdirat(store_fd(p), tree, 0755) < 0)
		return refuse_by_system(p, p->place->store->path);
	*ret_tree_fd = openat(store_fd(p), tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_tree_fd < 0 ? refuse_by_system(p, p->place->store->path) : PLUG_OK;
}

static plug_err
check_digest(struct placing *p, const unsigned char digest[STORE_DIGEST_BYTES])
{
	const char *wanted = p->place->sha256;

	store_digest_text(digest, p->placed.sha256);
	if (!wanted || !strcasecmp(wanted, p->placed.sha256))
		return PLUG_OK;
	return reason_set(p->why, PLUG_EDENIED,
			  "its SHA-256 is %s, expected %s: it is not what you meant to install, or "
			  "was damaged on its way",
			  p->placed.sha256, wanted);
}

static plug_err
unpack_checked(struct placing *p, int tree_fd, struct unpacked *unpacked)
{
	const struct install_order *place = p->place;
	struct unpack_limits limits = {place->max_bytes, UNPACK_ENTRIES};
	struct fetched fetched = {.fd = -1};
	plug_err err;

	if (place->source_fd < 0)
		return unpack_folder(place->source, tree_fd, &limits, unpacked, p->why);
	progress_say(place->progress, "checking");
	err = fetch_archive(place->source_fd, store_fd(p), place->max_bytes, &fetched, p->why);
	if (!err)
		err = check_digest(p, fetched.sha256);
	if (!err)
		err = fetch_check_signature(&fetched, &place->policy, &p->signer, p->why);
	progress_say(place->progress, "unpacking");
	if (!err && single_file_is(fetched.fd))
		err = single_file_take(fetched.fd, "single", tree_fd, p->why);
	else if (!err)
		err = unpack_archive(fetched.fd, tree_fd, &limits, unpacked, p->why);
	close_fd(&fetched.fd);
	return err;
}

struct top {
	char folder[NAME_MAX + 1], file[NAME_MAX + 1]; /* the only ones */
	unsigned count;
	bool has_manifest;
};

static bool
on_top(void *context, int dir_fd, const char *name, int type)
{
	struct top *top = context;
	struct stat info;

	(void)type;
	if (!strcmp(name, CHECK_MANIFEST))
		top->has_manifest = true;
	top->count++;
	if (fstatat(dir_fd, name, &info, AT_SYMLINK_NOFOLLOW))
		return true;
	if (S_ISDIR(info.st_mode))
		snprintf(top->folder, sizeof(top->folder), "%s", name);
	else if (S_ISREG(info.st_mode))
		snprintf(top->file, sizeof(top->file), "%s", name);
	return !top->has_manifest;
}

/* An archive of a plugin is often one of its folder; a plugin may be one file. */
static plug_err
find_plugin(struct placing *p, int tree_fd)
{
	struct top top = {""};
	bool below;

	if (dir_each(tree_fd, ".", on_top, &top) < 0)
		return refuse_by_system(p, "what was unpacked");
	if (!top.has_manifest && (top.count != 1 || (!*top.folder && !*top.file)))
		return reason_set(p->why, PLUG_EINVAL,
				  "no " CHECK_MANIFEST " in it; expected one at the top, or in the "
				  "only folder there, or one executable file with its manifest "
				  "inside");
	below = !top.has_manifest && *top.folder;
	snprintf(p->file, sizeof(p->file), "%s",
		 top.has_manifest || below ? CHECK_MANIFEST : top.file);
	snprintf(p->from, sizeof(p->from), "%s/" TREE "%s%s", p->stage, below ? "/" : "",
		 below ? top.folder : "");
	return PLUG_OK;
}

/* ---- what it is ---- */

static plug_err
read_manifest(struct placing *p, const char *folder,
	      struct manifest *(*read)(const char *path, struct diags *diags))
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s", p->place->store->path, folder, p->file);
	manifest_free(p->manifest);
	p->manifest = read(path, p->diags);
	if (p->manifest && !p->diags->errors)
		return PLUG_OK;
	return reason_set(p->why, PLUG_EINVAL,
			  "its manifest is not accepted; nothing was installed");
}

static plug_err
identify(struct placing *p)
{
	struct placed *placed = &p->placed;
	plug_err err = read_manifest(p, p->from, check_parse);

	if (err)
		return err;
	snprintf(placed->name, sizeof(placed->name), "%s", p->manifest->plugin);
	snprintf(placed->version, sizeof(placed->version), "%s", p->manifest->version.text);
	snprintf(placed->signed_by, sizeof(placed->signed_by), "%s", p->signer.id);
	if (strcmp(placed->version, p->manifest->version.text) ||
	    !store_version_ok(placed->version))
		return reason_set(p->why, PLUG_EINVAL, "version \"%.160s\" is too long for a store",
				  p->manifest->version.text);
	if (p->place->name && strcmp(p->place->name, placed->name))
		return reason_set(p->why, PLUG_EINVAL, "it is the plugin \"%s\", expected \"%s\"",
				  placed->name, p->place->name);
	return PLUG_OK;
}

/* One that was installed before anybody had signed it, or by another key. */
static plug_err
renew_signer(struct placing *p, struct store_record *record)
{
	char path[STORE_PATH_BYTES];
	AUTO_CLOSE int fd = -1;
	AUTO_FREE char *text = NULL;

	if (!*p->signer.id || (record->signed_by && !strcmp(record->signed_by, p->signer.id)))
		return PLUG_OK;
	record->signed_by = p->signer.id;
	record->comment = *p->signer.comment ? p->signer.comment : NULL;
	record->sha256 = p->placed.sha256;
	text = store_record_format(record);
	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS "/%s", p->placed.name, p->placed.version);
	fd = openat(store_fd(p), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!text || fd < 0 || statedir_write(fd, STORE_RECORD, text, strlen(text)))
		return refuse_by_system(p, STORE_RECORD);
	return PLUG_OK;
}

/* One that was changed since is taken out, and installed anew. */
static plug_err
keep_or_replace(struct placing *p, struct store_record *record)
{
	const struct store *store = p->place->store;
	char path[STORE_PATH_BYTES];

	if (!place_verify(store, p->placed.name, p->placed.version, false, NULL)) {
		p->placed.already = true;
		return renew_signer(p, record);
	}
	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS "/%s", p->placed.name, p->placed.version);
	return store_discard(store, path) ? refuse_by_system(p, path) : PLUG_OK;
}

/* PLUG_OK: it is not there yet, or `already`. */
static plug_err
look_for_same(struct placing *p)
{
	struct placed *placed = &p->placed;
	struct store_record *record;
	char sums[STORE_HEX_BYTES];
	plug_err err;

	if (!store_has(store_fd(p), placed->name, placed->version))
		return PLUG_OK;
	record = place_record(p->place->store, placed->name, placed->version, p->why);
	if (!record)
		return PLUG_EINVAL;
	store_digest_text(p->sums.digest, sums);
	if (!strcmp(record->sums, sums))
		err = keep_or_replace(p, record);
	else
		err = reason_set(
			p->why, PLUG_ESTATE,
			"%s %s is installed already, with other files (of an archive with "
			"SHA-256 %s); raise the version, or first: plugctl uninstall %s@%s",
			placed->name, placed->version, record->sha256, placed->name,
			placed->version);
	store_record_free(record);
	return err;
}

/* ---- to its place ---- */

static plug_err
gather(struct placing *p)
{
	char ready[STORE_PATH_BYTES], folder[STORE_PATH_BYTES];
	AUTO_CLOSE int fd = -1, ready_fd = -1;
	plug_err err;

	snprintf(ready, sizeof(ready), "%s/" READY, p->stage);
	snprintf(folder, sizeof(folder), "%s/" READY "/%s", p->stage, p->placed.name);
	if (mkdirat(store_fd(p), ready, 0755) < 0 ||
	    renameat(store_fd(p), p->from, store_fd(p), folder) < 0)
		return refuse_by_system(p, "what was unpacked");
	fd = openat(store_fd(p), folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ready_fd = openat(store_fd(p), ready, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || ready_fd < 0 || fchmod(fd, 0755) < 0)
		return refuse_by_system(p, "what was unpacked");
	if (strcmp(p->file, CHECK_MANIFEST)) { /* by a name that it has in every version */
		if (renameat(fd, p->file, fd, p->placed.name) < 0 ||
		    fchmodat(fd, p->placed.name, 0755, 0) < 0)
			return refuse_by_system(p, p->file);
		snprintf(p->file, sizeof(p->file), "%s", p->placed.name);
	}
	progress_say(p->place->progress, "hashing");
	err = sums_tree(fd, p->placed.name, &p->sums, p->why);
	if (err)
		return err;
	p->placed.files = p->sums.files;
	p->placed.bytes = p->sums.bytes;
	if (statedir_write(ready_fd, STORE_SUMS, p->sums.text, p->sums.size))
		return refuse_by_system(p, STORE_SUMS);
	return PLUG_OK;
}

/* One by one, thousands of files would take minutes; all at once, a few wait for everybody's. */
static plug_err
sync_all(struct placing *p, const char *tree, unsigned files)
{
	bool each = files <= SYNC_EACH;

	progress_say(p->place->progress, "waiting for the disk");
	if (each ? store_sync_tree(store_fd(p), tree) : syncfs(store_fd(p)) < 0)
		return refuse_by_system(p, "the disk");
	return PLUG_OK;
}

static plug_err
put_into_place(struct placing *p)
{
	char ready[STORE_PATH_BYTES], path[128];

	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS, p->placed.name);
	if ((mkdirat(store_fd(p), p->placed.name, 0755) < 0 && errno != EEXIST) ||
	    (mkdirat(store_fd(p), path, 0755) < 0 && errno != EEXIST))
		return refuse_by_system(p, path);
	snprintf(ready, sizeof(ready), "%s/" READY, p->stage);
	snprintf(p->folder, sizeof(p->folder), "%s/%s", path, p->placed.version);
	if (renameat2(store_fd(p), ready, store_fd(p), p->folder, RENAME_NOREPLACE) < 0) {
		*p->folder = '\0';
		return refuse_by_system(p, path);
	}
	if (store_sync(store_fd(p), path) || store_sync(store_fd(p), p->placed.name) ||
	    store_sync(store_fd(p), "."))
		return refuse_by_system(p, path);
	return PLUG_OK;
}

static plug_err
make_environment(struct placing *p, const char *folder)
{
	char log[2 * PATH_MAX];
	struct environment environment = {.folder = folder,
					  .log = log,
					  .lock_fd = p->place->store->lock_fd,
					  .progress = p->place->progress};
	struct reason why;
	plug_err err;

	if (!p->manifest->environment.python)
		return PLUG_OK;
	snprintf(log, sizeof(log), "%s/" STORE_LOG, p->place->store->path, p->placed.name);
	err = environment_make(&environment, &p->manifest->environment, &why);
	if (err)
		return reason_set(p->why, err, "%.240s; all it printed: %.130s", why.text, log);
	p->placed.environment = true;
	return sync_all(p, "", UINT_MAX); /* it has thousands */
}

static plug_err
write_record(struct placing *p, const struct pins *pins)
{
	const char *base = strrchr(p->place->source, '/');
	char sums[STORE_HEX_BYTES], installed[32];
	struct store_record record = {
		.plugin = p->placed.name,
		.version = p->placed.version,
		.installed = installed,
		.source = base && base[1] ? base + 1 : p->place->source,
		.sha256 = p->placed.sha256,
		.sums = sums,
		.signed_by = *p->signer.id ? p->signer.id : NULL,
		.comment = *p->signer.comment ? p->signer.comment : NULL,
		.checked = {(const char *const *)pins->items, pins->count},
	};
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = openat(store_fd(p), p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	time_t now = time(NULL);
	struct tm utc;

	strftime(installed, sizeof(installed), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	store_digest_text(p->sums.digest, sums);
	if (!store_path_ok(record.source))
		record.source = NULL;
	text = store_record_format(&record);
	if (!text)
		return reason_set(p->why, PLUG_ENOMEM, "out of memory; nothing was installed");
	if (fd < 0 || statedir_write(fd, STORE_RECORD, text, strlen(text)))
		return refuse_by_system(p, STORE_RECORD);
	return PLUG_OK;
}

/* Where it stays: an environment knows its place. */
static plug_err
finish(struct placing *p)
{
	char folder[2 * PATH_MAX], relative[2 * STORE_PATH_BYTES], chosen[STORE_VERSION_BYTES];
	struct pins pins = {.count = 0};
	plug_err err;

	snprintf(relative, sizeof(relative), "%s/%s", p->folder, p->placed.name);
	snprintf(folder, sizeof(folder), "%s/%s", p->place->store->path, relative);
	err = read_manifest(p, relative, check_parse); /* its paths are those of this place */
	if (!err)
		err = make_environment(p, folder);
	if (!err)
		err = read_manifest(p, relative, check_manifest);
	if (!err)
		err = pin_files(p->manifest, folder, p->file, &pins, p->why);
	if (!err)
		err = write_record(p, &pins);
	pins_fini(&pins);
	if (err)
		return err;
	*p->folder = '\0'; /* from here on it is installed */
	if (store_current(store_fd(p), p->placed.name, chosen) != PLUG_ENOTFOUND)
		return PLUG_OK;
	if (store_choose(store_fd(p), p->placed.name, p->placed.version))
		return reason_set(p->why, PLUG_ESYS,
				  "%s %s is installed, but could not be chosen: %s; then: plugctl "
				  "use %s %s",
				  p->placed.name, p->placed.version, strerrordesc_np(errno),
				  p->placed.name, p->placed.version);
	p->placed.chosen = true;
	return PLUG_OK;
}

/* ---- all of it ---- */

static plug_err
go(struct placing *p)
{
	AUTO_CLOSE int tree_fd = -1;
	struct unpacked unpacked;
	plug_err err = make_stage(p, &tree_fd);

	if (!err)
		err = unpack_checked(p, tree_fd, &unpacked);
	if (!err)
		err = find_plugin(p, tree_fd);
	if (!err)
		err = identify(p);
	if (!err)
		err = gather(p);
	if (!err && p->place->source_fd < 0)
		err = check_digest(p, p->sums.digest);
	if (!err)
		err = look_for_same(p);
	if (err || p->placed.already)
		return err;
	err = sync_all(p, p->stage, p->placed.files);
	if (!err)
		err = put_into_place(p);
	return err ? err : finish(p);
}

plug_err
place_version(const struct install_order *place, struct placed *ret, struct diags *diags,
	      struct reason *why)
{
	struct placing p = {.place = place, .diags = diags, .why = why};
	plug_err err = go(&p);

	if (*p.folder)
		store_discard(place->store, p.folder);
	if (*p.stage)
		store_remove_tree(place->store->fd, p.stage);
	if (err)
		store_sweep(place->store); /* the folders that were made for it */
	manifest_free(p.manifest);
	free(p.sums.text);
	if (!err)
		*ret = p.placed;
	return err;
}
