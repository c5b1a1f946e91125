#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/suggest.h"
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
	"provides: { shared: [text-generation, embedding], exclusive: [gpu] }\n"
	"requires:\n"
	"  host: '>=0.1, <2'\n"
	"  plugins: [\"tokenizer >=1.0 <2\", base]\n"
	"  programs: [ffmpeg, /usr/bin/env]\n"
	"  packages: [\"numpy >=1.26,<3\", PyYAML, \"pytz>2024.1\"]\n"
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
	"conflicts: [other]\n"
	"permissions: []\n"
	"environment: { python: requirements.txt }\n";

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
	assert_int_equal(m->requires.packages.count, 3);
	assert_string_equal(m->requires.packages.items[0].name, "numpy");
	assert_string_equal(m->requires.packages.items[0].text, "numpy >=1.26,<3");
	assert_int_equal(m->requires.packages.items[0].range.count, 2);
	assert_int_equal(m->requires.packages.items[0].pos.line, 20);
	assert_string_equal(m->requires.packages.items[1].name, "PyYAML");
	assert_int_equal(m->requires.packages.items[1].range.count, 0);
	assert_string_equal(m->requires.packages.items[2].name, "pytz");
	assert_int_equal(m->requires.packages.items[2].range.bounds[0].version.release[0], 2024);
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
	assert_int_equal(manifest_origin(m, "run.backoff.max")->line, 35);
	assert_string_equal(manifest_origin(m, "run.backoff.max")->file, "plugin.yaml");
	assert_null(manifest_origin(m, "run.user"));
	assert_string_equal(m->environment.python, "/plugins/echo/requirements.txt");
	assert_int_equal(m->environment.timeout_ms, 600000);
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
	{"environment: { python: /etc/hosts }\n",
	 "plugin.yaml:5:24: error: environment.python: is outside the plugin's folder"},
	{"environment: { python: ../r.txt }\n", "environment.python: is outside"},
	{"environment: { python: r.txt, timeout: 1ms }\n", "error: environment.timeout: expected"},
	{"versoin: 1\n",
	 "plugin.yaml:5:1: error: unknown key \"versoin\"; did you mean \"version\"?"},
	{"run: { instnces: 1 }\n",
	 "plugin.yaml:5:8: error: unknown key \"instnces\" in run; did you mean \"instances\"?"},
	{"run: { backoff: { mim: 1s } }\n",
	 "plugin.yaml:5:19: error: unknown key \"mim\" in run.backoff; did you mean \"min\"?"},
	{"xyzzy: 1\n",
	 "plugin.yaml:5:1: error: unknown key \"xyzzy\"; expected one of plugin, version, type"},
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
	{"requires: { packages: numpy }\n",
	 "requires.packages: expected a list such as [\"numpy >=1.26,<3\", pyyaml]; found "
	 "\"numpy\""},
	{"requires: { packages: [[a]] }\n",
	 "requires.packages: expected a Python package and a version range, such as \"numpy "
	 ">=1.26,<3\"; found a list"},
	{"requires: { packages: [\"\"] }\n", "expected a Python package and a version range"},
	{"requires: { packages: [\">=1\"] }\n", "expected a Python package and a version range"},
	{"requires: { packages: [\"a b\"] }\n",
	 "plugin.yaml:5:24: error: requires.packages: expected a Python package and a version "
	 "range, such as \"numpy >=1.26,<3\"; found \"a b\" (a number is missing before \"b\")"},
	{"requires: { packages: [\"a >=1.x\"] }\n", "(\".x\" is neither a bound nor a separator)"},
	{"requires: { packages: [\"a[x] >=1\"] }\n",
	 "found \"a[x] >=1\" (extras are not looked at: name what they bring as well)"},
	{"requires: { packages: [\"a; os_name == 'nt'\"] }\n", "(a number is missing before"},
	{"requires: { packages: [\"a @ https://a\"] }\n", "(a number is missing before"},
	{"requires: { packages: [ruamel.yaml, \"Ruamel_Yaml >1\"] }\n",
	 "\"ruamel.yaml\" is listed twice"},
	{"requires: { pakages: [a] }\n",
	 "unknown key \"pakages\" in requires; did you mean \"packages\"?"},
	{"provides: text\n", "provides: expected a list of capabilities"},
	{"provides: { shared: text }\n", "provides.shared: expected a list of names"},
	{"methods: [a]\n", "methods: expected a mapping"},
	{"methods: { \"a b\": }\n", "methods: expected a name of at most 63 letters"},
	{"methods: { a: { strem: true } }\n",
	 "unknown key \"strem\" in methods.a; did you mean \"stream\"?"},
	{"methods: { a: { timeout: 2d } }\n",
	 "methods.a.timeout: expected a duration from 0s to 1d"},
	{"methods: { a: 1 }\n", "methods.a: expected a mapping"},
	{"permissions: [root]\n",
	 "permissions: expected observe, admin, or \"call: NAME\"; found \"root\""},
	{"permissions: [amdin]\n", "did you mean \"admin\"?"},
	{"permissions: [call: A]\n", "permissions: expected a name of at most 63"},
	{"permissions: [\"call: a*\"]\n", "permissions: expected a name of at most 63"},
	{"permissions: [\"call:\"]\n", "permissions: expected a name of at most 63"},
	{"permissions: [{ call: a, observe: b }]\n", "permissions: expected observe, admin, or"},
	{"permissions: [observ]\n", "did you mean \"observe\"?"},
	{"permissions: [call: a, call: [a]]\n", "permissions: \"a\" is listed twice"},
	{"permissions: [admin, call: a]\n", "plugin.yaml:5:14: error: permissions: found admin, "
					    "which may call every plugin, and call"},
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
	{"conflicts: [a]\nrequires: { plugins: [a >=1] }\n",
	 "6:23: error: requires.plugins: found \"a\", with which it conflicts"},
	{"provides: { shared: [a, b], exclusive: [b] }\n",
	 "provides.exclusive: a capability is either shared or exclusive"},
	{"requires: { capabilities: [a, a] }\n", "\"a\" is listed twice"},
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

/* ---- permissions ---- */

static void
test_permissions(void **state)
{
	static const struct {
		const char *text;
		bool observe, admin, restricts;
		size_t count;
	} cases[] = {
		{"[]", false, false, false, 0},
		{"[observe]", true, false, false, 0},
		{"[admin]", false, true, false, 0},
		{"[admin, observe]", true, true, false, 0},
		{"[call: b]", false, false, true, 1},
		{"[\"call: b\", observe]", true, false, true, 1},
		{"[call: [b, c], call: d, \"call:e\"]", false, false, true, 4},
		{"[call: []]", false, false, true, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256];
		struct manifest *m;

		snprintf(text, sizeof(text), MINIMAL "permissions: %s\n", cases[i].text);
		m = must_parse(text);
		assert_int_equal(m->permissions.observe, cases[i].observe);
		assert_int_equal(m->permissions.admin, cases[i].admin);
		assert_int_equal(m->permissions.restricts_calls, cases[i].restricts);
		assert_int_equal(m->permissions.call.count, cases[i].count);
		if (cases[i].count)
			assert_string_equal(m->permissions.call.items[0], "b");
		if (cases[i].count == 4)
			assert_string_equal(m->permissions.call.items[3], "e");
		manifest_free(m);
	}
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
		TEST(test_permissions),
		TEST(test_the_documented_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
