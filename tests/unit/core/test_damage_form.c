/*
 * A thousand damaged manifests and a thousand damaged plugd.yaml, from fixed seeds: each is refused
 * as a whole, at once, by lines that name the place, what was found, what was expected or meant,
 * and what stays in force.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support.h"

#define DAMAGED      1000
#define BUFFER_BYTES 8192
#define TRIES        200 /* of a kind of damage that may be harmless */
#define IN_FORCE     "what was read before stays in force"

static const char manifest[] =
	"plugin: gpt2\n"
	"version: 1.2.0\n"
	"type: model\n"
	"exec: [./gpt2-plugin, --fast]\n"
	"description: \"GPT-2 für alle\"\n"
	"homepage: https://example.org/gpt2\n"
	"created: 2025-01-31\n"
	"tags: [text, cpu]\n"
	"priority: high\n"
	"provides: { shared: [text-generation], exclusive: [gpu] }\n"
	"conflicts: [other]\n"
	"requires:\n"
	"  host: \">=0.1\"\n"
	"  plugins: [\"tokenizer >=1.0 <2\"]\n"
	"  capabilities: [cache]\n"
	"  packages: [\"numpy >=1.26,<3\", pyyaml]\n"
	"config:\n"
	"  model: { type: path, required: true }\n"
	"  device: { type: enum, values: [auto, cpu, cuda], default: auto }\n"
	"  size: { type: int, min: 1, max: 1024, default: 32 }\n"
	"methods:\n"
	"  generate: { stream: true, idempotent: true, timeout: 30s }\n"
	"resources:\n"
	"  memory_mb: 2048\n"
	"  cpu: 1.5\n"
	"run:\n"
	"  autostart: true\n"
	"  instances: 2\n"
	"  restart: on-failure\n"
	"  backoff: { min: 100ms, max: 30s }\n"
	"  start_timeout: 60s\n"
	"  env: { OMP_NUM_THREADS: \"2\" }\n"
	"commands:\n"
	"  chat:\n"
	"    help: talks\n"
	"    method: generate\n"
	"    aliases: [talk]\n"
	"    options:\n"
	"      length: { type: int, min: 1, max: 99, default: 9, letter: l }\n"
	"    args:\n"
	"      - { name: prompt, required: true }\n"
	"probe:\n"
	"  method: generate\n"
	"  interval: 30s\n";

static const char settings[] = "plugin_dirs: [plugins, /srv/plugins]\n"
			       "runtime_dir: run\n"
			       "state_dir: state\n"
			       "log:\n"
			       "  level: info\n"
			       "  format: json\n"
			       "limits:\n"
			       "  plugins: 100\n"
			       "  call_bytes: 16MiB\n"
			       "  call_timeout: 60s\n"
			       "  queue_calls: 10\n"
			       "watch: true\n"
			       "plugins:\n"
			       "  gpt2:\n"
			       "    priority: 10\n"
			       "    config: { size: 8 }\n"
			       "    run: { instances: 2, start_timeout: 5m }\n"
			       "  other:\n"
			       "    resources: { memory_mb: 64 }\n";

struct damage {
	uint64_t random;
	const char *whole;
	char text[BUFFER_BYTES];
	size_t length;
	char meant[64]; /* the near miss that has to be named; "": none */
};

static uint32_t
pick(struct damage *d, size_t below)
{
	d->random = d->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((d->random >> 33) % below);
}

static void
splice(struct damage *d, size_t at, size_t removed, const char *added, size_t length)
{
	assert_true(at + removed <= d->length && d->length - removed + length < BUFFER_BYTES);
	memmove(d->text + at + length, d->text + at + removed, d->length - at - removed + 1);
	memcpy(d->text + at, added, length);
	d->length += length - removed;
}

static size_t
line_count(const struct damage *d)
{
	size_t count = 0;

	for (const char *at = d->text; *at; at++)
		count += *at == '\n';
	return count;
}

/* The start of a line that is picked, and its length without the newline. */
static size_t
pick_line(struct damage *d, size_t *ret_length)
{
	const char *at = d->text;

	for (size_t line = pick(d, line_count(d)); line; line--)
		at = strchr(at, '\n') + 1;
	*ret_length = strcspn(at, "\n");
	return (size_t)(at - d->text);
}

/* A key that begins a line, by its place and length. */
static size_t
pick_key(struct damage *d, size_t *ret_length)
{
	for (;;) {
		size_t length, at = pick_line(d, &length);

		at += strspn(d->text + at, " ");
		*ret_length = strspn(d->text + at, "abcdefghijklmnopqrstuvwxyz_0123456789");
		if (*ret_length > 1 && d->text[at + *ret_length] == ':')
			return at;
	}
}

/* ---- kinds of damage ---- */

static void
truncate_it(struct damage *d)
{
	d->length = 1 + pick(d, d->length - 1);
	d->text[d->length] = '\0';
}

