#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/suggest.h"
#include "core/unsupported.h"
#include "support.h"

static struct diags diags;

static int
setup(void **state)
{
	(void)state;
	diags_init(&diags);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	diags_fini(&diags);
	return 0;
}

static struct manifest *
must_parse(const char *text)
{
	struct manifest *manifest = parse_manifest(text, &diags);

	assert_no_diag(&diags);
	assert_non_null(manifest);
	return manifest;
}

/* Every supported key of the format. */
static const char full[] =
	"plugin: gpt2\n"
	"version: 1.10.0-rc.1\n"
	"type: model\n"
	"exec: [./gpt2-plugin, --fast, data/x]\n"
	"description: GPT-2 text generation\n"
	"author: A. Author\n"
	"license: MIT\n"
	"homepage: https://example.org/gpt2\n"
	"repository: git@example.org:gpt2.git\n"
	"category: llm\n"
	"tags: [text, cpu]\n"
	"created: 2024-02-29\n"
	"updated: 2025-01-31T12:00:00Z\n"
	"priority: high\n"
	"provides: { shared: [text-generation, embedding], exclusive: [] }\n"
	"requires:\n"
	"  host: '>=0.1, <2'\n"
	"  plugins: [\"tokenizer >=1.0 <2\", base]\n"
	"  programs: [ffmpeg, /usr/bin/env]\n"
	"config:\n"
	"  model: { type: path, required: true }\n"
	"  device: { type: enum, values: [auto, cpu, cuda], default: auto }\n"
	"  max_batch_size: { type: int, min: 1, max: 1024, default: 32, live: true }\n"
	"  api_key: { type: string, secret: true }\n"
	"methods:\n"
	"  generate: { stream: true, idempotent: true, timeout: 30s, description: writes }\n"
	"  info:\n"
	"resources: {}\n"
	"run:\n"
	"  autostart: false\n"
	"  instances: 1\n"
	"  standby: 0\n"
	"  restart: always\n"
	"  backoff: { min: 0, max: 1m }\n"
	"  start_timeout: 2m\n"
	"  stop_timeout: 1500ms\n"
	"  watch: false\n"
	"  env: { OMP_NUM_THREADS: 2, EMPTY: }\n"
	"conflicts: []\n"
	"permissions: []\n";

static void
test_full_manifest(void **state)
{
	struct manifest *m = must_parse(full);
	const struct manifest_method *method;

	(void)state;
	assert_string_equal(m->plugin, "gpt2");
	assert_int_equal(m->version.number.minor, 10);
	assert_string_equal(m->version.number.pre, "rc.1");
	assert_string_equal(m->version.text, "1.10.0-rc.1");
	assert_int_equal(m->type, MANIFEST_MODEL);
	assert_int_equal(m->exec.count, 3);
	assert_string_equal(m->exec.items[0], "/plugins/echo/gpt2-plugin");
	assert_string_equal(m->exec.items[2], "data/x");
	assert_string_equal(m->license, "MIT");
	assert_string_equal(m->homepage, "https://example.org/gpt2");
	assert_string_equal(m->tags.items[1], "cpu");
	assert_string_equal(m->created, "2024-02-29");
	assert_int_equal(m->priority, 750);
	assert_int_equal(m->provides.shared.count, 2);
	assert_int_equal(m->requires.plugins.count, 2);
	assert_string_equal(m->requires.plugins.items[0].name, "tokenizer");
	assert_int_equal(m->requires.plugins.items[0].range.count, 2);
	assert_int_equal(m->requires.plugins.items[0].pos.line, 18);
	assert_int_equal(m->requires.plugins.items[1].range.count, 0);
	assert_string_equal(m->requires.programs.items[1], "/usr/bin/env");
	assert_int_equal(m->config.count, 4);
	assert_int_equal(m->methods.count, 2);
	method = manifest_method(m, "generate");
	assert_true(method->stream && method->idempotent);
	assert_int_equal(method->timeout_ms, 30000);
	assert_string_equal(method->description, "writes");
	assert_int_equal(manifest_method(m, "info")->timeout_ms, 0);
	assert_null(manifest_method(m, "nope"));
	assert_false(m->run.autostart);
	assert_int_equal(m->run.restart, RESTART_ALWAYS);
	assert_int_equal(m->run.backoff.min_ms, 0);
	assert_int_equal(m->run.backoff.max_ms, 60000);
	assert_int_equal(m->run.stop_timeout_ms, 1500);
	assert_int_equal(m->run.env.count, 2);
	assert_string_equal(m->run.env.items[0].name, "OMP_NUM_THREADS");
	assert_string_equal(m->run.env.items[0].value, "2");
	assert_string_equal(m->run.env.items[1].value, "");
	assert_int_equal(manifest_origin(m, "run.backoff.max")->line, 34);
	assert_string_equal(manifest_origin(m, "run.backoff.max")->file, "plugin.yaml");
	assert_null(manifest_origin(m, "run.user"));
	manifest_free(m);
}

