#include "core/effective.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/suggest.h"
#include "core/text.h"

#define ARENA_BYTES ((size_t)4 * 1024 * 1024)

struct resolver {
	const struct effective_input *input;
	struct effective *effective;
	struct diags *diags;
};

/* ---- one value ---- */

static void
put(struct effective_value *to, enum effective_layer layer, const struct schema_value *value,
    const struct diag_pos *origin)
{
	to->layer = layer;
	to->value = *value;
	to->origin = *origin;
}

static void
start_value(struct effective_value *to, const struct schema_key *key)
{
	to->key = key;
	to->origin = key->declared_at;
	if (key->fallback.is_set)
		put(to, EFFECTIVE_MANIFEST, &key->fallback, &key->declared_at);
	if (key->configured.is_set)
		put(to, EFFECTIVE_FILE, &key->configured, &key->configured_at);
}

/* An error at the place where the value is asked for. */
static void
refuse(struct resolver *r, const struct effective_value *to, const char *source, const char *what,
       const char *why)
{
	struct diag_pos pos = {.file = source};

	diag_error(r->diags, source ? &pos : &to->key->configured_at, "%s: %s: %s", to->key->name,
		   what, why);
}

/* Text from outside any file; `source` names where it came from. */
static void
put_text(struct resolver *r, struct effective_value *to, enum effective_layer layer,
	 const char *source, const char *text)
{
	struct field_ctx ctx = {.arena = &r->effective->arena,
				.diags = r->diags,
				.base_dir = r->input->manifest->dir};
	struct diag_pos origin = {.file = arena_strdup(ctx.arena, source)};
	struct schema_value value;

	ctx.file = origin.file ? origin.file : source;
	field_enter(&ctx, to->key->name);
	if (!text_is_clean(text, strlen(text)))
		diag_error(r->diags, &(struct diag_pos){.file = ctx.file},
			   "%s: expected text in UTF-8 without control characters", ctx.path);
	else if (schema_decode_text(&ctx, to->key, text, &value))
		put(to, layer, &value, &origin);
}

/* NULL: it is to be read now. */
static const char *
read_before(struct resolver *r, const char *path)
{
	for (size_t i = 0; i < r->input->file_count; i++)
		if (!strcmp(r->input->files[i].path, path))
			return arena_strdup(&r->effective->arena, r->input->files[i].text);
	return NULL;
}

/* The text of a file; NULL after an error was added. */
static const char *
text_of_file(struct resolver *r, struct effective_value *to, const char *source, const char *path)
{
	char why[EFFECTIVE_WHY_BYTES] = "values in files are not read here";
	const char *text = read_before(r, path);

	if (!text && r->input->read_file)
		text = r->input->read_file(path, &r->effective->arena, why);
	to->file = (struct effective_file){arena_strdup(&r->effective->arena, path), text};
	if (!text)
		refuse(r, to, source, path, why);
	return text;
}

/* ---- environment ---- */

static char *
append_upper(char *to, const char *end, const char *text)
{
	for (; *text && to < end; text++)
		*to++ = *text == '-' ? '_' : (char)toupper((unsigned char)*text);
	return to;
}

void
effective_env_name(const char *plugin, const char *key, char buffer[EFFECTIVE_ENV_BYTES])
{
	const char *end = buffer + EFFECTIVE_ENV_BYTES - 1;
	char *at = append_upper(buffer, end, "PLUGD_");

	at = append_upper(at, end, plugin);
	at = append_upper(at, end, "_");
	*append_upper(at, end, key) = '\0';
}

/* The value of `name`, or NULL.  As in getenv(), the first wins. */
static const char *
lookup(const char *const *environment, const char *name)
{
	size_t length = strlen(name);

	for (; environment && *environment; environment++)
		if (!strncmp(*environment, name, length) && (*environment)[length] == '=')
			return *environment + length + 1;
	return NULL;
}

/* Is NAME_FILE the variable of another key? */
static bool
is_a_keys(const struct resolver *r, const char *variable)
{
	char name[EFFECTIVE_ENV_BYTES];

	for (size_t i = 0; i < r->effective->count; i++) {
		effective_env_name(r->input->manifest->plugin, r->effective->values[i].key->name,
				   name);
		if (!strcmp(name, variable))
			return true;
	}
	return false;
}

/* plugd.yaml says where the value is. */
static void
apply_source(struct resolver *r, struct effective_value *to)
{
	const struct schema_key *key = to->key;
	const char *text = NULL;
	char source[DIAG_LINE_BYTES / 2];

	if (key->configured_file)
		text = text_of_file(r, to, NULL, key->configured_file);
	else if (key->configured_variable && r->input->environment)
		text = lookup(r->input->environment, key->configured_variable);
	if (!text) {
		if (key->configured_variable)
			refuse(r, to, NULL, key->configured_variable,
			       "is not set in plugd's environment");
		return;
	}
	snprintf(source, sizeof(source), "%s:%u:%u (%s %s)", key->configured_at.file,
		 key->configured_at.line, key->configured_at.column,
		 key->configured_file ? "file" : "environment",
		 key->configured_file ? key->configured_file : key->configured_variable);
	put_text(r, to, EFFECTIVE_FILE, source, text);
}

