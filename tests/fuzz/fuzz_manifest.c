/*
 * A plugin.yaml, then from the first NUL a plugd.yaml whose part for this plugin is laid over it,
 * then from the next one what `plugctl start --set` says.
 */
#include <string.h>

#include "core/effective.h"
#include "core/settings.h"
#include "fuzz.h"
#include "texts.h"

#define SETS_MAX 4

struct input {
	const uint8_t *at;
	size_t left;
};

/* Up to the next NUL, or to the end. */
static struct text
next_part(struct input *in)
{
	const uint8_t *end = in->left ? memchr(in->at, 0, in->left) : NULL;
	size_t size = end ? (size_t)(end - in->at) : in->left;
	struct text text = text_of(in->at, size);

	in->at += size + (end != NULL);
	in->left -= size + (end != NULL);
	return text;
}

static struct settings *
read_settings(struct text *text)
{
	struct settings_input input = {.source = text_source("plugd.yaml", text), .dir = "/etc"};
	struct settings *settings;
	struct diags diags;

	diags_init(&diags);
	settings = settings_parse(&input, &diags);
	check_said(&diags, settings);
	diags_fini(&diags);
	text_free(text);
	return settings;
}

static struct manifest *
read_manifest(const struct text *text, const struct manifest_override *override)
{
	struct manifest_input input = {
		.source = text_source("plugin.yaml", text), .dir = "/p", .override = override};
	struct manifest *manifest;
	struct diags diags;

	diags_init(&diags);
	manifest = manifest_parse(&input, &diags);
	check_said(&diags, manifest);
	if (manifest)
		manifest_fits_host(manifest, "0.1.0", &diags);
	diags_fini(&diags);
	return manifest;
}

static void
resolve(const struct manifest *manifest, const char *const *set, size_t count)
{
	static const char *const environment[] = {"PLUGD_ECHO_SIZE=7", "PLUGD_ECHO_SIEZ=7",
						  "PLUGD_GPT2_DEVICE=cuda", NULL};
	struct effective_input input = {manifest, environment, set, count};
	struct effective *effective;
	struct diags diags;

	diags_init(&diags);
	effective = effective_resolve(&input, &diags);
	check_said(&diags, effective);
	for (size_t i = 0; effective && i < effective->count; i++)
		CHECK(effective_shown(&effective->values[i]));
	effective_free(effective);
	diags_fini(&diags);
}

static void
resolve_with(const struct manifest *manifest, struct input *in)
{
	char *set[SETS_MAX];
	size_t count = 0;

	while (in->left && count < SETS_MAX) {
		struct text text = next_part(in);

		set[count] = strndup(text.bytes, text.size);
		CHECK(set[count++]);
		text_free(&text);
	}
	resolve(manifest, (const char *const *)set, count);
	while (count)
		free(set[--count]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct text text = next_part(&in), laid_over = next_part(&in);
	struct settings *settings = read_settings(&laid_over);
	struct manifest *manifest = read_manifest(&text, NULL);
	const struct manifest_override *override =
		manifest && settings ? settings_override(settings, manifest->plugin) : NULL;

	if (override) {
		manifest_free(manifest);
		manifest = read_manifest(&text, override);
	}
	if (manifest)
		resolve_with(manifest, &in);
	manifest_free(manifest);
	settings_free(settings);
	text_free(&text);
	return 0;
}

#define HEAD "plugin: echo\nversion: 1.2.3\ntype: feature\nexec: [./echo]\n"

/* Parts are divided by NULs; what is here is kept short, tests/fuzz/corpus has more. */
static const char *const seeds[] = {
	HEAD,
	HEAD "tags: [a, b]\npriority: high\nprovides: { shared: [x], exclusive: [y] }\n"
	     "requires: { host: \">=0.1\", plugins: [\"gpt2 >=1.0 <2\"], programs: [sh],\n"
	     "  packages: [\"numpy >=1.26,<3\", \"a.B_c ~=1!2.0rc1.post2.dev3\"] }\n",
	HEAD "config:\n  size: { type: int, min: 1, max: 9, default: 3, live: true }\n"
	     "  mode: { type: enum, values: [a, b], default: a }\n"
	     "  key: { type: string, secret: true, required: true }\n",
	HEAD
	"conflicts: [x]\nrequires: { capabilities: [y] }\ncommands:\n  do:\n    help: does it\n"
	"    method: go\n    aliases: [it]\n    stdin: true\n    options:\n"
	"      o: { type: enum, values: [a, b], default: a, letter: o }\n"
	"      p: { type: path, default: q }\n      l: { type: list, default: [a, b] }\n"
	"    args: [{ name: n, type: int, min: 1, required: true }, { name: r, many: true }]\n",
	HEAD "methods: { go: { stream: true, idempotent: true, timeout: 1m, description: d } }\n"
	     "probe: { method: go, interval: 5s, timeout: 100ms }\n",
	HEAD "run:\n  autostart: false\n  instances: 3\n  standby: 1\n  restart: always\n"
	     "  backoff: { min: 10ms, max: 1s }\n  start_timeout: 5s\n  env: { A: \"b\" }\n"
	     "  env_inherit: [PATH, \"LC_*\"]\n  user: nobody\n",
	HEAD "resources: { memory_mb: 100, cpu: 0.5, pids: 10, open_files: 64 }\n"
	     "sandbox: { read: [/a], write: [./b], system_calls: default }\n",
	HEAD "created: 2025-01-31\nupdated: 2025-01-31T12:00:00Z\nhomepage: https://a\n"
	     "author: 'it''s'\ndescription: |\n  many\n  lines\n",
};

static const char *const more[] = {
	"plugins: { echo: { config: { size: 4 }, run: { autostart: true } } }\n",
	"key=x",
	"size=5",
};

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	size_t size = 0;

	if (number >= sizeof(seeds) / sizeof(seeds[0]))
		return 0;
	size = strlen(seeds[number]);
	CHECK(size < capacity);
	memcpy(buf, seeds[number], size);
	for (size_t i = 0; number % 2 == 0 && i < sizeof(more) / sizeof(more[0]); i++) {
		buf[size++] = 0;
		memcpy(buf + size, more[i], strlen(more[i]));
		size += strlen(more[i]);
	}
	return size;
}