static void
test_defaults(void **state)
{
	struct manifest *m = must_parse(MINIMAL);

	(void)state;
	assert_int_equal(m->priority, 500);
	assert_true(m->run.autostart);
	assert_int_equal(m->run.instances, 1);
	assert_int_equal(m->run.standby, 0);
	assert_int_equal(m->run.restart, RESTART_ON_FAILURE);
	assert_int_equal(m->run.backoff.min_ms, 100);
	assert_int_equal(m->run.backoff.max_ms, 30000);
	assert_int_equal(m->run.start_timeout_ms, 60000);
	assert_int_equal(m->run.stop_timeout_ms, 10000);
	assert_null(m->run.user);
	assert_null(m->description);
	assert_null(m->probe.method);
	assert_int_equal(m->resources.memory_mb, 0);
	assert_int_equal(m->methods.count, 0);
	manifest_free(m);
}

static void
test_exec(void **state)
{
	static const struct {
		const char *exec, *program;
	} cases[] = {
		{"exec: [./a]", "/plugins/echo/a"},
		{"exec: [bin/a]", "/plugins/echo/bin/a"},
		{"exec: [../b/a]", "/plugins/echo/../b/a"},
		{"exec: [/usr/bin/a]", "/usr/bin/a"},
		{"exec: [python3, ./x.py]", "python3"},
	};
	struct manifest *m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256];

		snprintf(text, sizeof(text), "plugin: a\nversion: 1.0.0\ntype: feature\n%s\n",
			 cases[i].exec);
		m = must_parse(text);
		assert_string_equal(m->exec.items[0], cases[i].program);
		manifest_free(m);
	}
}