/* PLUGD_…_FILE: the path of a file that holds the value. */
static void
apply_file_variable(struct resolver *r, struct effective_value *to, const char *name)
{
	char variable[EFFECTIVE_ENV_BYTES + 8], source[EFFECTIVE_ENV_BYTES + 32];
	const char *path, *text;

	snprintf(variable, sizeof(variable), "%s_FILE", name);
	path = lookup(r->input->environment, variable);
	if (!path || is_a_keys(r, variable))
		return;
	snprintf(source, sizeof(source), "environment %s", variable);
	text = text_of_file(r, to, source, path);
	if (text)
		put_text(r, to, EFFECTIVE_ENVIRONMENT, source, text);
}

static void
apply_environment(struct resolver *r)
{
	for (size_t i = 0; i < r->effective->count; i++) {
		struct effective_value *to = &r->effective->values[i];
		char name[EFFECTIVE_ENV_BYTES], source[EFFECTIVE_ENV_BYTES + 16];
		const char *text;

		effective_env_name(r->input->manifest->plugin, to->key->name, name);
		text = lookup(r->input->environment, name);
		if (!text) {
			apply_file_variable(r, to, name);
			continue;
		}
		snprintf(source, sizeof(source), "environment %s", name);
		put_text(r, to, EFFECTIVE_ENVIRONMENT, source, text);
	}
}

/* PLUGD_A_B_C may be key B_C of plugin a or key C of plugin a-b: only a near miss is worth a word.
 */
static void
warn_of_near_miss(struct resolver *r, const char *variable, size_t prefix)
{
	size_t length = strcspn(variable, "=");
	char name[EFFECTIVE_ENV_BYTES];
	struct suggest suggest;

	if (length >= sizeof(name))
		return;
	memcpy(name, variable, length);
	name[length] = '\0';
	if (length > 5 && !strcmp(name + length - 5, "_FILE")) {
		name[length - 5] = '\0'; /* of a key: it is used; else it is as near as that */
		if (is_a_keys(r, name))
			return;
		name[length - 5] = '_';
	}
	suggest_start(&suggest, name + prefix);
	for (size_t i = 0; i < r->effective->count; i++)
		suggest_offer(&suggest, r->effective->values[i].key->name);
	if (suggest.best && suggest.distance)
		diag_warning(r->diags, &(struct diag_pos){.file = "environment"},
			     "%s names no config key of %s and is ignored; did you mean \"%s\"?",
			     name, r->input->manifest->plugin, suggest.best);
}

static void
check_environment(struct resolver *r)
{
	char prefix[EFFECTIVE_ENV_BYTES];
	const char *const *environment = r->input->environment;

	effective_env_name(r->input->manifest->plugin, "", prefix);
	for (; environment && *environment; environment++)
		if (!strncmp(*environment, prefix, strlen(prefix)))
			warn_of_near_miss(r, *environment, strlen(prefix));
}

/* ---- --set ---- */

static struct effective_value *
find(const struct effective *effective, const char *key)
{
	for (size_t i = 0; i < effective->count; i++)
		if (!strcmp(effective->values[i].key->name, key))
			return &effective->values[i];
	return NULL;
}

static void
apply_set(struct resolver *r, const char *assignment)
{
	static const struct diag_pos pos = {.file = "--set"};
	size_t length = strcspn(assignment, "=");
	char key[EFFECTIVE_ENV_BYTES];
	struct effective_value *to;

	if (!assignment[length] || !length || length >= sizeof(key)) {
		/* without '=' the whole may be a value, maybe a secret one: not shown */
		diag_error(r->diags, &pos, "expected key=value");
		return;
	}
	memcpy(key, assignment, length);
	key[length] = '\0';
	to = find(r->effective, key);
	if (to)
		put_text(r, to, EFFECTIVE_SET, pos.file, assignment + length + 1);
	else
		schema_unknown_key(&r->input->manifest->config, r->diags, &pos, key);
}

/* ---- config set ---- */

static void
apply_runtime(struct resolver *r, const struct runtime_value *value)
{
	const struct manifest *manifest = r->input->manifest;
	struct effective_value *to = find(r->effective, value->key);
	char origin[RUNTIME_ORIGIN_BYTES];
	size_t errors = r->diags->errors;
	struct diag_pos pos = {.file = origin};

	runtime_origin(value, origin);
	if (to)
		put_text(r, to, EFFECTIVE_RUNTIME, origin, value->text);
	else
		schema_unknown_key(&manifest->config, r->diags, &pos, value->key);
	if (r->diags->errors != errors && value->number)
		diag_note(r->diags, &pos, "to take it back: plugctl config unset %s %s",
			  manifest->plugin, value->key);
}