static void
wrong_type(struct damage *d)
{
	static const char *const values[] = {
		" [[x]]", " { a: { b: c } }", " [1, { a: b }]", " \"?\"", " -1", " [~]"};
	const char *value = values[pick(d, sizeof(values) / sizeof(values[0]))];
	size_t length, at = pick_key(d, &length) + length + 1;

	splice(d, at, strcspn(d->text + at, "\n"), value, strlen(value));
}

static void
unknown_key(struct damage *d)
{
	size_t length, at = pick_key(d, &length);

	splice(d, at, length, "qqqqzzzz", 8);
}

/* Two letters change places, or one is doubled: what was meant is clear, unless the author chose
 * the name. */
static void
near_miss(struct damage *d)
{
	static const char *const keys[] = {
		"version:",     "description:",  "provides:",  "requires:",
		"packages:",    "resources:",    "autostart:", "instances:",
		"priority:",    "aliases:",      "interval:",  "plugin_dirs:",
		"runtime_dir:", "call_timeout:", "memory_mb:", "queue_calls:"};
	const char *key, *at;
	size_t i;

	do {
		key = keys[pick(d, sizeof(keys) / sizeof(keys[0]))];
		at = strstr(d->text, key);
	} while (!at);
	snprintf(d->meant, sizeof(d->meant), "did you mean \"%.*s\"?", (int)strlen(key) - 1, key);
	i = (size_t)(at - d->text) + 1 + pick(d, strlen(key) - 3);
	if (d->text[i] == d->text[i + 1]) {
		splice(d, i, 0, d->text + i, 1);
	} else {
		char swapped[2] = {d->text[i + 1], d->text[i]};

		splice(d, i, 2, swapped, 2);
	}
}

static void
bad_range(struct damage *d)
{
	static const char *const bad[][2] = {{"1024, def", "0, def"},
					     {"instances: 2", "instances: 65"},
					     {"cpu: 1.5", "cpu: 5000"},
					     {"memory_mb: 2048", "memory_mb: 0"},
					     {"priority: high", "priority: 1000"},
					     {"start_timeout: 60s", "start_timeout: 2d"},
					     {"min: 100ms", "min: 1h1m"},
					     {"interval: 30s", "interval: 1ms"},
					     {"plugins: 100", "plugins: 5000"},
					     {"call_bytes: 16MiB", "call_bytes: 2GiB"},
					     {"call_timeout: 60s", "call_timeout: 8d"},
					     {"queue_calls: 10", "queue_calls: -1"},
					     {"priority: 10", "priority: 1000"},
					     {"memory_mb: 64", "memory_mb: 99999999"},
					     {"instances: 2,", "instances: 0,"},
					     {"1.2.0", "1.2"},
					     {"default: 9", "default: 100"},
					     {"2025-01-31", "2025-02-31"},
					     {">=0.1", "=>0.1"},
					     {">=1.26", "=>1.26"},
					     {"numpy", "num py"},
					     {"pyyaml", "numpy"},
					     {"5m }", "5 parsecs }"}};
	const char *at;
	size_t which;

	do {
		which = pick(d, sizeof(bad) / sizeof(bad[0]));
		at = strstr(d->text, bad[which][0]);
	} while (!at);
	splice(d, (size_t)(at - d->text), strlen(bad[which][0]), bad[which][1],
	       strlen(bad[which][1]));
}

static void
binary_bytes(struct damage *d)
{
	char bytes[16];
	size_t count = 1 + pick(d, sizeof(bytes));

	for (size_t i = 0; i < count; i++)
		bytes[i] = (char)pick(d, 256);
	bytes[pick(d, count)] = (char)(pick(d, 2) ? 0xff : pick(d, 8));
	splice(d, pick(d, d->length), 0, bytes, count);
}

static void
deep_nesting(struct damage *d)
{
	char deep[512];
	size_t levels = 16 + pick(d, 200), length, at = pick_key(d, &length) + length + 1;

	memset(deep, pick(d, 2) ? '[' : '{', levels);
	deep[0] = ' ';
	splice(d, at, strcspn(d->text + at, "\n"), deep, levels);
}

static void
duplicate(struct damage *d)
{
	size_t length, at = pick_line(d, &length);
	char line[256];

	memcpy(line, d->text + at, length + 1);
	splice(d, at, 0, line, length + 1);
}

