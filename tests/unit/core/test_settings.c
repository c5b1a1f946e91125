#include <stdio.h>
#include <string.h>

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

static void
check_defaults(const struct settings *s)
{
	assert_int_equal(s->plugin_dirs.count, 0);
	assert_null(s->runtime_dir);
	assert_null(s->log.dir);
	assert_int_equal(s->log.level, LOG_INFO);
	assert_int_equal(s->log.format, LOG_TEXT);
	assert_int_equal(s->log.max_bytes, 10 * 1024 * 1024);
	assert_int_equal(s->limits.clients, 256);
	assert_int_equal(s->limits.call_bytes, 16 * 1024 * 1024);
	assert_int_equal(s->limits.channels_per_client, 64);
	assert_int_equal(s->limits.channels_per_instance, 64);
	assert_int_equal(s->limits.channel_bytes, 1024 * 1024);
	assert_int_equal(s->limits.log_ring_bytes, 64 * 1024);
	assert_null(s->store.dir);
	assert_null(s->store.keys);
	assert_false(s->store.require_signature);
	assert_false(s->watch);
	assert_null(settings_override(s, "echo"));
}

static void
test_empty_file_is_the_default(void **state)
{
	struct settings *empty = parse_settings("# nothing\n", &diags), *none = settings_default();

	(void)state;
	assert_no_diag(&diags);
	check_defaults(empty);
	check_defaults(none);
	assert_null(none->file);
	settings_free(empty);
	settings_free(none);
	settings_free(NULL);
}

static void
test_full_file(void **state)
{
	struct settings *s =
		parse_settings("plugin_dirs: [plugins, /opt/plugins]\n"
			       "runtime_dir: /run/x\n"
			       "state_dir: ../state\n"
			       "log:\n"
			       "  level: debug\n"
			       "  format: json\n"
			       "  dir: logs\n"
			       "  max_bytes: 1MiB\n"
			       "  files: 0\n"
			       "limits: { clients: 3, clients_per_uid: 1, calls_per_client: 5,\n"
			       "  client_queue_bytes: 1MiB, call_bytes: 64KiB,\n"
			       "  log_ring_bytes: 32KiB, plugins: 10 }\n"
			       "store: { dir: st, keys: /k, require_signature: true }\n"
			       "watch: false\n"
			       "load_order: [device, model]\n"
			       "watch_delay: 2s\n"
			       "autostart: false\n"
			       "allow_unsafe: false\n"
			       "metrics: false\n"
			       "plugins: { echo: { priority: low }, other: }\n"
			       "models: {}\n",
			       &diags);

	(void)state;
	assert_no_diag(&diags);
	assert_string_equal(s->plugin_dirs.items[0], "/etc/plugd/plugins");
	assert_string_equal(s->plugin_dirs.items[1], "/opt/plugins");
	assert_string_equal(s->runtime_dir, "/run/x");
	assert_string_equal(s->state_dir, "/etc/plugd/../state");
	assert_int_equal(s->log.level, LOG_DEBUG);
	assert_int_equal(s->log.format, LOG_JSON);
	assert_string_equal(s->log.dir, "/etc/plugd/logs");
	assert_int_equal(s->log.max_bytes, 1024 * 1024);
	assert_int_equal(s->log.files, 0);
	assert_int_equal(s->limits.clients, 3);
	assert_int_equal(s->limits.clients_per_uid, 1);
	assert_int_equal(s->limits.calls_per_client, 5);
	assert_int_equal(s->limits.client_queue_bytes, 1024 * 1024);
	assert_int_equal(s->limits.call_bytes, 65536);
	assert_int_equal(s->limits.log_ring_bytes, 32768);
	assert_int_equal(s->limits.plugins, 10);
	assert_string_equal(s->store.dir, "/etc/plugd/st");
	assert_string_equal(s->store.keys, "/k");
	assert_true(s->store.require_signature);
	assert_string_equal(s->load_order.items[1], "model");
	assert_int_equal(s->watch_delay_ms, 2000);
	assert_false(s->autostart);
	assert_int_equal(s->plugins.count, 2);
	assert_string_equal(settings_override(s, "echo")->path, "plugins.echo");
	assert_non_null(settings_override(s, "other"));
	assert_null(settings_override(s, "third"));
	assert_int_equal(settings_origin(s, "log.level")->line, 5);
	assert_string_equal(settings_origin(s, "log.level")->file, "plugd.yaml");
	assert_null(settings_origin(s, "log.levels"));
	settings_free(s);
}

