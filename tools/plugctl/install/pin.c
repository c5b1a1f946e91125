#include "install/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "install/sums.h"

#define ENVIRONMENT ".venv/"

struct pinning {
	const char *folder;
	struct pins pins;
	struct reason *why;
};

void
pins_fini(struct pins *pins)
{
	for (size_t i = 0; i < pins->count; i++)
		free(pins->items[i]);
	pins->count = 0;
}

/* The path below the folder, or NULL. */
static const char *
below(const char *folder, const char *path)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) || path[length] != '/' ? NULL : path + length + 1;
}

static bool
is_pinned(const struct pins *pins, const char *path)
{
	for (size_t i = 0; i < pins->count; i++)
		if (!strcmp(pins->items[i] + STORE_HEX_BYTES + 1, path))
			return true;
	return false;
}

static plug_err
add(struct pinning *pinning, const char *path)
{
	char full[PATH_MAX], hex[STORE_HEX_BYTES];
	unsigned char digest[STORE_DIGEST_BYTES];
	struct pins *pins = &pinning->pins;
	AUTO_CLOSE int fd = -1;

	if (is_pinned(pins, path))
		return PLUG_OK;
	if (pins->count == PIN_MAX || !store_path_ok(path))
		return reason_set(pinning->why, PLUG_EINVAL, "exec: %.200s cannot be pinned", path);
	snprintf(full, sizeof(full), "%s/%s", pinning->folder, path);
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || sums_file(fd, digest))
		return reason_set(pinning->why, PLUG_ESYS, "%.200s: %s", path,
				  strerrordesc_np(errno));
	store_digest_text(digest, hex);
	if (asprintf(&pins->items[pins->count], "%s  %s", hex, path) < 0)
		return reason_set(pinning->why, PLUG_ENOMEM, "out of memory");
	pins->count++;
	return PLUG_OK;
}

static plug_err
add_word(struct pinning *pinning, const char *word, bool is_program)
{
	char path[PATH_MAX], real[PATH_MAX];
	const char *lexical, *inside;
	struct stat info;

	snprintf(path, sizeof(path), "%s%s%s", *word == '/' ? "" : pinning->folder,
		 *word == '/' ? "" : "/", word);
	lexical = below(pinning->folder, path);
	if (stat(path, &info) < 0 || !S_ISREG(info.st_mode) || !realpath(path, real))
		return is_program ? reason_set(pinning->why, PLUG_EINVAL,
					       "exec: there is no file %.200s", path)
				  : PLUG_OK;
	inside = below(pinning->folder, real);
	if (inside)
		return is_program || info.st_size <= PIN_ARGUMENT_BYTES ? add(pinning, inside)
									: PLUG_OK;
	if (!lexical || !strncmp(lexical, ENVIRONMENT, strlen(ENVIRONMENT)))
		return PLUG_OK;
	return reason_set(pinning->why, PLUG_EINVAL,
			  "exec: %.160s leads out of the plugin's folder", lexical);
}

static plug_err
add_words(struct pinning *pinning, const struct field_strings *words)
{
	plug_err err = PLUG_OK;

	for (size_t i = 0; !err && i < words->count; i++)
		if (i || strchr(words->items[i], '/')) /* else it is looked for in PATH */
			err = add_word(pinning, words->items[i], !i);
	return err;
}

plug_err
pin_files(const struct manifest *manifest, const char *folder, const char *file, struct pins *ret,
	  struct reason *why)
{
	struct pinning pinning = {.folder = folder, .why = why};
	plug_err err = add(&pinning, file);

	if (!err)
		err = add_words(&pinning, &manifest->exec);
	if (!err)
		err = add_words(&pinning, &manifest->run.under);
	if (err)
		pins_fini(&pinning.pins);
	else
		*ret = pinning.pins;
	return err;
}
