#include <stdio.h>
#include <string.h>

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
	{"metrics: yes",
	 "plugd.yaml:1:10: error: metrics: expected true, false, or ADDRESS:PORT in "
	 "numbers, such as 127.0.0.1:9464 or \"[::1]:9464\"; found \"yes\""},
	{"metrics: \"true\"", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: [a]", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: 9464", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: localhost:9464", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: \"127.0.0.1:\"", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: 127.0.0.1:65536", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: 127.0.0.256:1", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: \"::1:9464\"", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: \"[::1\"", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: \"[127.0.0.1]:1\"", "metrics: expected true, false, or ADDRESS:PORT"},
	{"metrics: 127.0.0.1:1\nplugins: { metrics: { config: { listen: 127.0.0.1:2 } } }",
	 "plugd.yaml:1:10: error: metrics: plugins.metrics.config.listen says where to listen, "
	 "too"},
	{"metrics: true\nplugins: { metrics: { run: [a] } }", "plugins.metrics.run: expected"},
	{"metrics: true\nplugins: { metrics: [a] }", "plugins.metrics: expected"},
	{"plugins: { metrics: { run: { autostart: false } } }\nmetrics: true",
	 "plugd.yaml:2:10: error: metrics: plugins.metrics.run.autostart is false"},
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

/* What `metrics` comes to: the same as if it had been written under plugins:. */
static const struct {
	const char *text, *written;
} metrics[] = {
	{"", NULL},
	{"metrics: false", NULL},
	{"metrics: true", "run: { autostart: true }"},
	{"metrics: 127.0.0.1:0", "config: { listen: 127.0.0.1:0 }\nrun: { autostart: true }"},
	{"metrics: \"[::1]:9464\"", "config: { listen: \"[::1]:9464\" }\nrun: { autostart: true }"},
	{"metrics: true\nplugins: { echo: { priority: low }, metrics: { priority: high, run: { "
	 "restart: always, autostart: true }, config: { listen: 127.0.0.1:1, timeout: 1s } } }",
	 "run: { autostart: true, restart: always }\npriority: high\nconfig: { listen: "
	 "127.0.0.1:1, "
	 "timeout: 1s }"},
	{"plugins: { metrics: { config: { timeout: 1s }, run: } }\nmetrics: 10.0.0.1:1",
	 "config: { listen: 10.0.0.1:1, timeout: 1s }\nrun: { autostart: true }"},
	{"plugins: { metrics: }\nmetrics: true", "run: { autostart: true }"},
};

static void
assert_same_tree(const struct yaml_node *one, const struct yaml_node *two)
{
	assert_int_equal(one->kind, two->kind);
	assert_int_equal(one->count, two->count);
	if (one->kind == YAML_SCALAR)
		assert_string_equal(one->text, two->text);
	one = one->first;
	two = two->first;
	for (; one && two; one = one->next, two = two->next) {
		assert_string_equal(one->key, two->key);
		assert_same_tree(one, two);
	}
	assert_null(one);
	assert_null(two);
}

static void
test_metrics_is_laid_over_its_plugin(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
		struct settings *s = parse_settings(metrics[i].text, &diags);
		const struct manifest_override *override;
		struct arena arena;

		assert_no_diag(&diags);
		override = settings_override(s, "metrics");
		assert_int_equal(s->metrics.on, metrics[i].written != NULL);
		if (!metrics[i].written) {
			assert_null(override);
			settings_free(s);
			continue;
		}
		arena_init(&arena, 1 << 20);
		assert_same_tree(override->node,
				 yaml_parse(&(struct yaml_source){"w", metrics[i].written,
								  strlen(metrics[i].written)},
					    &arena, &diags));
		assert_string_equal(override->path, "plugins.metrics");
		assert_string_equal(override->file, "plugd.yaml");
		arena_fini(&arena);
		settings_free(s);
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
		TEST(test_metrics_is_laid_over_its_plugin),
		TEST(test_all_errors_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
