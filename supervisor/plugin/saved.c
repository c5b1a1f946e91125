/* What is shared: plugd.yaml as it was read, specs, versions. */
#include "plugin/saved.h"

#include <string.h>

#include "base/turn.h"
#include "os/plugin_file.h"

/* ---- writing ---- */

void
plugins_out_init(struct plugins_out *po, struct state_out *out, Plugd__Saved *saved)
{
	*po = (struct plugins_out){.out = out, .saved = saved};
}

void
plugins_out_fini(struct plugins_out *po)
{
	free(po->settings.items);
	free(po->specs.items);
	free(po->versions.items);
}

/* The index plus one; 0: it is not there. */
static uint32_t
find(const struct saved_table *table, const void *item)
{
	for (size_t i = table->count; i; i--)
		if (table->items[i - 1] == item)
			return (uint32_t)i;
	return 0;
}

static uint32_t
add(struct plugins_out *po, struct saved_table *table, const void *item)
{
	if (table->count == table->capacity) {
		size_t capacity = table->capacity ? 2 * table->capacity : 64;
		const void **grown = realloc(table->items, capacity * sizeof(*grown));

		if (!grown) {
			po->out->failed = true;
			return 0;
		}
		table->items = grown;
		table->capacity = capacity;
	}
	table->items[table->count++] = item;
	return (uint32_t)table->count;
}

static Plugd__SavedText *
save_text(struct state_out *out, const struct kept_text *text, uint64_t fingerprint)
{
	Plugd__SavedText *saved = state_out_message(out, &plugd__saved_text__descriptor);

	saved->file = text->file;
	saved->text = state_out_bytes(text->bytes, text->size);
	saved->fingerprint = fingerprint;
	return saved;
}

uint32_t
plugins_out_settings(struct plugins_out *po, struct kept_text *text)
{
	uint32_t known = text ? find(&po->settings, text) : 0;

	if (!text || known)
		return known;
	state_out_append(po->out, &po->saved->n_settings, &po->saved->settings,
			 save_text(po->out, text, 0));
	return add(po, &po->settings, text);
}

static void
save_runtime(struct plugins_out *po, const struct spec *spec, Plugd__SavedSpec *saved)
{
	for (size_t i = 0; i < spec->runtime_count; i++) {
		Plugd__SavedRuntimeValue *one =
			state_out_message(po->out, &plugd__saved_runtime_value__descriptor);

		one->key = state_out_text(spec->runtime[i].key);
		one->text = state_out_text(spec->runtime[i].text);
		one->number = spec->runtime[i].number;
		one->time_ms = spec->runtime[i].time_ms;
		state_out_append(po->out, &saved->n_runtime, &saved->runtime, one);
	}
}

static void
save_files(struct state_out *out, const struct spec *spec, Plugd__SavedSpec *saved)
{
	for (size_t i = 0; i < spec->file_count; i++) {
		Plugd__SavedValueFile *one =
			state_out_message(out, &plugd__saved_value_file__descriptor);

		one->path = state_out_text(spec->files[i].path);
		one->text = state_out_text(spec->files[i].text);
		state_out_append(out, &saved->n_files, &saved->files, one);
	}
}

static void
save_pins(struct state_out *out, const struct spec *spec, Plugd__SavedSpec *saved)
{
	size_t count;
	const struct spec_pin *pins = spec_pins(spec, &count);

	for (size_t i = 0; i < count; i++) {
		Plugd__SavedPin *one = state_out_message(out, &plugd__saved_pin__descriptor);

		one->path = state_out_text(pins[i].path);
		one->digest = state_out_bytes(pins[i].digest, sizeof(pins[i].digest));
		state_out_append(out, &saved->n_pins, &saved->pins, one);
	}
}

static Plugd__SavedSpec *
save_spec(struct plugins_out *po, const struct spec *spec)
{
	Plugd__SavedSpec *saved = state_out_message(po->out, &plugd__saved_spec__descriptor);
	const struct kept_text *text = spec_manifest_text(spec);

	if (text)
		saved->manifest = save_text(po->out, text, spec->fingerprint);
	saved->folder = state_out_text(spec->folder);
	saved->settings = plugins_out_settings(po, spec_settings_text(spec));
	saved->program = state_out_text(spec->program);
	for (size_t i = 0; i < spec->set_count; i++)
		state_out_append(po->out, &saved->n_set, &saved->set, state_out_text(spec->set[i]));
	save_runtime(po, spec, saved);
	save_files(po->out, spec, saved);
	save_pins(po->out, spec, saved);
	return saved;
}