/* ---- all of it ---- */

static void
check_required(struct resolver *r)
{
	const char *plugin = r->input->manifest->plugin;

	for (size_t i = 0; i < r->effective->count; i++) {
		const struct effective_value *value = &r->effective->values[i];
		char name[EFFECTIVE_ENV_BYTES];

		if (value->layer != EFFECTIVE_UNSET || !value->key->required)
			continue;
		effective_env_name(plugin, value->key->name, name);
		diag_error(r->diags, &value->key->declared_at,
			   "config key \"%s\" is required and nothing sets it: write "
			   "plugins.%s.config.%s "
			   "in plugd.yaml, or set %s, or start it with --set %s=…",
			   value->key->name, plugin, value->key->name, name, value->key->name);
	}
}

static void
check_size(struct resolver *r)
{
	size_t bytes = 0;

	for (size_t i = 0; i < r->effective->count; i++) {
		const struct effective_value *value = &r->effective->values[i];

		bytes += strlen(value->key->name) + 32;
		if (value->value.is_set)
			bytes += 2 * strlen(value->value.text); /* a list is sent twice */
	}
	if (bytes > EFFECTIVE_BYTES)
		diag_error(r->diags, &(struct diag_pos){.file = r->input->manifest->file},
			   "the config of %s takes %zu bytes; at most %u can be sent to a plugin",
			   r->input->manifest->plugin, bytes, EFFECTIVE_BYTES);
}

static void
resolve(struct resolver *r)
{
	for (size_t i = 0; i < r->effective->count; i++)
		start_value(&r->effective->values[i], &r->input->manifest->config.keys[i]);
	for (size_t i = 0; i < r->effective->count; i++)
		if (r->effective->values[i].key->configured_file ||
		    r->effective->values[i].key->configured_variable)
			apply_source(r, &r->effective->values[i]);
	check_environment(r);
	apply_environment(r);
	for (size_t i = 0; i < r->input->set_count; i++)
		apply_set(r, r->input->set[i]);
	for (size_t i = 0; i < r->input->runtime_count; i++)
		apply_runtime(r, &r->input->runtime[i]);
	check_required(r);
	check_size(r);
}

struct effective *
effective_resolve(const struct effective_input *input, struct diags *diags)
{
	struct effective *effective = calloc(1, sizeof(*effective));
	struct resolver r = {.input = input, .effective = effective, .diags = diags};
	size_t errors = diags->errors;

	if (effective) {
		arena_init(&effective->arena, ARENA_BYTES);
		effective->count = input->manifest->config.count;
		effective->values = arena_array(&effective->arena, effective->count,
						sizeof(*effective->values));
	}
	if (effective && effective->values)
		resolve(&r);
	if (!effective || effective->arena.failed)
		diag_error(diags, &(struct diag_pos){.file = input->manifest->file},
			   "out of memory while making its config");
	if (diags->errors == errors)
		return effective;
	effective_free(effective);
	return NULL;
}

void
effective_free(struct effective *effective)
{
	if (!effective)
		return;
	arena_fini(&effective->arena);
	free(effective);
}

const struct effective_value *
effective_find(const struct effective *effective, const char *key)
{
	return find(effective, key);
}

void
effective_origin(const struct effective_value *value, char *buffer, size_t size)
{
	switch (value->layer) {
	case EFFECTIVE_UNSET:
		snprintf(buffer, size, "not set");
		break;
	case EFFECTIVE_MANIFEST:
		snprintf(buffer, size, "default");
		break;
	case EFFECTIVE_FILE:
		if (!value->origin.line) { /* the file says where it is */
			snprintf(buffer, size, "%s", value->origin.file);
			break;
		}
		snprintf(buffer, size, "%s:%u:%u", value->origin.file, value->origin.line,
			 value->origin.column);
		break;
	default:
		snprintf(buffer, size, "%s", value->origin.file);
	}
}

const char *
effective_layer_name(enum effective_layer layer)
{
	static const char *const names[EFFECTIVE_LAYERS] = {
		[EFFECTIVE_UNSET] = "unset", [EFFECTIVE_MANIFEST] = "manifest",
		[EFFECTIVE_FILE] = "file",   [EFFECTIVE_ENVIRONMENT] = "environment",
		[EFFECTIVE_SET] = "start",   [EFFECTIVE_RUNTIME] = "runtime",
	};

	return names[layer];
}

const char *
effective_shown(const struct effective_value *value)
{
	if (!value->value.is_set)
		return "";
	return value->key->secret ? "***" : value->value.text;
}
