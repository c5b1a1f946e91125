/*
 * Invariants
 *  - Nothing is created but below tree_fd: every part of a path is opened by itself, from the
 *    folder before it, and never through a link.
 *  - Links are only looked at as text.  ".." in a target is taken at the link's own folder, which
 *    is real, so that whatever the parts behind it are, they stay inside.
 */
#include "install/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "install/archive_lib.h"
#include "store/record.h"

#define BLOCK_BYTES ((size_t)64 * 1024)

struct unpack {
	const struct archive_lib *lib;
	struct archive *archive;
	const struct unpack_limits *limits;
	const char *folder; /* that is copied; NULL: an archive */
	int tree_fd;
	struct unpacked done;
	const char *path; /* of the entry in hand, as it was written */
	struct reason *why;
	char block[BLOCK_BYTES];
};

/* ---- refusals ---- */

__attribute__((format(printf, 3, 4))) static plug_err
refuse(struct unpack *u, plug_err err, const char *format, ...)
{
	char text[256], path[161];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s", u->path ? u->path : "");
	for (char *at = path; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	if (u->path)
		return reason_set(u->why, err, "\"%s\": %s", path, text);
	return reason_set(u->why, err, "%s", text);
}

static plug_err
refuse_by_archive(struct unpack *u)
{
	const char *text = u->lib->archive_error_string(u->archive);

	if (u->folder)
		return refuse(u, PLUG_ESYS, "%s", text ? text : "cannot be read");
	return refuse(u, PLUG_EINVAL,
		      "cannot be unpacked: %s; expected a whole .tar, .tar.gz, .tar.bz2, .tar.xz, "
		      ".tar.zst or .zip",
		      text ? text : "damaged");
}

static plug_err
refuse_by_system(struct unpack *u)
{
	if (errno == EEXIST)
		return refuse(u, PLUG_EINVAL, "the name is there twice");
	if (errno == ELOOP || errno == ENOTDIR)
		return refuse(u, PLUG_EINVAL,
			      "a part of its path is a link or a file; expected folders");
	return refuse(u, PLUG_ESYS, "cannot be written: %s", strerrordesc_np(errno));
}

static plug_err
check_bytes(struct unpack *u, uint64_t more)
{
	uint64_t bytes = u->done.bytes, read;

	if (more > u->limits->bytes || bytes > u->limits->bytes - more)
		return refuse(u, PLUG_ETOOLARGE,
			      "more than %llu MiB in all, the limit; raise it with --max-size",
			      (unsigned long long)(u->limits->bytes >> 20));
	if (u->folder || bytes < UNPACK_RATIO_BYTES)
		return PLUG_OK;
	read = (uint64_t)u->lib->archive_filter_bytes(u->archive, -1);
	if (bytes / UNPACK_RATIO > read)
		return refuse(u, PLUG_ETOOLARGE,
			      "unpacks to more than %d times its size: a decompression bomb",
			      UNPACK_RATIO);
	return PLUG_OK;
}

/* ---- paths ---- */

/* Without "./" before and "/" behind.  "" is the root itself. */
static plug_err
clean_path(struct unpack *u, const char *name, char path[UNPACK_PATH_BYTES])
{
	size_t length;

	while (name[0] == '.' && name[1] == '/')
		name += 2 + strspn(name + 2, "/");
	length = strlen(name);
	if (length >= UNPACK_PATH_BYTES)
		return refuse(u, PLUG_ETOOLARGE, "a name of %zu bytes; at most %d", length,
			      UNPACK_PATH_BYTES - 1);
	memcpy(path, name, length + 1);
	while (length && path[length - 1] == '/')
		path[--length] = '\0';
	if (!length && *name == '/')
		return refuse(u, PLUG_EINVAL, "an absolute name; expected names below the plugin");
	if (!length || !strcmp(path, ".")) {
		*path = '\0';
		return PLUG_OK;
	}
	if (!store_path_ok(path) || strchr(path, '\\'))
		return refuse(u, PLUG_EINVAL,
			      "%s; expected a name below the plugin, in UTF-8, without \"..\", "
			      "backslashes and control characters",
			      *path == '/' ? "an absolute name" : "a name that is refused");
	return PLUG_OK;
}

static unsigned
depth_of(const char *path)
{
	unsigned depth = 0;

	for (; (path = strchr(path, '/')); path++)
		depth++;
	return depth;
}

/* The folder of `path`, made as far as it is missing if so wanted; -1 with the reason. */
static int
open_parent(struct unpack *u, char *path, bool make, const char **ret_base, plug_err *ret_err)
{
	int fd = fcntl(u->tree_fd, F_DUPFD_CLOEXEC, 3);
	char *part = path, *slash;

	for (; fd >= 0 && (slash = strchr(part, '/')); part = slash + 1) {
		AUTO_CLOSE int above = fd;

		*slash = '\0';
		if (make && mkdirat(above, part, 0755) < 0 && errno != EEXIST)
			fd = -1;
		else
			fd = openat(above, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		*slash = '/';
	}
	*ret_base = part;
	if (fd < 0)
		*ret_err = refuse_by_system(u);
	return fd;
}

bool
unpack_link_stays(const char *target, unsigned depth)
{
	bool begun = false;

	if (!*target || *target == '/' || strlen(target) >= UNPACK_PATH_BYTES)
		return false;
	for (const char *part = target; *part;) {
		size_t length = strcspn(part, "/");
		bool up = length == 2 && part[0] == '.' && part[1] == '.';

		if (up && (begun || !depth--))
			return false;
		begun = begun || (!up && length && !(length == 1 && *part == '.'));
		part += length + (part[length] == '/');
	}
	return begun;
}

/* ---- entries ---- */

static plug_err
write_data(struct unpack *u, int fd)
{
	for (;;) {
		la_ssize_t got = u->lib->archive_read_data(u->archive, u->block, sizeof(u->block));
		plug_err err;

		if (got == ARCHIVE_RETRY)
			continue;
		if (got < 0)
			return refuse_by_archive(u);
		if (!got)
			return PLUG_OK;
		err = check_bytes(u, (uint64_t)got);
		if (err)
			return err;
		u->done.bytes += (uint64_t)got;
		for (la_ssize_t at = 0, put; at<got; at += put> 0 ? put : 0) {
			put = write(fd, u->block + at, (size_t)(got - at));
			if (put < 0 && errno != EINTR)
				return refuse_by_system(u);
		}
	}
}

static plug_err
take_file(struct unpack *u, struct archive_entry *entry, int parent, const char *base)
{
	mode_t mode = u->lib->archive_entry_perm(entry);
	AUTO_CLOSE int fd = -1;
	plug_err err = PLUG_OK;

	if (mode & (S_ISUID | S_ISGID | S_ISVTX))
		return refuse(u, PLUG_EINVAL, "mode %04o: setuid, setgid and sticky are refused",
			      (unsigned)mode);
	if (u->lib->archive_entry_is_encrypted(entry))
		return refuse(u, PLUG_EINVAL, "is encrypted; expected a plain archive");
	if (u->lib->archive_entry_size_is_set(entry))
		err = check_bytes(u, (uint64_t)u->lib->archive_entry_size(entry));
	if (err)
		return err;
	fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return refuse_by_system(u);
	err = write_data(u, fd);
	if (!err && fchmod(fd, mode & 0111 ? 0755 : 0644) < 0)
		return refuse_by_system(u);
	return err;
}

static plug_err
take_link(struct unpack *u, const char *target, unsigned depth, int parent, const char *base)
{
	if (!target || !unpack_link_stays(target, depth))
		return refuse(u, PLUG_EINVAL,
			      "a link to \"%.100s\", which leads out of the plugin; expected a "
			      "relative one, with \"..\" only at its beginning",
			      target ? target : "");
	return symlinkat(target, parent, base) < 0 ? refuse_by_system(u) : PLUG_OK;
}

static plug_err
take_hard_link(struct unpack *u, const char *name, int parent, const char *base)
{
	char path[UNPACK_PATH_BYTES];
	const char *other;
	struct stat info;
	plug_err err = clean_path(u, name, path);
	AUTO_CLOSE int fd = -1;

	if (err)
		return refuse(u, PLUG_EINVAL, "a hard link to \"%.100s\", outside the plugin",
			      name);
	fd = open_parent(u, path, false, &other, &err);
	if (fd < 0 || fstatat(fd, other, &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(info.st_mode))
		return refuse(u, PLUG_EINVAL,
			      "a hard link to \"%.100s\", which is no file that came before it",
			      name);
	return linkat(fd, other, parent, base, 0) < 0 ? refuse_by_system(u) : PLUG_OK;
}

static plug_err
take_folder(struct unpack *u, int parent, const char *base)
{
	struct stat info;

	if (!mkdirat(parent, base, 0755))
		return PLUG_OK;
	if (errno == EEXIST && !fstatat(parent, base, &info, AT_SYMLINK_NOFOLLOW) &&
	    S_ISDIR(info.st_mode))
		return PLUG_OK;
	errno = EEXIST;
	return refuse_by_system(u);
}

static const char *
kind_of(mode_t type)
{
	switch (type) {
	case AE_IFCHR:
	case AE_IFBLK:
		return "a device";
	case AE_IFIFO:
		return "a pipe";
	case AE_IFSOCK:
		return "a socket";
	default:
		return "something that is neither file nor folder nor link";
	}
}

static plug_err
take_entry(struct unpack *u, struct archive_entry *entry, char path[UNPACK_PATH_BYTES])
{
	const char *hard = u->lib->archive_entry_hardlink(entry), *base;
	mode_t type = u->lib->archive_entry_filetype(entry);
	AUTO_CLOSE int parent = -1;
	plug_err err = PLUG_OK;

	if (depth_of(path) >= UNPACK_DEPTH)
		return refuse(u, PLUG_ETOOLARGE, "more than %d folders deep", UNPACK_DEPTH);
	if (!hard && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
		return refuse(u, PLUG_EINVAL, "%s; expected files, folders and links",
			      kind_of(type));
	parent = open_parent(u, path, true, &base, &err);
	if (parent < 0)
		return err;
	if (hard)
		return take_hard_link(u, hard, parent, base);
	if (type == AE_IFLNK)
		return take_link(u, u->lib->archive_entry_symlink(entry), depth_of(path), parent,
				 base);
	if (type == AE_IFDIR)
		return take_folder(u, parent, base);
	return take_file(u, entry, parent, base);
}

/* What a build or a checkout leaves, and nobody wants to ship. */
static bool
is_left_out(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	return !strcmp(base, ".git") || !strcmp(base, ".venv") || !strcmp(base, "__pycache__");
}

static const char *
name_of(const struct unpack *u, struct archive_entry *entry)
{
	const char *name = u->lib->archive_entry_pathname_utf8(entry);

	if (!name)
		name = u->lib->archive_entry_pathname(entry);
	if (!name || !u->folder)
		return name;
	name += strlen(u->folder);
	return name + strspn(name, "/");
}

static plug_err
next_entry(struct unpack *u, struct archive_entry *entry)
{
	const char *name = name_of(u, entry);
	char path[UNPACK_PATH_BYTES];
	bool descend = true;
	plug_err err;

	u->path = name;
	if (!name || (!*name && !u->folder))
		return refuse(u, PLUG_EINVAL, "an entry without a name");
	if (++u->done.entries > u->limits->entries)
		return refuse(u, PLUG_ETOOLARGE, "more than %u entries", u->limits->entries);
	err = clean_path(u, name, path);
	if (!err && *path) {
		descend = !u->folder || !is_left_out(path);
		err = descend ? take_entry(u, entry, path) : PLUG_OK;
	}
	if (!err && u->folder && descend && u->lib->archive_read_disk_can_descend(u->archive))
		u->lib->archive_read_disk_descend(u->archive);
	u->path = NULL;
	return err;
}

static plug_err
take_all(struct unpack *u, struct unpacked *ret)
{
	struct archive_entry *entry;
	plug_err err = PLUG_OK;
	int got;

	while (!err &&
	       (got = u->lib->archive_read_next_header(u->archive, &entry)) != ARCHIVE_EOF) {
		if (got == ARCHIVE_RETRY)
			continue;
		/* A warning is about a name that cannot be shown: it is looked at as it is. */
		err = got < ARCHIVE_WARN ? refuse_by_archive(u) : next_entry(u, entry);
	}
	if (!err && !u->done.entries)
		err = refuse(u, PLUG_EINVAL, "is empty; expected a plugin");
	if (!err)
		*ret = u->done;
	return err;
}

/* No filter that is a program. */
static void
support(const struct unpack *u)
{
	u->lib->archive_read_support_filter_gzip(u->archive);
	u->lib->archive_read_support_filter_bzip2(u->archive);
	u->lib->archive_read_support_filter_xz(u->archive);
	u->lib->archive_read_support_filter_lzma(u->archive);
	u->lib->archive_read_support_filter_zstd(u->archive);
	u->lib->archive_read_support_format_tar(u->archive);
	u->lib->archive_read_support_format_zip_seekable(u->archive);
}

/* Names are UTF-8, whatever the locale of whoever installs: libarchive asks the thread's. */
static plug_err
run(struct unpack *u, int opened, struct unpacked *ret)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
	plug_err err = opened == ARCHIVE_OK ? take_all(u, ret) : refuse_by_archive(u);

	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	u->lib->archive_read_free(u->archive);
	free(u);
	return err;
}

/* A folder that is copied, or NULL: an archive. */
static plug_err
begin(const char *folder, int tree_fd, const struct unpack_limits *limits, struct reason *why,
      struct unpack **ret)
{
	const struct archive_lib *lib = archive_lib_load(why);
	struct archive *archive;
	struct unpack *u;

	if (!lib)
		return PLUG_EUNAVAILABLE;
	archive = folder ? lib->archive_read_disk_new() : lib->archive_read_new();
	u = archive ? calloc(1, sizeof(*u)) : NULL;
	if (!u) {
		lib->archive_read_free(archive);
		return reason_set(why, PLUG_ENOMEM, "out of memory");
	}
	u->lib = lib;
	u->archive = archive;
	u->folder = folder;
	u->tree_fd = tree_fd;
	u->limits = limits;
	u->why = why;
	*ret = u;
	return PLUG_OK;
}

plug_err
unpack_archive(int archive_fd, int tree_fd, const struct unpack_limits *limits,
	       struct unpacked *ret, struct reason *why)
{
	struct unpack *u;
	plug_err err = begin(NULL, tree_fd, limits, why, &u);

	if (err)
		return err;
	support(u);
	return run(u, u->lib->archive_read_open_fd(u->archive, archive_fd, BLOCK_BYTES), ret);
}

plug_err
unpack_folder(const char *folder, int tree_fd, const struct unpack_limits *limits,
	      struct unpacked *ret, struct reason *why)
{
	struct unpack *u;
	plug_err err = begin(folder, tree_fd, limits, why, &u);

	if (err)
		return err;
	u->lib->archive_read_disk_set_symlink_physical(u->archive);
	u->lib->archive_read_disk_set_behavior(u->archive, ARCHIVE_READDISK_NO_ACL |
								   ARCHIVE_READDISK_NO_XATTR |
								   ARCHIVE_READDISK_NO_FFLAGS);
	return run(u, u->lib->archive_read_disk_open(u->archive, folder), ret);
}
