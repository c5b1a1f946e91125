#include "plugin/version.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"

static struct version_file
identity(const struct stat *st)
{
	return (struct version_file){st->st_dev, st->st_ino, st->st_size, st->st_mtim};
}

static void
open_program(struct version *version)
{
	const char *path = version->spec->program;
	char magic[2];
	struct stat st;

	version->program_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (version->program_fd >= 0)
		version->is_script =
			pread(version->program_fd, magic, sizeof(magic), 0) == sizeof(magic) &&
			magic[0] == '#' && magic[1] == '!';
	else /* it may be executable and not readable: then it is no script */
		version->program_fd = open(path, O_PATH | O_CLOEXEC);
	if (version->program_fd < 0)
		return;
	if (fstat(version->program_fd, &st) || !S_ISREG(st.st_mode))
		close_fd(&version->program_fd);
	else
		version->file = identity(&st);
}

/* ---- what is on disk ---- */

void
version_each_file(const struct spec *spec, void (*file)(void *context, const char *path),
		  void *context)
{
	char path[PATH_MAX];
	struct stat st;

	file(context, spec->program);
	for (size_t i = 1; spec->argv[0] && spec->argv[i]; i++) {
		const char *word = spec->argv[i];

		if (*word == '/')
			snprintf(path, sizeof(path), "%s", word);
		else
			snprintf(path, sizeof(path), "%s/%s", spec->folder, word);
		if (!stat(path, &st) && S_ISREG(st.st_mode))
			file(context, path);
	}
}

static uint64_t
hash_file(uint64_t hash, const struct stat *st)
{
	const uint64_t parts[] = {st->st_dev,
				  st->st_ino,
				  (uint64_t)st->st_size,
				  (uint64_t)st->st_mtim.tv_sec,
				  (uint64_t)st->st_mtim.tv_nsec,
				  st->st_mode};

	return hash_bytes(hash, parts, sizeof(parts));
}

static void
add_file(void *context, const char *path)
{
	uint64_t *digest = context;
	struct stat st;

	if (!stat(path, &st))
		*digest = hash_file(hash_text(*digest, path), &st);
}

uint64_t
version_digest(const struct spec *spec, uint64_t fingerprint)
{
	uint64_t digest = hash_bytes(HASH_START, &fingerprint, sizeof(fingerprint));
	struct stat st;

	if (stat(spec->program, &st))
		return 0;
	version_each_file(spec, add_file, &digest);
	return digest;
}

/* ---- making ---- */

struct version *
version_new(struct spec *spec)
{
	struct version *version = calloc(1, sizeof(*version));

	if (!version)
		return NULL;
	version->refs = 1;
	version->spec = spec_ref(spec);
	open_program(version);
	version->digest = version_digest(spec, spec->fingerprint);
	return version;
}

struct version *
version_with(const struct version *version, struct spec *spec)
{
	struct version *made = calloc(1, sizeof(*made));

	if (!made)
		return NULL;
	*made = *version;
	made->refs = 1;
	made->spec = spec_ref(spec);
	if (version->program_fd >= 0)
		made->program_fd = fcntl(version->program_fd, F_DUPFD_CLOEXEC, 3);
	if (version->program_fd < 0 || made->program_fd >= 0)
		return made;
	version_unref(made);
	return NULL;
}

void
version_set_spec(struct version *version, struct spec *spec)
{
	spec_ref(spec);
	spec_free(version->spec);
	version->spec = spec;
}

struct version *
version_ref(struct version *version)
{
	version->refs++;
	return version;
}

void
version_unref(struct version *version)
{
	if (!version || --version->refs)
		return;
	close_fd(&version->program_fd);
	spec_free(version->spec);
	free(version);
}

bool
version_is_on_disk(const struct version *version)
{
	const struct version_file *ours = &version->file;
	struct version_file theirs;
	struct stat st;

	if (version->program_fd < 0 || stat(version->spec->program, &st))
		return false;
	theirs = identity(&st);
	return ours->device == theirs.device && ours->inode == theirs.inode &&
	       ours->size == theirs.size && ours->modified.tv_sec == theirs.modified.tv_sec &&
	       ours->modified.tv_nsec == theirs.modified.tv_nsec;
}