static const struct {
	const char *name;
	void (*apply)(struct damage *d);
} kinds[] = {
	{"truncate_it", truncate_it},   {"wrong_type", wrong_type}, {"unknown_key", unknown_key},
	{"near_miss", near_miss},       {"bad_range", bad_range},   {"binary_bytes", binary_bytes},
	{"deep_nesting", deep_nesting}, {"duplicate", duplicate},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- what is said ---- */

/* "plugin.yaml:12:3: error: " */
static const char *
behind_the_place(const char *line, const char *file)
{
	const char *at = line + strlen(file);

	if (strncmp(line, file, strlen(file)) != 0)
		return NULL;
	for (int i = 0; i < 2; i++) {
		if (*at != ':' || !isdigit((unsigned char)at[1]) || at[1] == '0')
			return NULL;
		at += 1 + strspn(at + 1, "0123456789");
	}
	return strncmp(at, ": error: ", 9) == 0 ? at + 9 : NULL;
}

static void
check_line(const struct damage *d, const char *kind, const char *file, const char *line)
{
	const char *said = behind_the_place(line, file);
	size_t length = strlen(line), tail = strlen("; " IN_FORCE);

	if (!said || strchr(line, '\n'))
		fail_msg("%s: no place, or several lines: %s\n%s", kind, line, d->text);
	if (!strstr(said, "expected") && !strstr(said, "did you mean"))
		fail_msg("%s: what was expected is not said: %s\n%s", kind, line, d->text);
	if (length < tail || strcmp(line + length - tail, "; " IN_FORCE) != 0)
		fail_msg("%s: what stays in force is not said: %s\n%s", kind, line, d->text);
}

static void
check_diags(const struct damage *d, const char *kind, const char *file, const struct diags *diags)
{
	char line[DIAG_LINE_BYTES];
	bool meant = !*d->meant;

	for (const struct diag *diag = diags->first; diag; diag = diag->next) {
		if (diag->severity != DIAG_ERROR)
			continue;
		diag_format(diag, line, sizeof(line));
		check_line(d, kind, file, line);
		meant = meant || strstr(line, d->meant);
	}
	if (!meant)
		fail_msg("%s: nowhere %s:\n%s", kind, d->meant, d->text);
}

typedef bool (*accepts)(const struct damage *d, struct diags *diags);

static bool
accepts_manifest(const struct damage *d, struct diags *diags)
{
	struct manifest_input input = {
		.source = {.file = "plugin.yaml", .text = d->text, .length = d->length},
		.dir = "/plugins/gpt2"};
	struct manifest *m = manifest_parse(&input, diags);

	manifest_free(m);
	return m != NULL;
}

static bool
accepts_settings(const struct damage *d, struct diags *diags)
{
	struct settings_input input = {
		.source = {.file = "plugd.yaml", .text = d->text, .length = d->length},
		.dir = "/etc/plugd"};
	struct settings *parsed = settings_parse(&input, diags);

	settings_free(parsed);
	return parsed != NULL;
}

/* Damage of this kind that is none is tried again: the end of a text may be cut where it is whole.
 */
static void
damage_until_refused(struct damage *d, size_t kind, const char *file, accepts parse)
{
	for (int i = 0; i < TRIES; i++) {
		struct diags diags;
		bool accepted;

		*d->meant = '\0';
		d->length = strlen(d->whole);
		memcpy(d->text, d->whole, d->length + 1);
		kinds[kind].apply(d);
		diags_init(&diags);
		diags.in_force = IN_FORCE;
		accepted = parse(d, &diags);
		if (accepted != (diags.errors == 0))
			fail_msg("%s: %d and %zu errors:\n%s", kinds[kind].name, accepted,
				 diags.errors, d->text);
		if (!accepted)
			check_diags(d, kinds[kind].name, file, &diags);
		diags_fini(&diags);
		if (!accepted)
			return;
	}
	fail_msg("%s: is always accepted", kinds[kind].name);
}

static void
damage_all(const char *whole, const char *file, uint64_t seed, accepts parse)
{
	struct damage d = {.random = seed, .whole = whole};
	struct timespec start, now;
	struct diags diags;

	d.length = strlen(whole);
	memcpy(d.text, whole, d.length + 1);
	diags_init(&diags);
	parse(&d, &diags);
	assert_no_diag(&diags);
	diags_fini(&diags);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (size_t i = 0; i < DAMAGED; i++)
		damage_until_refused(&d, i % KINDS, file, parse);
	clock_gettime(CLOCK_MONOTONIC, &now);
	print_message("%d of %s in %ld s\n", DAMAGED, file, now.tv_sec - start.tv_sec);
}

static void
test_damaged_manifests(void **state)
{
	(void)state;
	damage_all(manifest, "plugin.yaml", 20250131, accepts_manifest);
}

static void
test_damaged_settings(void **state)
{
	(void)state;
	damage_all(settings, "plugd.yaml", 20250201, accepts_settings);
}

/* A message that fills the line loses its own end. */
static void
test_what_stays_in_force_is_never_cut(void **state)
{
	struct diag_pos pos = {.file = "plugin.yaml", .line = 1, .column = 1};
	char line[DIAG_LINE_BYTES], message[3 * DIAG_LINE_BYTES];
	struct diags diags;

	(void)state;
	memset(message, 'x', sizeof(message));
	message[sizeof(message) - 1] = '\0';
	diags_init(&diags);
	diags.in_force = IN_FORCE;
	diag_error(&diags, &pos, "%s", message);
	diag_format(diags.first, line, sizeof(line));
	assert_non_null(strstr(line, "xxx; " IN_FORCE));
	diags_fini(&diags);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged_manifests),
		cmocka_unit_test(test_damaged_settings),
		cmocka_unit_test(test_what_stays_in_force_is_never_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
