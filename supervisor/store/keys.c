#include "store/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/dir.h"
#include "os/statedir.h"

static bool
on_entry(void *context, int dir_fd, const char *name, int type)
{
	struct store_keys *keys = context;
	AUTO_FREE char *text = NULL;
	struct reason why = {"cannot be read"};
	size_t size;

	(void)type;
	if (*name == '.' || fnmatch("*.pub", name, 0))
		return true;
	if (statedir_read(dir_fd, name, MINISIGN_TEXT_BYTES, &text, &size) ||
	    minisign_parse_key(text, size, &keys->items[keys->count], &why))
		snprintf(keys->trouble, sizeof(keys->trouble), "%.80s: %.160s", name, why.text);
	else
		keys->count++;
	return keys->count < STORE_KEYS_MAX;
}

plug_err
store_keys_read(const char *dir, struct store_keys *ret, struct reason *why)
{
	struct store_keys keys = {.items = calloc(STORE_KEYS_MAX, sizeof(*keys.items))};
	AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat info;
	plug_err err = PLUG_OK;

	if (!keys.items)
		return reason_set(why, PLUG_ENOMEM, "out of memory");
	if (fd < 0 && errno != ENOENT)
		err = reason_set(why, PLUG_ESYS, "keys in %s: %s", dir, strerrordesc_np(errno));
	else if (fd >= 0 && !fstat(fd, &info) && info.st_uid && info.st_uid != geteuid())
		err = reason_set(why, PLUG_EDENIED,
				 "keys in %s: it belongs to uid %u, who could add keys; expected "
				 "uid %u, or root",
				 dir, (unsigned)info.st_uid, (unsigned)geteuid());
	else if (fd >= 0 && !fstat(fd, &info) && info.st_mode & 022)
		err = reason_set(why, PLUG_EDENIED,
				 "keys in %s: mode %04o, so others can add keys: chmod go-w it",
				 dir, (unsigned)info.st_mode & 07777);
	else if (fd >= 0 && dir_each(fd, ".", on_entry, &keys) < 0)
		err = reason_set(why, PLUG_ESYS, "keys in %s: %s", dir, strerrordesc_np(errno));
	if (!err)
		*ret = keys;
	else
		free(keys.items);
	return err;
}

void
store_keys_fini(struct store_keys *keys)
{
	free(keys->items);
	*keys = (struct store_keys){0};
}

const struct minisign_key *
store_keys_find(const struct store_keys *keys, const unsigned char id[8])
{
	for (size_t i = 0; i < keys->count; i++)
		if (!memcmp(keys->items[i].id, id, 8))
			return &keys->items[i];
	return NULL;
}

bool
store_keys_have(const struct store_keys *keys, const char *id_text)
{
	char text[MINISIGN_ID_BYTES];

	for (size_t i = 0; i < keys->count; i++) {
		minisign_id_text(keys->items[i].id, text);
		if (!strcmp(text, id_text))
			return true;
	}
	return false;
}