/* Text that is added to MINIMAL, and a part of the line that it must give. */
static const struct {
	const char *more, *line;
} bad[] = {
	{"versoin: 1\n",
	 "plugin.yaml:5:1: error: unknown key \"versoin\"; did you mean \"version\"?"},
	{"run: { instnces: 1 }\n",
	 "plugin.yaml:5:8: error: unknown key \"instnces\" in run; did you mean \"instances\"?"},
	{"run: { backoff: { mim: 1s } }\n",
	 "plugin.yaml:5:19: error: unknown key \"mim\" in run.backoff; did you mean \"min\"?"},
	{"xyzzy: 1\n", "plugin.yaml:5:1: error: unknown key \"xyzzy\"\n"},
	{"run: { restart: alway }\n",
	 "plugin.yaml:5:17: error: run.restart: expected one of always, on-failure, never; found "
	 "\"alway\"; did you mean \"always\"?"},
	{"run: { instances: two }\n",
	 "error: run.instances: expected a whole number from 1 to 64; found \"two\""},
	{"run: { instances: 65 }\n", "expected a whole number from 1 to 64; found \"65\""},
	{"run: { instances: 1.0 }\n", "expected a whole number from 1 to 64; found \"1.0\""},
	{"run: { instances: 01 }\n", "expected a whole number from 1 to 64; found \"01\""},
	{"run: { instances: \"1\" }\n", "found \"1\" (in quotes it is text)"},
	{"run: { instances: 99999999999999999999 }\n", "expected a whole number from 1 to 64"},
	{"run: { autostart: yes }\n", "run.autostart: expected true or false; found \"yes\""},
	{"run: { autostart: \"true\" }\n", "found \"true\" (in quotes it is text)"},
	{"run: { start_timeout: 30 }\n",
	 "run.start_timeout: expected a duration from 1ms to 1d, such as 500ms, 30s or 5m; found "
	 "\"30\" (it has no unit)"},
	{"run: { start_timeout: 30 seconds }\n", "(its unit is not known)"},
	{"run: { start_timeout: 0s }\n", "expected a duration from 1ms to 1d"},
	{"run: { start_timeout: 2d }\n", "expected a duration from 1ms to 1d"},
	{"run: { start_timeout: 500us }\n", "(whole milliseconds only)"},
	{"run: { start_timeout: 99999999999d }\n", "(it is too large)"},
	{"run: { backoff: { min: 10s, max: 1s } }\n",
	 "plugin.yaml:5:34: error: run.backoff.max: backoff.min is longer than backoff.max"},
	{"run: { backoff: { min: 1m } }\n",
	 "plugin.yaml:5:24: error: run.backoff.min: backoff.min is longer than backoff.max"},
	{"run: { env: { 1A: x } }\n", "expected the name of an environment variable"},
	{"run: { env: { A: [x] } }\n", "run.env.A: expected text; found a list"},
	{"run: { env: [A=1] }\n", "run.env: expected a mapping"},
	{"run: []\n", "run: expected a mapping (key: value); found a list"},
	{"run: fast\n", "run: expected a mapping (key: value); found \"fast\""},
	{"run: { user: [x] }\n",
	 "run.user: expected non-empty text of at most 32 bytes; found a list"},
	{"homepage: example.org\n", "an address that begins with https://"},
	{"homepage: \"https://a b\"\n", "an address that begins with https://"},
	{"created: yesterday\n", "created: expected a date such as"},
	{"created: 2024-13-01\n", "created: expected a date such as"},
	{"created: 2024-01-32\n", "created: expected a date such as"},
	{"tags: text\n",
	 "tags: expected a list of names, 0 to 32 entries; found \"text\" (a list is "
	 "written [a, b])"},
	{"tags: [a, b, a]\n", "plugin.yaml:5:14: error: tags[2]: \"a\" is listed twice"},
	{"tags: [a, [b]]\n", "tags[1]: expected a name"},
	{"tags: [a, \"\"]\n", "tags[1]: expected a name"},
	{"priority: 1000\n", "priority: expected low (250), normal (500)"},
	{"priority: -1\n", "priority: expected low (250), normal (500)"},
	{"priority: urgent\n", "or a whole number from 0 to 999; found \"urgent\""},
	{"requires: { host: latest }\n", "requires.host: expected a version range such as"},
	{"requires: { plugins: [\"a >>1\"] }\n",
	 "requires.plugins: expected a plugin and a version range"},
	{"requires: { plugins: [\"A >1\"] }\n",
	 "requires.plugins: expected a plugin and a version range"},
	{"requires: { plugins: [\"\"] }\n",
	 "requires.plugins: expected a plugin and a version range"},
	{"requires: { plugins: [a, \"a >1\"] }\n", "\"a\" is listed twice"},
	{"requires: { plugins: [echo] }\n",
	 "plugin.yaml:5:23: error: requires.plugins: \"echo\" cannot require itself"},
	{"requires: { plugin: [a] }\n",
	 "unknown key \"plugin\" in requires; did you mean \"plugins\"?"},
	{"provides: text\n", "provides: expected a list of capabilities"},
	{"provides: { shared: text }\n", "provides.shared: expected a list of names"},
	{"methods: [a]\n", "methods: expected a mapping"},
	{"methods: { \"a b\": }\n", "methods: expected a name of at most 63 letters"},
	{"methods: { a: { strem: true } }\n",
	 "unknown key \"strem\" in methods.a; did you mean \"stream\"?"},
	{"methods: { a: { timeout: 2d } }\n",
	 "methods.a.timeout: expected a duration from 0s to 1d"},
	{"methods: { a: 1 }\n", "methods.a: expected a mapping"},
	{"permissions: [root]\n", "permissions: expected admin, or \"call: NAME\"; found \"root\""},
	{"permissions: [amdin]\n", "did you mean \"admin\"?"},
	{"permissions: [call: A]\n", "permissions: expected a name of at most 63"},
	{"permissions: admin\n", "permissions: expected a list"},
	{"probe: { interval: 30s }\n", "probe: missing key \"method\""},
	{"probe: { method: a, interval: 1s, timeout: 2s }\n",
	 "probe.timeout is longer than probe.interval"},
	{"resources: { memory_mb: 0 }\n", "resources.memory_mb: expected a whole number from 1 to"},
	{"resources: { cpu: 0 }\n",
	 "resources.cpu: expected a number from 0.01 to 4096; found \"0\""},
	{"resources: { cpu: nan }\n", "resources.cpu: expected a number"},
	{"resources: { cpu: 1e }\n", "resources.cpu: expected a number"},
	{"resources: { cpus: 1 }\n", "unknown key \"cpus\" in resources; did you mean \"cpu\"?"},
	{"conflicts: [echo]\n", "conflicts: a plugin cannot conflict with itself"},
	{"author: {}\n", "author: expected text of at most 256 bytes; found a mapping"},
	{"author:\n", "author: expected text of at most 256 bytes; found nothing"},
	{"type: model\n", "key \"type\" again; it is already at line 3"},
};