static const struct {
	const char *text, *line;
} bad[] = {
	{"plugin_dir: [x]", "plugd.yaml:1:1: error: unknown key \"plugin_dir\"; did you mean "
			    "\"plugin_dirs\"?"},
	{"plugin_dirs: x", "plugin_dirs: expected a list of paths, 0 to 64 entries; found \"x\""},
	{"plugin_dirs: [\"\"]", "plugin_dirs[0]: expected a path"},
	{"log: { level: warning }", "log.level: expected one of debug, info, warn, error; found "
				    "\"warning\"; did you mean \"warn\"?"},
	{"log: { max_bytes: 1 }",
	 "log.max_bytes: expected a size from 4KiB to 64GiB, such as 64KiB or "
	 "1GiB; found \"1\""},
	{"log: { files: -1 }", "log.files: expected a whole number from 0 to 100; found \"-1\""},
	{"limits: { clients: 0 }", "limits.clients: expected a whole number from 1 to 65536"},
	{"limits: { call_bytes: 1TiB }", "limits.call_bytes: expected a size from 64KiB to 1GiB"},
	{"limits: { client: 1 }", "unknown key \"client\" in limits; did you mean \"clients\"?"},
	{"watch_delay: 1ms", "watch_delay: expected a duration from 50ms to 1h"},
	{"load_order: [model, model]", "load_order[1]"},
	{"load_order: [models]", "load_order[0]: expected one of model, device"},
	{"models: { a: { port: 70000 } }",
	 "models.a.port: expected a whole number from 1 to 65535"},
	{"models: { a: { schemes: [{ memory: 1 }] } }",
	 "unknown key \"memory\" in models.a.schemes[0]"},
	{"models: { a: { schemes: [x] } }", "models.a.schemes[0]: expected a mapping"},
	{"models: { a: { alias: [x] } }", "did you mean \"aliases\"?"},
	{"plugins: { echo: { config: 3 } }", "plugins.echo.config: expected a mapping"},
	{"plugins: { echo: { run: { env: 3 } } }", "plugins.echo.run.env: expected a mapping"},
	{"plugins: { echo: { version: 1.0.0 } }", "belongs to the plugin's manifest"},
	{"- a", "plugd.yaml:1:1: error: expected a mapping (key: value); found a list"},
};

static void
test_bad_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		diags_fini(&diags);
		if (parse_settings(bad[i].text, &diags))
			fail_msg("accepted: %s", bad[i].text);
		assert_places(&diags);
		assert_diag(&diags, bad[i].line);
	}
}

static const struct {
	const char *text, *line;
} unsupported[] = {
	{"metrics: true",
	 "plugd.yaml:1:10: error: not supported yet: metrics (a metrics endpoint): "
	 "found \"true\"; expected false, or that it is left out"},
};

static void
test_unsupported_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
		diags_fini(&diags);
		assert_null(parse_settings(unsupported[i].text, &diags));
		assert_int_equal(diags.errors, 1);
		assert_diag(&diags, unsupported[i].line);
	}
}

static void
test_unsupported_rows_name_keys(void **state)
{
	(void)state;
	for (const struct field_unsupported *row = unsupported_in_settings; row->path; row++) {
		char needle[128];
		bool tried = false;

		assert_non_null(fields_find(&settings_table, row->path));
		snprintf(needle, sizeof(needle), "not supported yet: %s", row->path);
		for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
			tried = tried || strstr(unsupported[i].line, needle);
		if (!tried)
			fail_msg("%s has no case", row->path);
	}
}

/* All or nothing, and everything that is wrong is said at once. */
static void
test_all_errors_are_named(void **state)
{
	(void)state;
	assert_null(parse_settings(
		"watch: 1\nlog: { level: x, format: y }\nlimits: { plugins: 0 }\nz: 1\n", &diags));
	assert_int_equal(diags.errors, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_empty_file_is_the_default),
		TEST(test_full_file),
		TEST(test_bad_files),
		TEST(test_unsupported_is_refused),
		TEST(test_unsupported_rows_name_keys),
		TEST(test_all_errors_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
