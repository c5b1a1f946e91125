#include "config_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium/crypto_hash_sha256.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config.h"
#include "os/plugin_file.h"
#include "os/statedir.h"
#include "plugin/version.h"
#include "store/layout.h"
#include "store/record.h"

#define RECORD_BYTES ((size_t)256 * 1024)
#define PINS_MAX     256
#define ENVIRONMENT  ".venv/"

/* ---- where it is ---- */

static void
name_dir(char path[PATH_MAX], const char *given, const char *state_dir, const char *name)
{
	char absolute[PATH_MAX];

	if (given)
		snprintf(path, PATH_MAX, "%s", given);
	else if (snprintf(path, PATH_MAX, "%s/%s", state_dir, name) >= PATH_MAX)
		*path = '\0';
	if (*path && realpath(path, absolute))
		snprintf(path, PATH_MAX, "%s", absolute);
}

/* Whoever may write there may write the pins as well. */
static void
look_for_others(struct config_store *store)
{
	struct stat info;

	if (stat(store->dir, &info))
		return;
	if (info.st_uid != geteuid())
		snprintf(store->unsafe, sizeof(store->unsafe),
			 "the store %s belongs to uid %u, and plugd runs as %u: nothing of it is "
			 "started; chown it",
			 store->dir, (unsigned)info.st_uid, (unsigned)geteuid());
	else if (info.st_mode & 022)
		snprintf(
			store->unsafe, sizeof(store->unsafe),
			"the store %s has mode %04o, so others can change what plugd runs: nothing "
			"of it is started; chmod go-w it",
			store->dir, (unsigned)info.st_mode & 07777);
}

void
config_store_init(struct config_store *store, const struct options *options,
		  const struct settings *settings)
{
	char state_dir[PATH_MAX - 64], absolute[PATH_MAX];

	*store = (struct config_store){.require_signature = settings->store.require_signature};
	config_state_dir(options, settings, state_dir, sizeof(state_dir));
	/* It may not be there yet, and be given as a relative path. */
	if (*state_dir != '/' && getcwd(absolute, sizeof(absolute)) &&
	    strlen(absolute) + strlen(state_dir) + 2 < sizeof(state_dir)) {
		strcat(strcat(absolute, "/"), state_dir);
		strcpy(state_dir, absolute);
	}
	name_dir(store->dir, settings->store.dir, state_dir, "store");
	name_dir(store->keys_dir, settings->store.keys, state_dir, "keys");
	look_for_others(store);
}

void
config_store_fini(struct config_store *store)
{
	store_keys_fini(&store->keys);
}

/* ---- what was pinned ---- */

static struct store_record *
read_record(const struct config_store *store, const char *name, const char *version,
	    const struct diag_pos *pos, struct diags *diags)
{
	char path[2 * PATH_MAX];
	AUTO_FREE char *text = NULL;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s/" STORE_VERSIONS "/%s/" STORE_RECORD, store->dir, name,
		 version);
	if (statedir_read(AT_FDCWD, path, RECORD_BYTES, &text, &size)) {
		diag_error(diags, pos,
			   "is in the store and was not installed: %s cannot be read; plugctl "
			   "install it",
			   path);
		return NULL;
	}
	return store_record_parse(path, text, size, diags);
}

static bool
check_manifest(const struct store_record *record, const char *text, size_t size,
	       const struct diag_pos *pos, struct diags *diags)
{
	const struct store_pin *pin = store_record_pin(record, strrchr(pos->file, '/') + 1);
	char found[STORE_HEX_BYTES], expected[STORE_HEX_BYTES] = "nothing";
	unsigned char digest[STORE_DIGEST_BYTES];

	/* Inside a program it is pinned with it, and looked at when that is started. */
	if (pin && plugin_file_is_single(pos->file))
		return true;
	crypto_hash_sha256(digest, (const unsigned char *)text, size);
	if (pin && !memcmp(pin->digest, digest, sizeof(digest)))
		return true;
	store_digest_text(digest, found);
	if (pin)
		store_digest_text(pin->digest, expected);
	diag_error(diags, pos,
		   "was changed after it was installed: its SHA-256 is %s, pinned is %s; install "
		   "it again, or another version",
		   found, expected);
	return false;
}

static bool
check_signer(struct config_store *store, const struct store_record *record,
	     const struct diag_pos *pos, struct diags *diags)
{
	struct reason why = {""};

	if (!store->require_signature)
		return true;
	if (!store->keys_known)
		store->keys_known = !store_keys_read(store->keys_dir, &store->keys, &why);
	if (store->keys_known && record->signed_by &&
	    store_keys_have(&store->keys, record->signed_by))
		return true;
	diag_error(diags, pos,
		   "store.require_signature: it is signed by %s, expected one of the %zu keys in "
		   "%s%s%s; install it from a signed archive",
		   record->signed_by ? record->signed_by : "nobody", store->keys.count,
		   store->keys_dir, *why.text ? ": " : "", why.text);
	return false;
}