uint32_t
plugins_out_spec(struct plugins_out *po, const struct spec *spec)
{
	uint32_t known = spec ? find(&po->specs, spec) : 0;

	if (!spec || known)
		return known;
	state_out_append(po->out, &po->saved->n_specs, &po->saved->specs, save_spec(po, spec));
	return add(po, &po->specs, spec);
}

static Plugd__SavedVersion *
save_version(struct plugins_out *po, const struct version *version)
{
	Plugd__SavedVersion *saved = state_out_message(po->out, &plugd__saved_version__descriptor);

	saved->spec = plugins_out_spec(po, version->spec);
	saved->program_fd = state_out_fd(po->out, version->program_fd);
	saved->is_script = version->is_script;
	saved->device = version->file.device;
	saved->inode = version->file.inode;
	saved->size = version->file.size;
	saved->modified_s = version->file.modified.tv_sec;
	saved->modified_ns = version->file.modified.tv_nsec;
	saved->digest = version->digest;
	return saved;
}

uint32_t
plugins_out_version(struct plugins_out *po, const struct version *version)
{
	uint32_t known = version ? find(&po->versions, version) : 0;

	if (!version || known)
		return known;
	state_out_append(po->out, &po->saved->n_versions, &po->saved->versions,
			 save_version(po, version));
	return add(po, &po->versions, version);
}

/* ---- reading ---- */

static void
first_line(void *context, const char *line)
{
	state_in_fail(context, "what is in force is not accepted by this plugd: %s", line);
}

/* Why this one, in its own words. */
static void
fail_with(struct state_in *in, const struct diags *diags, const char *what)
{
	diags_each(diags, first_line, in);
	state_in_fail(in, "%s cannot be made anew", what);
}

static struct settings *
restore_settings(const Plugd__SavedText *saved, struct state_in *in)
{
	struct kept_text *text =
		kept_text_new(saved->file, (const char *)saved->text.data, saved->text.len);
	struct settings *settings = NULL;
	struct diags diags;

	diags_init(&diags);
	if (text)
		settings = settings_from_text(text, &diags);
	if (!settings)
		fail_with(in, &diags, saved->file);
	diags_fini(&diags);
	kept_text_unref(text);
	return settings;
}

/* NULL: none, or out of memory; the caller's. */
static struct runtime_value *
restore_runtime(const Plugd__SavedSpec *saved)
{
	struct runtime_value *values = calloc(saved->n_runtime + 1, sizeof(*values));

	for (size_t i = 0; values && i < saved->n_runtime; i++)
		values[i] = (struct runtime_value){saved->runtime[i]->key, saved->runtime[i]->text,
						   saved->runtime[i]->number,
						   saved->runtime[i]->time_ms};
	return values;
}

/* NULL: none, or out of memory (then they are read again); the caller's. */
static struct effective_file *
restore_files(const Plugd__SavedSpec *saved)
{
	struct effective_file *files = calloc(saved->n_files + 1, sizeof(*files));

	for (size_t i = 0; files && i < saved->n_files; i++)
		files[i] = (struct effective_file){saved->files[i]->path, saved->files[i]->text};
	return files;
}

static struct spec *
parse_spec(const Plugd__SavedSpec *saved, const struct settings *settings,
	   const struct kept_text *text, struct diags *diags)
{
	AUTO_FREE struct runtime_value *runtime = restore_runtime(saved);
	AUTO_FREE struct effective_file *files = restore_files(saved);
	struct spec_layers layers = {.environment = environ,
				     .set = (const char *const *)saved->set,
				     .set_count = saved->n_set,
				     .runtime = runtime,
				     .runtime_count = runtime ? saved->n_runtime : 0,
				     .files = files,
				     .file_count = files ? saved->n_files : 0,
				     .program = saved->program};
	struct manifest_input input = {
		.source = {.file = text->file, .text = text->bytes, .length = text->size},
		.dir = saved->folder,
		.program = plugin_file_is_single(text->file) ? text->file : NULL,
	};
	struct manifest *manifest = manifest_parse(&input, diags);

	if (!manifest || !settings)
		return manifest ? spec_new(manifest, &layers, diags) : NULL;
	input.override = settings_override(settings, manifest->plugin);
	if (input.override) {
		manifest_free(manifest);
		manifest = manifest_parse(&input, diags);
	}
	return manifest ? spec_new(manifest, &layers, diags) : NULL;
}

