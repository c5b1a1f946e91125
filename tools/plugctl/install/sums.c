#include "install/sums.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "install/unpack.h"
#include "os/dir.h"

#define BLOCK_BYTES ((size_t)64 * 1024)

struct paths {
	char **items;
	size_t count;
	char path[PATH_MAX]; /* of the folder in hand, "" or with a slash behind it */
	unsigned depth;
	bool leavings; /* what comes by itself is left out: .venv, __pycache__ */
	plug_err err;
	struct reason *why;
};

/* ---- files ---- */

plug_err
sums_file(int fd, unsigned char digest[STORE_DIGEST_BYTES])
{
	AUTO_FREE unsigned char *block = malloc(BLOCK_BYTES);
	crypto_hash_sha256_state state;
	off_t at = 0;
	ssize_t got;

	if (!block)
		return PLUG_ENOMEM;
	crypto_hash_sha256_init(&state);
	while ((got = pread(fd, block, BLOCK_BYTES, at)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return PLUG_ESYS;
		crypto_hash_sha256_update(&state, block, (unsigned long long)got);
		at += got;
	}
	crypto_hash_sha256_final(&state, digest);
	return PLUG_OK;
}

plug_err
sums_path(int dir_fd, const char *path, unsigned char digest[STORE_DIGEST_BYTES])
{
	AUTO_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat info;

	if (fd < 0 || fstat(fd, &info) < 0)
		return errno == ELOOP ? PLUG_EINVAL : PLUG_ESYS;
	return S_ISREG(info.st_mode) ? sums_file(fd, digest) : PLUG_EINVAL;
}

/* ---- folders ---- */

static bool
stop(struct paths *paths, plug_err err)
{
	paths->err = err;
	return false;
}

static bool
keep_path(struct paths *paths, const char *name)
{
	char **grown = realloc(paths->items, (paths->count + 1) * sizeof(*grown));
	char *path = NULL;

	if (grown)
		paths->items = grown;
	if (!grown || asprintf(&path, "%s%s", paths->path, name) < 0)
		return stop(paths, reason_set(paths->why, PLUG_ENOMEM, "out of memory"));
	grown[paths->count++] = path;
	return true;
}

static bool
check_link(struct paths *paths, int dir_fd, const char *name)
{
	char target[UNPACK_PATH_BYTES];
	ssize_t got = readlinkat(dir_fd, name, target, sizeof(target) - 1);

	target[got > 0 ? got : 0] = '\0';
	if (unpack_link_stays(target, paths->depth))
		return true;
	return stop(paths, reason_set(paths->why, PLUG_EINVAL,
				      "\"%.100s%.100s\": a link that leads out of the plugin",
				      paths->path, name));
}

static bool on_entry(void *context, int dir_fd, const char *name, int type);

static bool
enter(struct paths *paths, int dir_fd, const char *name)
{
	size_t length = strlen(paths->path);

	if (paths->leavings &&
	    (!strcmp(name, "__pycache__") || (!length && !strcmp(name, ".venv"))))
		return true;
	if (length + strlen(name) + 2 > sizeof(paths->path) || paths->depth >= UNPACK_DEPTH)
		return stop(paths, reason_set(paths->why, PLUG_ETOOLARGE, "\"%.200s\": too deep",
					      paths->path));
	snprintf(paths->path + length, sizeof(paths->path) - length, "%s/", name);
	paths->depth++;
	if (dir_each(dir_fd, name, on_entry, paths) < 0)
		stop(paths, reason_set(paths->why, PLUG_ESYS, "\"%.200s\": %s", paths->path,
				       strerrordesc_np(errno)));
	paths->depth--;
	paths->path[length] = '\0';
	return !paths->err;
}

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	struct paths *paths = context;
	struct stat info;

	(void)type;
	if (fstatat(dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return stop(paths, reason_set(paths->why, PLUG_ESYS, "\"%.200s\": %s", name,
					      strerrordesc_np(errno)));
	if (S_ISREG(info.st_mode))
		return keep_path(paths, name);
	if (S_ISDIR(info.st_mode))
		return enter(paths, dir_fd, name);
	if (S_ISLNK(info.st_mode))
		return check_link(paths, dir_fd, name);
	return stop(paths, reason_set(paths->why, PLUG_EINVAL,
				      "\"%.200s\": neither file nor folder nor link", name));
}

static void
paths_free(struct paths *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		free(paths->items[i]);
	free(paths->items);
}

static int
by_text(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static plug_err
collect(int tree_fd, struct paths *paths)
{
	if (dir_each(tree_fd, ".", on_entry, paths) < 0 && !paths->err)
		paths->err = reason_set(paths->why, PLUG_ESYS, "%s", strerrordesc_np(errno));
	if (paths->count)
		qsort(paths->items, paths->count, sizeof(*paths->items), by_text);
	return paths->err;
}

static plug_err
add_file(FILE *out, int tree_fd, const char *prefix, const char *path, struct sums *sums,
	 struct reason *why)
{
	unsigned char digest[STORE_DIGEST_BYTES];
	char hex[STORE_HEX_BYTES];
	struct stat info;
	int written;
	plug_err err = sums_path(tree_fd, path, digest);

	if (err || fstatat(tree_fd, path, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return reason_set(why, err ? err : PLUG_ESYS, "\"%.200s\": cannot be read: %s",
				  path, strerrordesc_np(errno));
	store_digest_text(digest, hex);
	written = fprintf(out, "%s  %s%s%s\n", hex, prefix, *prefix ? "/" : "", path);
	if (written < 0)
		return reason_set(why, PLUG_ENOMEM, "out of memory");
	sums->written += (size_t)written;
	sums->files++;
	sums->bytes += (uint64_t)info.st_size;
	return PLUG_OK;
}

plug_err
sums_tree(int tree_fd, const char *prefix, struct sums *ret, struct reason *why)
{
	struct paths paths = {.why = why};
	struct sums sums = {NULL};
	FILE *out = open_memstream(&sums.text, &sums.size);
	plug_err err =
		out ? collect(tree_fd, &paths) : reason_set(why, PLUG_ENOMEM, "out of memory");

	for (size_t i = 0; !err && i < paths.count; i++)
		err = add_file(out, tree_fd, prefix, paths.items[i], &sums, why);
	paths_free(&paths);
	/* A stream in memory loses bytes without a word when there is no more memory. */
	if (out && (fclose(out) || sums.size != sums.written) && !err)
		err = reason_set(why, PLUG_ENOMEM, "out of memory");
	if (err) {
		free(sums.text);
		return err;
	}
	crypto_hash_sha256(sums.digest, (const unsigned char *)sums.text, sums.size);
	*ret = sums;
	return PLUG_OK;
}

/* ---- comparing ---- */

static plug_err
compare(int dir_fd, const struct store_pin *pin, struct reason *why)
{
	unsigned char found[STORE_DIGEST_BYTES];
	char theirs[STORE_HEX_BYTES], ours[STORE_HEX_BYTES];
	plug_err err = sums_path(dir_fd, pin->path, found);

	if (err)
		return reason_set(why, PLUG_EDENIED, "%.200s is missing, or no file any more",
				  pin->path);
	if (!memcmp(found, pin->digest, sizeof(found)))
		return PLUG_OK;
	store_digest_text(found, theirs);
	store_digest_text(pin->digest, ours);
	return reason_set(why, PLUG_EDENIED,
			  "%.120s was changed after it was installed: its SHA-256 is %s, pinned is "
			  "%s",
			  pin->path, theirs, ours);
}

struct known {
	const char **paths;
	size_t count;
};

static plug_err
check_more(int dir_fd, const char *prefix, const struct known *known, struct reason *why)
{
	struct paths paths = {.why = why, .leavings = true};
	AUTO_CLOSE int fd = openat(dir_fd, prefix, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	plug_err err = fd < 0 ? reason_set(why, PLUG_EDENIED, "%.200s is missing", prefix)
			      : collect(fd, &paths);
	char path[PATH_MAX];
	const char *key = path;

	for (size_t i = 0; !err && i < paths.count; i++) {
		snprintf(path, sizeof(path), "%s/%s", prefix, paths.items[i]);
		if (!bsearch(&key, known->paths, known->count, sizeof(*known->paths), by_text))
			err = reason_set(why, PLUG_EDENIED,
					 "%.200s was not there when it was installed", path);
	}
	paths_free(&paths);
	return err;
}

plug_err
sums_verify(int dir_fd, const char *text, const char *prefix, bool strict, struct reason *why)
{
	AUTO_FREE char *copy = strdup(text);
	AUTO_FREE const char **paths = calloc(strlen(text) / STORE_HEX_BYTES + 2, sizeof(char *));
	struct known known = {paths, 0};
	char *save = NULL;

	if (!copy || !paths)
		return reason_set(why, PLUG_ENOMEM, "out of memory");
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct store_pin pin;
		plug_err err;

		if (!store_pin_parse(line, &pin))
			return reason_set(why, PLUG_EDENIED, "SHA256SUMS is damaged: \"%.100s\"",
					  line);
		err = compare(dir_fd, &pin, why);
		if (err)
			return err;
		paths[known.count++] = pin.path;
	}
	if (!strict)
		return PLUG_OK;
	qsort(paths, known.count, sizeof(*paths), by_text);
	return check_more(dir_fd, prefix, &known, why);
}