static void
test_bad_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[1024];

		diags_fini(&diags);
		snprintf(text, sizeof(text), MINIMAL "%s", bad[i].more);
		if (parse_manifest(text, &diags))
			fail_msg("accepted: %s", bad[i].more);
		assert_places(&diags);
		assert_diag(&diags, bad[i].line);
	}
}

static void
test_missing_keys_are_all_named(void **state)
{
	static const char *const lines[] = {
		"plugin.yaml:1:1: error: missing key \"plugin\": expected a name",
		"plugin.yaml:1:1: error: missing key \"version\": expected a semantic version",
		"plugin.yaml:1:1: error: missing key \"type\": expected one of model,",
		"plugin.yaml:1:1: error: missing key \"exec\": expected a list of text",
	};

	(void)state;
	assert_null(parse_manifest("", &diags));
	assert_int_equal(diags.errors, 4);
	for (size_t i = 0; i < 4; i++)
		assert_diag(&diags, lines[i]);
	diags_fini(&diags);
	assert_null(parse_manifest("- a\n- b\n", &diags));
	assert_diag(&diags,
		    "plugin.yaml:1:1: error: expected a mapping (key: value); found a list");
	diags_fini(&diags);
	assert_null(
		parse_manifest("plugin: Echo\nversion: 1.2\ntype: modle\nexec: ./echo\n", &diags));
	assert_int_equal(diags.errors, 4);
	assert_diag(&diags, "1:9: error: plugin: expected a name of at most 63 a-z, 0-9 and -");
	assert_diag(
		&diags,
		"2:10: error: version: expected a semantic version such as 1.2.0; found \"1.2\" "
		"(it has 2 of the three parts MAJOR.MINOR.PATCH)");
	assert_diag(
		&diags,
		"3:7: error: type: expected one of model, device, interface, provider, "
		"optimization, feature, memory, gateway; found \"modle\"; did you mean \"model\"?");
	assert_diag(&diags,
		    "4:7: error: exec: expected a list of text, 1 to 64 entries; found \"./echo\" "
		    "(a list is written [a, b])");
}

/* ---- not supported yet ---- */

static const struct {
	const char *more, *line;
} unsupported[] = {
	{"run: { instances: 2 }\n", "plugin.yaml:5:19: error: not supported yet: run.instances "
				    "(more than one instance of a plugin): "
				    "found \"2\"; for now write 1 or leave it out"},
	{"run: { standby: 1 }\n", "not supported yet: run.standby (standby instances)"},
	{"run: { watch: true }\n", "not supported yet: run.watch"},
	{"run: { user: nobody }\n", "not supported yet: run.user (running as another user): found "
				    "\"nobody\"; for now leave it out"},
	{"resources: { memory_mb: 1 }\n", "not supported yet: resources (resource limits)"},
	{"resources: { cpu: 1 }\n", "not supported yet: resources (resource limits)"},
	{"resources: { pids: 64 }\n", "not supported yet: resources (resource limits)"},
	{"resources: { open_files: 64 }\n", "not supported yet: resources (resource limits)"},
	{"probe: { method: a }\n", "not supported yet: probe (health probes)"},
	{"conflicts: [other]\n", "not supported yet: conflicts"},
	{"provides: { exclusive: [gpu] }\n", "not supported yet: provides.exclusive"},
	{"permissions: [admin]\n", "not supported yet: permissions"},
	{"permissions: [call: [a, b]]\n", "not supported yet: permissions"},
};