static bool
restore_pins(struct spec *spec, const Plugd__SavedSpec *saved)
{
	struct spec_pin *pins = calloc(saved->n_pins + 1, sizeof(*pins));
	bool whole = pins;

	for (size_t i = 0; whole && i < saved->n_pins; i++) {
		const Plugd__SavedPin *one = saved->pins[i];

		pins[i].path = one->path;
		whole = one->digest.len == sizeof(pins[i].digest);
		if (whole)
			memcpy(pins[i].digest, one->digest.data, sizeof(pins[i].digest));
	}
	whole = whole && spec_set_pins(spec, pins, saved->n_pins);
	free(pins);
	return whole;
}

static struct spec *
restore_spec(struct plugins_in *pi, const Plugd__SavedSpec *saved)
{
	struct state_in *in = pi->in;
	const Plugd__SavedText *manifest = saved->manifest;
	int index = state_in_index(in, "plugd.yaml", saved->settings, in->saved->n_settings);
	const struct settings *settings = index < 0 ? NULL : pi->settings[index];
	struct kept_text *text = NULL;
	struct spec *spec = NULL;
	struct diags diags;

	diags_init(&diags);
	if (manifest)
		text = kept_text_new(manifest->file, (const char *)manifest->text.data,
				     manifest->text.len);
	if (text)
		spec = parse_spec(saved, settings, text, &diags);
	if (spec) {
		spec->fingerprint = manifest->fingerprint;
		spec_keep(spec, text, settings ? settings->text : NULL);
		if (!restore_pins(spec, saved))
			state_in_fail(in, "the pinned files of %s cannot be made anew", spec->name);
	} else {
		fail_with(in, &diags, manifest ? manifest->file : "a manifest");
	}
	diags_fini(&diags);
	kept_text_unref(text);
	return spec;
}

static struct version *
restore_version(struct plugins_in *pi, const Plugd__SavedVersion *saved)
{
	struct spec *spec = plugins_in_spec(pi, saved->spec);
	struct version *version = spec ? calloc(1, sizeof(*version)) : NULL;

	if (!version) {
		state_in_fail(pi->in, "a version without a manifest, or out of memory");
		spec_free(spec);
		return NULL;
	}
	version->refs = 1;
	version->spec = spec;
	version->program_fd = state_in_fd(pi->in, saved->program_fd);
	version->is_script = saved->is_script;
	version->file = (struct version_file){
		saved->device, saved->inode, saved->size, {saved->modified_s, saved->modified_ns}};
	version->digest = saved->digest;
	return version;
}

void
plugins_in_init(struct plugins_in *pi, struct state_in *in, struct host *host)
{
	const Plugd__Saved *saved = in->saved;

	*pi = (struct plugins_in){.in = in, .host = host};
	pi->settings = calloc(saved->n_settings + 1, sizeof(struct settings *));
	pi->specs = calloc(saved->n_specs + 1, sizeof(struct spec *));
	pi->versions = calloc(saved->n_versions + 1, sizeof(struct version *));
	if (!pi->settings || !pi->specs || !pi->versions)
		state_in_fail(in, "out of memory");
	for (size_t i = 0; !in->failed && i < saved->n_settings; i++)
		pi->settings[i] = restore_settings(saved->settings[i], in);
	for (size_t i = 0; !in->failed && i < saved->n_specs; i++) {
		pi->specs[i] = restore_spec(pi, saved->specs[i]);
		turn_offer();
	}
	for (size_t i = 0; !in->failed && i < saved->n_versions; i++)
		pi->versions[i] = restore_version(pi, saved->versions[i]);
}

void
plugins_in_fini(struct plugins_in *pi)
{
	const Plugd__Saved *saved = pi->in ? pi->in->saved : NULL;

	for (size_t i = 0; saved && pi->settings && i < saved->n_settings; i++)
		settings_free(pi->settings[i]);
	for (size_t i = 0; saved && pi->specs && i < saved->n_specs; i++)
		spec_free(pi->specs[i]);
	for (size_t i = 0; saved && pi->versions && i < saved->n_versions; i++)
		version_unref(pi->versions[i]);
	free(pi->settings);
	free(pi->specs);
	free(pi->versions);
}

struct spec *
plugins_in_spec(struct plugins_in *pi, uint32_t saved)
{
	int index = state_in_index(pi->in, "a manifest", saved, pi->in->saved->n_specs);

	return index < 0 || !pi->specs[index] ? NULL : spec_ref(pi->specs[index]);
}

struct version *
plugins_in_version(struct plugins_in *pi, uint32_t saved)
{
	int index = state_in_index(pi->in, "a version", saved, pi->in->saved->n_versions);

	return index < 0 || !pi->versions[index] ? NULL : version_ref(pi->versions[index]);
}
