/* What plugd.yaml lays over a manifest, and which plugd a manifest wants. */
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
		{"plugins: { echo: { permissions: [admn] } }",
		 "plugd.yaml:1:34: error: plugins.echo.permissions: expected observe, admin, or "
		 "\"call: NAME\"; found \"admn\"; did you mean \"admin\"?"},
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
		 "plugins.echo.methods: the manifest has no \"og\"; expected one that it has; did "
		 "you mean \"go\"?"},
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
	assert_diag(&diags,
		    "plugin.yaml:5:19: error: requires.host: expected plugd >=0.2 <1; found "
		    "plugd 0.1.9");
	manifest_free(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_override),
		TEST(test_bad_override),
		TEST(test_host_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