static void
test_unsupported_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
		char text[1024];

		diags_fini(&diags);
		snprintf(text, sizeof(text), MINIMAL "%s", unsupported[i].more);
		assert_null(parse_manifest(text, &diags));
		assert_int_equal(diags.errors, 1);
		assert_places(&diags);
		assert_diag(&diags, unsupported[i].line);
	}
}

/* A row whose path nothing has would never refuse anything; and every row is tried above. */
static void
test_unsupported_rows_name_keys(void **state)
{
	(void)state;
	for (const struct field_unsupported *row = unsupported_in_manifest; row->path; row++) {
		char needle[128];
		bool tried = false;

		if (strcmp(row->path, "provides.exclusive") &&
		    !fields_find(&manifest_table, row->path))
			fail_msg("%s is no key", row->path);
		snprintf(needle, sizeof(needle), "not supported yet: %s", row->path);
		for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
			tried = tried || strstr(unsupported[i].line, needle);
		if (!tried)
			fail_msg("%s has no case", row->path);
	}
}

/* ---- the tables themselves ---- */

static void
check_table(const struct field_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		char expected[FIELD_TEXT_BYTES] = "";

		assert_true(field->offset + field->size <= table->size);
		if (field->type->size && field->size != field->type->size)
			fail_msg("%s: %zu bytes for a %s", field->key, field->size,
				 field->type->name);
		if (field->type == &field_section)
			assert_int_equal(field->size, field->table->size);
		assert_non_null(field->help);
		assert_true(strlen(field->help) > 4 && strchr(field->help, '.'));
		field->type->expect(field, expected);
		assert_true(strlen(expected) > 3);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(field->key, table->fields[j].key);
		if (field->table)
			check_table(field->table);
	}
}

static void
test_rows_fit_their_structs(void **state)
{
	(void)state;
	check_table(&manifest_table);
	check_table(&settings_table);
	check_table(&schema_key_table);
}

/* Nest `value` below the dotted `path`: "a.b" and x give "{a: {b: x}}". */
static void
nest(char *text, size_t size, const char *path, const char *value)
{
	size_t length = strcspn(path, "."), used;

	used = (size_t)snprintf(text, size, "{%.*s: ", (int)length, path);
	if (path[length])
		nest(text + used, size - used, path + length + 1, value);
	else
		snprintf(text + used, size - used, "%s", value);
	strcat(text, "}");
}

/* A list in a list, and a list of mappings: nothing accepts them, not even lists. */
static const char *const wrong_for_all[] = {"[[x]]", "[{x: y}]", "[~]"};

/* Give every key, of every depth, a value of a type that it cannot have. */
static size_t
check_wrong_types(const struct field_table *table, const char *prefix, const char *file,
		  bool (*accepts)(const char *text))
{
	size_t tried = 0;

	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		char path[256], text[512], at[300];

		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", field->key);
		for (size_t w = 0; w < 3; w++) {
			diags_fini(&diags);
			nest(text, sizeof(text), path, wrong_for_all[w]);
			if (accepts(text))
				fail_msg("%s accepted %s", path, text);
			assert_places(&diags);
			snprintf(at, sizeof(at), "%s", path);
			assert_diag(&diags, at);
			assert_diag(&diags, file);
			tried++;
		}
		if (field->type == &field_section)
			tried += check_wrong_types(field->table, path, file, accepts);
		if (field->type == &field_entries) {
			strcat(path, ".some");
			tried += check_wrong_types(field->table, path, file, accepts);
		}
	}
	return tried;
}

