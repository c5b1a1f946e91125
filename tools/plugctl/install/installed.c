/* What is installed already. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "install/place.h"
#include "install/sums.h"
#include "os/statedir.h"

#define SUMS_BYTES   ((size_t)64 << 20)
#define RECORD_BYTES ((size_t)256 * 1024)

struct store_record *
place_record(const struct store *store, const char *name, const char *version, struct reason *why)
{
	char path[PATH_MAX], full[2 * PATH_MAX], line[DIAG_LINE_BYTES];
	AUTO_FREE char *text = NULL;
	struct store_record *record;
	struct diags diags;
	size_t size;

	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS "/%s/" STORE_RECORD, name, version);
	if (statedir_read(store->fd, path, RECORD_BYTES, &text, &size)) {
		reason_set(why, PLUG_ENOTFOUND, "%s %s is not installed", name, version);
		return NULL;
	}
	snprintf(full, sizeof(full), "%s/%s", store->path, path);
	diags_init(&diags);
	record = store_record_parse(full, text, size, &diags);
	if (!record && diags.first) {
		diag_format(diags.first, line, sizeof(line));
		reason_set(why, PLUG_EINVAL, "%.370s", line);
	}
	diags_fini(&diags);
	return record;
}

plug_err
place_verify(const struct store *store, const char *name, const char *version, bool strict,
	     struct reason *why)
{
	struct store_record *record = place_record(store, name, version, why);
	unsigned char digest[STORE_DIGEST_BYTES];
	char path[PATH_MAX], hex[STORE_HEX_BYTES];
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = -1;
	size_t size;
	plug_err err = PLUG_EDENIED;

	if (!record)
		return PLUG_EDENIED;
	snprintf(path, sizeof(path), "%s/" STORE_VERSIONS "/%s", name, version);
	fd = openat(store->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || statedir_read(fd, STORE_SUMS, SUMS_BYTES, &text, &size) ||
	    sums_path(fd, STORE_SUMS, digest))
		reason_set(why, err, STORE_SUMS " is missing");
	else if (store_digest_text(digest, hex), strcmp(hex, record->sums))
		reason_set(why, err, STORE_SUMS " was changed: its SHA-256 is %s, pinned is %s",
			   hex, record->sums);
	else
		err = sums_verify(fd, text, name, strict, why);
	store_record_free(record);
	return err;
}
