#include "install.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "core/units.h"
#include "format.h"
#include "install/choose.h"
#include "install/unpack.h"
#include "out.h"
#include "progress.h"

static const struct option_spec options[] = {
	INSTALL_OPTIONS,
	{"use", 0, NULL, "make it the version that runs, if another one is"},
	WHERE_OPTIONS,
	{NULL},
};

/* ---- taking it in ---- */

static int
open_source(struct ctl *ctl, struct install_order *place)
{
	char text[4200];
	struct stat info;

	place->source_fd = open(place->source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (place->source_fd < 0 || fstat(place->source_fd, &info) < 0) {
		snprintf(text, sizeof(text), "%s: %s", place->source, strerror(errno));
		return ctl_fail(ctl, PLUG_EINVAL, NULL, text);
	}
	if (S_ISDIR(info.st_mode)) {
		close(place->source_fd);
		place->source_fd = -1;
	} else if (!S_ISREG(info.st_mode)) {
		return ctl_usage(ctl, "%s: expected an archive or a folder", place->source);
	}
	return CTL_DONE;
}

static int
take_options(struct ctl *ctl, const struct args *args, struct install_order *place)
{
	const char *size = args_text(args, "max-size", NULL), *key = args_text(args, "key", NULL);
	unsigned char digest[STORE_DIGEST_BYTES];
	struct reason why = {""};

	place->sha256 = args_text(args, "sha256", NULL);
	place->max_bytes = UNPACK_BYTES;
	place->policy = (struct fetch_policy){.archive = place->source,
					      .signature = args_text(args, "signature", NULL),
					      .key = key,
					      .ignored = args_flag(args, "no-signature")};
	if (place->sha256 && !store_digest_parse(place->sha256, digest))
		return ctl_usage(ctl, "--sha256 %.80s: expected 64 hex digits", place->sha256);
	if (size && units_size_bytes(size, &place->max_bytes))
		return ctl_usage(ctl, "--max-size %.80s: expected a size such as 500MiB", size);
	if (place->policy.ignored && (key || place->policy.signature))
		return ctl_usage(ctl, "--no-signature excludes --key and --signature");
	if (fetch_read(&place->policy, &why))
		return ctl_fail(ctl, PLUG_EINVAL, place->source, why.text);
	return open_source(ctl, place);
}

/* A folder has no signature, and may not be the one that the store is in. */
static int
check_source(struct ctl *ctl, struct install_order *place, const struct where *where)
{
	char folder[PATH_MAX];
	size_t length;

	place->policy.keys_dir = where->keys;
	place->policy.required = where->only_signed;
	if (where->only_signed && place->policy.ignored)
		return ctl_fail(ctl, PLUG_EDENIED, NULL,
				"plugd takes only what is signed (store.require_signature); "
				"--no-signature does not change that");
	if (place->source_fd >= 0)
		return CTL_DONE;
	if (where->only_signed || place->policy.key || place->policy.signature)
		return ctl_fail(ctl, PLUG_EDENIED, place->source,
				"a folder cannot be signed; pack it, sign the archive with "
				"minisign -S, and install that");
	if (!realpath(place->source, folder))
		return ctl_fail(ctl, PLUG_EINVAL, place->source, strerror(errno));
	length = strlen(folder);
	if (!strncmp(where->store.path, folder, length) &&
	    (where->store.path[length] == '/' || !where->store.path[length]))
		return ctl_fail(ctl, PLUG_EINVAL, place->source,
				"the store is in this folder; expected the folder of one plugin");
	return CTL_DONE;
}

/* Of what was unpacked by then, which is gone: places are told as they are in the source. */
static void
print_errors(const struct diags *diags, const struct store *store, const char *source)
{
	char line[DIAG_LINE_BYTES], *rest;
	size_t length = strlen(store->path);

	for (const struct diag *diag = diags->first; diag; diag = diag->next) {
		if (diag->severity != DIAG_ERROR)
			continue;
		diag_format(diag, line, sizeof(line));
		rest = strncmp(line, store->path, length) == 0 ? strstr(line + length, "/tree/")
							       : NULL;
		if (rest)
			fprintf(stderr, "%s: %s\n", source, rest + strlen("/tree/"));
		else
			fprintf(stderr, "%s\n", line);
	}
}

int
install_take(struct ctl *ctl, const struct args *args, const char *source, const char *name,
	     struct where *where, struct placed *ret)
{
	struct install_order place = {
		.store = &where->store, .source = source, .source_fd = -1, .name = name};
	int status = take_options(ctl, args, &place);
	struct reason why = {""};
	struct diags diags;
	plug_err err;

	if (status == CTL_DONE)
		status = where_open(ctl, args, WHERE_CREATE, where);
	if (status == CTL_DONE)
		status = check_source(ctl, &place, where);
	if (status == CTL_DONE) {
		diags_init(&diags);
		place.progress = progress_begin("installing", 0, NULL, NULL);
		err = place_version(&place, ret, &diags, &why);
		progress_end(place.progress);
		if (err) {
			print_errors(&diags, &where->store, source);
			status = ctl_fail(ctl, err, source, why.text);
		}
		diags_fini(&diags);
	}
	if (place.source_fd >= 0)
		close(place.source_fd);
	return status;
}

/* ---- telling ---- */

json_t *
install_json(const struct placed *placed, const struct where *where)
{
	char folder[PATH_MAX];

	store_folder(where->store.path, placed->name, placed->version, folder);
	return json_pack("{s:s, s:s, s:s, s:o, s:b, s:b, s:b, s:i, s:I, s:o}", "name", placed->name,
			 "version", placed->version, "sha256", placed->sha256, "signed_by",
			 *placed->signed_by ? json_string(placed->signed_by) : json_null(),
			 "already", (int)placed->already, "chosen", (int)placed->chosen,
			 "environment", (int)placed->environment, "files", (int)placed->files,
			 "bytes", (json_int_t)placed->bytes, "folder", out_json_text(folder));
}

void
install_say(const struct placed *placed)
{
	char size[FORMAT_BYTES];

	if (placed->already) {
		printf("%s %s is installed already, with the same files\n", placed->name,
		       placed->version);
		return;
	}
	printf("%s %s installed: %u files, %s%s\n", placed->name, placed->version, placed->files,
	       format_size(placed->bytes, size),
	       placed->environment ? ", with its environment" : "");
	printf("  sha256     %s\n", placed->sha256);
	if (*placed->signed_by)
		printf("  signed by  %s\n", placed->signed_by);
}

/* False: it is not what plugd has under this name; then it was told. */
static bool
check_taken(const struct where *where, const struct placed *placed, const struct tell_state *state)
{
	if (!*state->state)
		fprintf(stderr, "plugctl: installed, but plugd does not take it: %s\n", state->why);
	else if (!where_holds(where, state->path))
		fprintf(stderr,
			"plugctl: installed, but plugd has %s from another folder, which comes "
			"first: %s\n",
			placed->name, state->path);
	else
		return true;
	return false;
}

static void
say_state(const struct placed *placed, const struct tell_state *state)
{
	if (strcmp(state->version, placed->version))
		printf("version %s is in force; to change over: plugctl use %s %s\n",
		       state->version, placed->name, placed->version);
	else
		printf("%s: %s%s%s\n", placed->name, state->state, *state->why ? ": " : "",
		       state->why);
}

static int
tell_plugd(struct ctl *ctl, const struct placed *placed, struct tell_state *state)
{
	int status = tell_reread(ctl);

	if (status == CTL_DONE)
		status = tell_find(ctl, placed->name, state);
	return status == CTL_DONE ? tell_settle(ctl, placed->name, placed->chosen, state) : status;
}

static int
finish(struct ctl *ctl, const struct args *args, struct where *where, struct placed *placed)
{
	struct chosen chosen = {""};
	json_t *document = ctl->json ? install_json(placed, where) : NULL;
	int status = CTL_DONE;

	if (!ctl->json)
		install_say(placed);
	if (args_flag(args, "use") && !placed->chosen) {
		status = choose_version(ctl, where, placed->name, placed->version, &chosen);
	} else {
		where_unlock(where);
		if (where->has_plugd)
			status = tell_plugd(ctl, placed, &chosen.state);
	}
	if (ctl->json) {
		if (where->has_plugd)
			json_object_set_new(document, "state", out_json_text(chosen.state.state));
		if (status == CTL_DONE)
			out_json(document);
		else
			json_decref(document);
	}
	if (status != CTL_DONE || !where->has_plugd)
		return status;
	if (!check_taken(where, placed, &chosen.state))
		return CTL_FAILED;
	if (!ctl->json)
		say_state(placed, &chosen.state);
	return CTL_DONE;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct where where = WHERE_INIT;
	struct placed placed;
	int status = install_take(ctl, args, args->words[0], NULL, &where, &placed);

	if (status == CTL_DONE)
		status = finish(ctl, args, &where, &placed);
	where_close(&where);
	return status;
}

const struct verb verb_install = {
	.name = "install",
	.args = "DIR|ARCHIVE|FILE",
	.summary = "put a plugin into plugd's store",
	.help = "Takes a plugin's folder, or an archive of one: tar, plain or with gzip, bzip2, xz "
		"or zstd, or zip; or one executable file with its manifest inside.  It is checked, "
		"unpacked, pinned and then put into the store in "
		"one step: whatever happens meanwhile, the store is whole.  plugd notices it, and "
		"starts it if its manifest says so.  Versions are kept side by side; the first one "
		"is the chosen one until `plugctl use` or `plugctl upgrade` says otherwise.\n\n"
		"Refused are names and links that lead out of the plugin, devices, setuid files, "
		"names that are there twice, archives that are cut off or unpack to more than "
		"--max-size, to more than 20,000 entries, or to 200 times what they are.\n\n"
		"The SHA-256 of the archive and of every file is kept.  The manifest, the program "
		"and its arguments that are files are checked at every start: one that was changed "
		"is not started.\n\n"
		"Where ARCHIVE.minisig is beside the archive, or with --signature, the signature "
		"has to be by one of the keys that plugd trusts, or by --key.  With "
		"store.require_signature in plugd.yaml nothing else is taken.\n\n"
		"Where the manifest has an environment, it is made now, and what that prints is "
		"kept.  This executes what the packages bring with them.\n\n"
		"Only the owner of plugd and root may install.  With --store no plugd is needed.",
	.options = options,
	.examples =
		(const struct verb_example[]){
			{"plugctl install ./my-plugin", "a folder, as it is now"},
			{"plugctl install --sha256 9f86… gpt2-1.2.0.tar.zst",
			 "only if it is that very archive"},
			{"plugctl install --key vendor.pub gpt2-1.2.0.tar.zst",
			 "only if they made it"},
			{"plugctl install --store ./image/store echo.zip",
			 "into an image, without plugd"},
			{NULL},
		},
	.complete = COMPLETE_FILE,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