static bool
manifest_accepts(const char *text)
{
	struct manifest *m = parse_manifest(text, &diags);

	manifest_free(m);
	return m != NULL;
}

static bool
settings_accept(const char *text)
{
	struct settings *settings = parse_settings(text, &diags);

	settings_free(settings);
	return settings != NULL;
}

static bool
schema_accepts(const char *text)
{
	char manifest[1024];

	/* a declaration needs a type before the rest of it means anything */
	snprintf(manifest, sizeof(manifest), MINIMAL "config: {key: {%s%s}\n",
		 strstr(text, "type") ? "" : "type: list, ", text + 1);
	return manifest_accepts(manifest);
}

static void
test_every_key_refuses_wrong_types(void **state)
{
	(void)state;
	assert_true(check_wrong_types(&manifest_table, "", "plugin.yaml", manifest_accepts) > 100);
	assert_true(check_wrong_types(&settings_table, "", "plugd.yaml", settings_accept) > 60);
	assert_true(check_wrong_types(&schema_key_table, "", "plugin.yaml", schema_accepts) > 20);
}

/* One letter changed, dropped or swapped: the key that was meant is named. */
static void
check_misspellings(const struct field_table *table, const char *prefix,
		   bool (*accepts)(const char *text))
{
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		char key[80], path[256], text[512], hint[128];

		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", field->key);
		if (field->type == &field_section)
			check_misspellings(field->table, path, accepts);
		snprintf(key, sizeof(key), "%sq", field->key);
		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", key);
		nest(text, sizeof(text), path, "1");
		diags_fini(&diags);
		assert_false(accepts(text));
		snprintf(hint, sizeof(hint), "unknown key \"%s\"", key);
		assert_diag(&diags, hint);
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", field->key);
		assert_diag(&diags, hint);
	}
}

static void
test_every_key_is_suggested(void **state)
{
	(void)state;
	check_misspellings(&manifest_table, "", manifest_accepts);
	check_misspellings(&settings_table, "", settings_accept);
}

/* ---- plugd.yaml over a manifest ---- */

static struct manifest *
parse_with(const char *manifest, const char *plugd_yaml)
{
	struct settings *settings = parse_settings(plugd_yaml, &diags);
	struct manifest_input input = {.source = text_source("plugin.yaml", manifest),
				       .dir = "/plugins/echo"};
	struct manifest *m;

	if (!settings)
		return NULL;
	input.override = settings_override(settings, "echo");
	m = manifest_parse(&input, &diags);
	settings_free(settings); /* the manifest keeps nothing of it */
	return m;
}

static const char base[] = MINIMAL "config: { size: { type: int, min: 1, max: 9, default: 3 },\n"
				   "  file: { type: path }, key: { type: string, secret: true } }\n"
				   "methods: { go: { timeout: 1s } }\n"
				   "run: { env: { A: 1, B: 2 }, stop_timeout: 3s }\n";

static void
test_override(void **state)
{
	struct manifest *m =
		parse_with(base, "plugins:\n  other: {}\n  echo:\n    priority: 7\n    run:\n"
				 "      autostart: false\n      env: { B: 3, C: 4 }\n"
				 "    methods: { go: { timeout: 5s } }\n"
				 "    config: { size: 8, file: data }\n");

	(void)state;
	assert_no_diag(&diags);
	assert_int_equal(m->priority, 7);
	assert_false(m->run.autostart);
	assert_int_equal(m->run.stop_timeout_ms, 3000);
	assert_int_equal(m->run.env.count, 3);
	assert_string_equal(m->run.env.items[0].value, "1");
	assert_string_equal(m->run.env.items[1].value, "3");
	assert_string_equal(m->run.env.items[2].name, "C");
	assert_int_equal(manifest_method(m, "go")->timeout_ms, 5000);
	assert_int_equal(schema_find(&m->config, "size")->configured.integer, 8);
	assert_int_equal(schema_find(&m->config, "size")->configured_at.line, 9);
	assert_string_equal(schema_find(&m->config, "file")->configured.text, "/plugins/echo/data");
	assert_string_equal(manifest_origin(m, "run.autostart")->file, "plugd.yaml");
	assert_int_equal(manifest_origin(m, "run.autostart")->line, 6);
	assert_string_equal(manifest_origin(m, "run.stop_timeout")->file, "plugin.yaml");
	manifest_free(m);
}

