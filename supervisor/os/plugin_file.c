#include "os/plugin_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/embedded.h"
#include "os/statedir.h"

/* A comment block may come after others, and its lines are longer than those of the manifest. */
#define SCRIPT_BYTES ((size_t)EMBEDDED_BYTES)

bool
plugin_file_is_single(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, PLUGIN_MANIFEST) != 0;
}

/* ---- plugin.yaml ---- */

static plug_err
read_manifest(int dir_fd, const char *name, char **ret_text, size_t *ret_size, struct reason *why)
{
	plug_err err = statedir_read(dir_fd, name, PLUGIN_MANIFEST_BYTES, ret_text, ret_size);

	switch (err) {
	case PLUG_OK:
	case PLUG_ENOMEM:
		return err;
	case PLUG_ENOTFOUND:
		return reason_set(why, err, "there is none");
	case PLUG_ETOOLARGE:
		return reason_set(why, err, "larger than %u KiB, the most that a manifest may have",
				  PLUGIN_MANIFEST_BYTES / 1024);
	case PLUG_EINVAL:
		return reason_set(why, err,
				  "not a regular file; to put a plugin into a second place, link "
				  "its folder");
	default:
		return reason_set(why, err, "cannot be read: %s", strerrordesc_np(errno));
	}
}

/* ---- in an executable ---- */

static bool
read_at(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	const int *fd = context;
	char *to = buffer;

	while (bytes) {
		ssize_t got = pread(*fd, to, bytes, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) { /* it may have been cut off since */
			errno = got ? errno : EIO;
			return false;
		}
		to += got;
		offset += (uint64_t)got;
		bytes -= (size_t)got;
	}
	return true;
}

static plug_err
read_script(const struct embedded_file *file, char **ret_text, size_t *ret_size, char *why)
{
	size_t size = file->size < SCRIPT_BYTES ? (size_t)file->size : SCRIPT_BYTES;
	AUTO_FREE char *head = malloc(size + 1);

	if (!head)
		return PLUG_ENOMEM;
	if (!file->read(file->context, 0, head, size))
		return PLUG_ESYS;
	return script_manifest(head, size, size < file->size, ret_text, ret_size, why);
}

static plug_err
read_embedded(int fd, uint64_t size, char **ret_text, size_t *ret_size, struct reason *why)
{
	struct embedded_file file = {.size = size, .read = read_at, .context = &fd};
	char magic[SELFMAG] = "", text[EMBEDDED_WHY_BYTES] = "";
	plug_err err = PLUG_ENOTFOUND;

	if (size < SELFMAG) /* nothing that can be executed: maybe the beginning of it */
		return reason_set(why, PLUG_EINVAL,
				  "an executable of %u bytes; if it is being written, it is looked "
				  "at again when it changes, else remove it",
				  (unsigned)size);
	if (!read_at(&fd, 0, magic, sizeof(magic)))
		err = PLUG_ESYS;
	else if (!memcmp(magic, ELFMAG, SELFMAG))
		err = elf_manifest(&file, ret_text, ret_size, text);
	else if (magic[0] == '#' && magic[1] == '!')
		err = read_script(&file, ret_text, ret_size, text);
	if (err == PLUG_ENOTFOUND)
		return reason_set(why, err,
				  "holds no manifest: expected PLUG_MANIFEST() in a program, or a "
				  "comment \"" EMBEDDED_BEGIN "\" at the head of a script");
	if (err == PLUG_ESYS)
		return reason_set(why, err, "cannot be read: %s", strerrordesc_np(errno));
	if (err == PLUG_EINVAL || err == PLUG_ETOOLARGE)
		return reason_set(why, err, "%s", text);
	return err;
}

/* Where nobody may read it, nobody can know that it is a plugin. */
static plug_err
read_executable(int dir_fd, const char *name, char **ret_text, size_t *ret_size, struct reason *why)
{
	AUTO_CLOSE int fd = -1;
	struct stat info;

	if (fstatat(dir_fd, name, &info, 0) < 0)
		return reason_set(why, errno == ENOENT ? PLUG_ENOTFOUND : PLUG_ESYS, "%s",
				  strerrordesc_np(errno));
	if (!S_ISREG(info.st_mode))
		return reason_set(why, PLUG_ENOTFOUND, "not a regular file");
	if (!(info.st_mode & 0111))
		return reason_set(why, PLUG_ENOTFOUND, "not executable; chmod +x it");
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &info) < 0)
		return reason_set(why, errno == EACCES ? PLUG_ENOTFOUND : PLUG_ESYS,
				  "cannot be read: %s", strerrordesc_np(errno));
	if (!S_ISREG(info.st_mode)) /* another one since */
		return reason_set(why, PLUG_ENOTFOUND, "not a regular file");
	return read_embedded(fd, (uint64_t)info.st_size, ret_text, ret_size, why);
}

plug_err
plugin_file_read(int dir_fd, const char *name, char **ret_text, size_t *ret_size,
		 struct reason *why)
{
	if (plugin_file_is_single(name))
		return read_executable(dir_fd, name, ret_text, ret_size, why);
	return read_manifest(dir_fd, name, ret_text, ret_size, why);
}