struct pinning {
	const struct spec *spec;
	const struct store_record *record;
	struct spec_pin pins[PINS_MAX];
	size_t count;
	struct diags *diags;
};

/* The path below the plugin's folder, or NULL. */
static const char *
below(const struct spec *spec, const char *path)
{
	size_t length = strlen(spec->folder);

	return strncmp(path, spec->folder, length) || path[length] != '/' ? NULL
									  : path + length + 1;
}

/* An environment's interpreter is the system's, by a link. */
static bool
may_lead_out(const struct spec *spec, const char *path)
{
	const char *lexical = below(spec, path);

	return !lexical || !strncmp(lexical, ENVIRONMENT, strlen(ENVIRONMENT));
}

/* What is large and was not pinned is data. */
static bool
may_be_unpinned(const struct pinning *pinning, const char *path)
{
	struct stat info;

	return strcmp(path, pinning->spec->program) && !stat(path, &info) &&
	       info.st_size > SPEC_PIN_ARGUMENT_BYTES;
}

static void
pin_file(void *context, const char *path)
{
	struct pinning *pinning = context;
	const char *file = pinning->spec->path;
	const struct diag_pos pos = {.file = file, .line = 1, .column = 1};
	char real[PATH_MAX];
	const struct store_pin *pin = NULL;
	const char *inside = realpath(path, real) ? below(pinning->spec, real) : NULL;

	if (inside)
		pin = store_record_pin(pinning->record, inside);
	if (pin && pinning->count < PINS_MAX) {
		pinning->pins[pinning->count].path = strdup(path);
		memcpy(pinning->pins[pinning->count].digest, pin->digest, STORE_DIGEST_BYTES);
		if (pinning->pins[pinning->count].path)
			pinning->count++;
		else
			diag_error(pinning->diags, &pos, "out of memory");
	} else if (inside ? !may_be_unpinned(pinning, path) : !may_lead_out(pinning->spec, path)) {
		diag_error(pinning->diags, &pos,
			   "exec: %s was not pinned when the plugin was installed; expected a file "
			   "that came with it",
			   path);
	}
}

static bool
pin_files(struct spec *spec, const struct store_record *record, struct diags *diags)
{
	AUTO_FREE struct pinning *pinning = calloc(1, sizeof(*pinning));
	size_t errors = diags->errors;
	const struct diag_pos pos = {.file = spec->path};

	if (!pinning) {
		diag_error(diags, &pos, "out of memory");
		return false;
	}
	pinning->spec = spec;
	pinning->record = record;
	pinning->diags = diags;
	version_each_file(spec, pin_file, pinning);
	if (diags->errors == errors && !spec_set_pins(spec, pinning->pins, pinning->count))
		diag_error(diags, &pos, "out of memory");
	for (size_t i = 0; i < pinning->count; i++)
		free((char *)(uintptr_t)pinning->pins[i].path);
	return diags->errors == errors;
}

bool
config_store_pin(struct config_store *store, struct spec *spec, const char *text, size_t size,
		 struct diags *diags)
{
	char name[STORE_NAME_BYTES], version[STORE_VERSION_BYTES];
	const struct diag_pos pos = {.file = spec->path, .line = 1, .column = 1};
	struct store_record *record;
	bool accepted;

	if (!store_parse_folder(store->dir, spec->folder, name, version))
		return true;
	if (*store->unsafe) {
		diag_error(diags, &pos, "%s", store->unsafe);
		return false;
	}
	record = read_record(store, name, version, &pos, diags);
	if (!record)
		return false;
	accepted = check_manifest(record, text, size, &pos, diags) &&
		   check_signer(store, record, &pos, diags) && pin_files(spec, record, diags);
	store_record_free(record);
	return accepted;
}

/* ---- which version ---- */

bool
config_store_folder(const struct config_store *store, const struct spec *spec, const char *version,
		    char folder[PATH_MAX], struct diags *diags)
{
	char name[STORE_NAME_BYTES], running[STORE_VERSION_BYTES], chosen[STORE_VERSION_BYTES];
	const struct diag_pos pos = {.file = spec->path};
	bool is_ours = store_parse_folder(store->dir, spec->folder, name, running);
	AUTO_CLOSE int fd = -1;

	snprintf(folder, PATH_MAX, "%s", spec->folder);
	if (!is_ours && version)
		diag_error(diags, &pos, "is not of the store %s, and has no versions there",
			   store->dir);
	if (!is_ours)
		return !version;
	fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!version && !store_current(fd, name, chosen))
		version = chosen;
	if (!version)
		return true; /* nothing is chosen: what runs is all there is */
	if (store_has(fd, name, version) && store_folder(store->dir, name, version, folder))
		return true;
	diag_error(diags, &pos, "version %.100s is not installed; plugctl versions %s", version,
		   name);
	return false;
}