static void
test_bad_override(void **state)
{
	static const struct {
		const char *plugd_yaml, *line;
	} cases[] = {
		{"plugins: { echo: { run: { instances: 2 } } }",
		 "plugd.yaml:1:38: error: not supported yet: plugins.echo.run.instances"},
		{"plugins: { echo: { probe: { interval: 1s } } }",
		 "not supported yet: plugins.echo.probe (health probes)"},
		{"plugins: { echo: { plugin: other } }",
		 "plugd.yaml:1:20: error: plugins.echo: \"plugin\" belongs to the plugin's "
		 "manifest"},
		{"plugins: { echo: { exec: [x] } }", "\"exec\" belongs to the plugin's manifest"},
		{"plugins: { echo: { rum: {} } }",
		 "unknown key \"rum\" in plugins.echo; did you mean \"run\"?"},
		{"plugins: { echo: { run: { restart: no } } }",
		 "plugins.echo.run.restart: expected one of always"},
		{"plugins: { echo: { config: { sise: 1 } } }",
		 "plugd.yaml:1:30: error: unknown config key \"sise\"; did you mean \"size\"?"},
		{"plugins: { echo: { config: { size: 10 } } }",
		 "plugd.yaml:1:36: error: plugins.echo.config.size: expected a whole number from 1 "
		 "to 9; "
		 "found \"10\""},
		{"plugins: { echo: { config: { key: [hunter2] } } }",
		 "plugins.echo.config.key: expected text; found a list"},
		{"plugins: { echo: { config: [a] } }", "plugins.echo.config: expected a mapping"},
		{"plugins: { echo: { methods: { og: {} } } }",
		 "plugins.echo.methods: the manifest has no \"og\"; did you mean \"go\"?"},
		{"plugins: { echo: { methods: { go: { timeout: x } } } }",
		 "plugins.echo.methods.go.timeout: expected a duration"},
		{"plugins: { echo: { run: { backoff: { min: 1h } } } }",
		 "plugd.yaml:1:43: error: run.backoff.min: backoff.min is longer than backoff.max"},
		{"plugins: { Echo: {} }", "plugins: expected a name of at most 63 a-z"},
		{"plugins: { echo: 1 }", "plugins.echo: expected a mapping"},
		{"plugins: [echo]", "plugins: expected a mapping"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		diags_fini(&diags);
		if (parse_with(base, cases[i].plugd_yaml))
			fail_msg("accepted: %s", cases[i].plugd_yaml);
		assert_places(&diags);
		assert_diag(&diags, cases[i].line);
	}
}

static void
test_host_version(void **state)
{
	struct manifest *m = must_parse(MINIMAL "requires: { host: \">=0.2 <1\" }\n");

	(void)state;
	assert_true(manifest_fits_host(m, "0.2.0", &diags));
	assert_no_diag(&diags);
	assert_false(manifest_fits_host(m, "0.1.9", &diags));
	assert_diag(&diags, "plugin.yaml:5:19: error: requires.host: needs plugd >=0.2 <1; this is "
			    "plugd 0.1.9");
	manifest_free(m);
}

/* ---- names: the longest that fits, one byte more, and odd ends ---- */

static bool
accepts_name(const char *format, char fill, size_t length)
{
	char name[300], text[1024];

	memset(name, fill, length);
	name[length] = '\0';
	snprintf(text, sizeof(text), format, name);
	diags_fini(&diags);
	return manifest_accepts(text);
}

static void
test_lengths_of_names(void **state)
{
	static const struct {
		const char *format;
		size_t longest;
	} cases[] = {
		{"plugin: %s\nversion: 1.0.0\ntype: feature\nexec: [x]\n", 63},
		{MINIMAL "tags: [%s]\n", 63},
		{MINIMAL "methods: { %s: }\n", 63},
		{MINIMAL "config: { %s: { type: int } }\n", 63},
		{MINIMAL "requires: { plugins: [\"%s >1\"] }\n", 63},
		{MINIMAL "run: { env: { %s: x } }\n", 255},
		{MINIMAL "author: %s\n", 256},
		{"plugin: a\nversion: 1.0.0-%s\ntype: feature\nexec: [x]\n", 47},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(accepts_name(cases[i].format, 'a', 1));
		assert_true(accepts_name(cases[i].format, 'a', cases[i].longest));
		assert_false(accepts_name(cases[i].format, 'a', cases[i].longest + 1));
		assert_places(&diags);
	}
}

static void
test_odd_names(void **state)
{
	static const char *const refused[] = {"-a", "a-", "\"-\"", "a_b", "a.b", "A", "ä", "\"\""};
	static const char *const fine[] = {"a-b", "1", "0-0", "a--b"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		snprintf(text, sizeof(text),
			 "plugin: %s\nversion: 1.0.0\ntype: feature\nexec: [x]\n", refused[i]);
		assert_false(manifest_accepts(text));
		assert_diag(&diags,
			    "plugin.yaml:1:9: error: plugin: expected a name of at most 63");
		diags_fini(&diags);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		snprintf(text, sizeof(text),
			 "plugin: %s\nversion: 1.0.0\ntype: feature\nexec: [x]\n", fine[i]);
		assert_true(manifest_accepts(text));
	}
}

static void
test_priorities(void **state)
{
	static const struct {
		const char *text;
		int64_t value; /* -1: refused */
	} cases[] = {
		{"0", 0},          {"999", 999}, {"low", 250}, {"normal", 500}, {"high", 750},
		{"critical", 999}, {"1000", -1}, {"-1", -1},   {"5x", -1},      {"\"5\"", -1},
		{"5.0", -1},       {"+5", -1},   {"", -1},     {"High", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256];
		struct manifest *m;

		diags_fini(&diags);
		snprintf(text, sizeof(text), MINIMAL "priority: %s\n", cases[i].text);
		m = parse_manifest(text, &diags);
		if (!m != (cases[i].value < 0))
			fail_msg("priority: %s", cases[i].text);
		if (m)
			assert_int_equal(m->priority, cases[i].value);
		manifest_free(m);
	}
}

static void
test_words_of_numbers(void **state)
{
	(void)state;
	assert_string_equal(manifest_type_name(MANIFEST_MODEL), "model");
	assert_string_equal(manifest_type_name(MANIFEST_GATEWAY), "gateway");
	assert_string_equal(manifest_type_name(MANIFEST_TYPE_COUNT), "unknown");
	assert_string_equal(manifest_type_name(-1), "unknown");
	assert_string_equal(manifest_restart_name(RESTART_ALWAYS), "always");
	assert_string_equal(manifest_restart_name(RESTART_NEVER), "never");
	assert_string_equal(manifest_restart_name(RESTART_NEVER + 1), "unknown");
	assert_string_equal(manifest_restart_name(-1), "unknown");
}

/* ---- the reference page ---- */

static char *
read_file(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = calloc(1, 65536);

	if (!in || !text)
		fail_msg("%s cannot be read", path);
	assert_in_range(fread(text, 1, 65535, in), 1, 65534);
	fclose(in);
	return text;
}

static void
test_the_documented_example(void **state)
{
	char *page = read_file("../../../docs/manifest.md");
	char *example = strstr(page, "```yaml\n"), *end;

	(void)state;
	assert_non_null(example);
	example += strlen("```yaml\n");
	end = strstr(example, "```");
	assert_non_null(end);
	*end = '\0';
	manifest_free(must_parse(example));
	free(page);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_full_manifest),
		TEST(test_defaults),
		TEST(test_exec),
		TEST(test_bad_values),
		TEST(test_missing_keys_are_all_named),
		TEST(test_unsupported_is_refused),
		TEST(test_unsupported_rows_name_keys),
		TEST(test_rows_fit_their_structs),
		TEST(test_every_key_refuses_wrong_types),
		TEST(test_every_key_is_suggested),
		TEST(test_override),
		TEST(test_bad_override),
		TEST(test_host_version),
		TEST(test_lengths_of_names),
		TEST(test_odd_names),
		TEST(test_priorities),
		TEST(test_words_of_numbers),
		TEST(test_the_documented_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
