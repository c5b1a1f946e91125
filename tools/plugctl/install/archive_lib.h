/*
 * libarchive, loaded when the first archive is opened: with what it needs itself (a dozen
 * libraries, ICU and the C++ runtime among them) it is half of what a verb takes to start, and
 * only `plugctl install` opens archives.
 */
#ifndef PLUGCTL_ARCHIVE_LIB_H
#define PLUGCTL_ARCHIVE_LIB_H

#include <archive.h>
#include <archive_entry.h>

#include "os/reason.h"

#define ARCHIVE_LIB_CALLS(CALL)                      \
	CALL(archive_entry_filetype)                 \
	CALL(archive_entry_hardlink)                 \
	CALL(archive_entry_is_encrypted)             \
	CALL(archive_entry_pathname)                 \
	CALL(archive_entry_pathname_utf8)            \
	CALL(archive_entry_perm)                     \
	CALL(archive_entry_size)                     \
	CALL(archive_entry_size_is_set)              \
	CALL(archive_entry_symlink)                  \
	CALL(archive_error_string)                   \
	CALL(archive_filter_bytes)                   \
	CALL(archive_read_data)                      \
	CALL(archive_read_disk_can_descend)          \
	CALL(archive_read_disk_descend)              \
	CALL(archive_read_disk_new)                  \
	CALL(archive_read_disk_open)                 \
	CALL(archive_read_disk_set_behavior)         \
	CALL(archive_read_disk_set_symlink_physical) \
	CALL(archive_read_free)                      \
	CALL(archive_read_new)                       \
	CALL(archive_read_next_header)               \
	CALL(archive_read_open_fd)                   \
	CALL(archive_read_support_filter_bzip2)      \
	CALL(archive_read_support_filter_gzip)       \
	CALL(archive_read_support_filter_lzma)       \
	CALL(archive_read_support_filter_xz)         \
	CALL(archive_read_support_filter_zstd)       \
	CALL(archive_read_support_format_tar)        \
	CALL(archive_read_support_format_zip_seekable)

/* Each is the function of that name, with its type. */
struct archive_lib {
#define CALL(name) __typeof__(name) *name;
	ARCHIVE_LIB_CALLS(CALL)
#undef CALL
};

/* One thread.  NULL with the reason, when there is no libarchive: a later call tries again.  It
 * stays loaded. */
const struct archive_lib *archive_lib_load(struct reason *why);

#endif
