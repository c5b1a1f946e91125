#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/effective.h"
#include "support.h"

static struct diags diags;
static struct settings *settings;
static struct manifest *manifest;

static const char schema[] =
	"plugin: my-gpt2\nversion: 1.0.0\ntype: model\nexec: [./x]\n"
	"config:\n"
	"  model: { type: path, required: true }\n"
	"  device: { type: enum, values: [auto, cpu, cuda], default: auto }\n"
	"  max-batch: { type: int, min: 1, max: 1024, default: 32, live: true }\n"
	"  api_key: { type: string, secret: true, max: 16 }\n"
	"  stop: { type: list, default: [a] }\n"
	"  wait: { type: duration }\n"
	"  ratio: { type: float, min: 0, max: 1 }\n";

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
	manifest_free(manifest);
	settings_free(settings);
	manifest = NULL;
	settings = NULL;
	diags_fini(&diags);
	return 0;
}

static void
load(const char *plugd_yaml)
{
	struct manifest_input input = {.source = text_source("plugin.yaml", schema),
				       .dir = "/plugins/gpt2"};

	settings = parse_settings(plugd_yaml, &diags);
	assert_non_null(settings);
	input.override = settings_override(settings, "my-gpt2");
	manifest = manifest_parse(&input, &diags);
	assert_no_diag(&diags);
	assert_non_null(manifest);
}

static struct effective *
resolve(const char *const *environment, const char *const *set)
{
	struct effective_input input = {
		.manifest = manifest, .environment = environment, .set = set};

	while (set && set[input.set_count])
		input.set_count++;
	return effective_resolve(&input, &diags);
}

static void
check(const struct effective *effective, const char *key, const char *text, const char *origin)
{
	const struct effective_value *value = effective_find(effective, key);
	char got[256];

	assert_non_null(value);
	if (text)
		assert_string_equal(value->value.text, text);
	else
		assert_false(value->value.is_set);
	effective_origin(value, got, sizeof(got));
	assert_string_equal(got, origin);
}

static void
test_layers(void **state)
{
	static const char *const environment[] = {"HOME=/x",
						  "PLUGD_MY_GPT2_MAX_BATCH=64",
						  "PLUGD_MY_GPT2_API_KEY=from-env",
						  "PLUGD_MY_GPT2_STOP=x, y",
						  "PLUGD_OTHER_DEVICE=cpu",
						  NULL};
	static const char *const set[] = {"api_key=a=b", "wait=2s", "wait=3s", NULL};
	struct effective *e;

	(void)state;
	load("plugins:\n  my-gpt2:\n    config:\n      model: m\n      max-batch: 16\n      "
	     "api_key: file\n");
	e = resolve(environment, set);
	assert_no_diag(&diags);
	assert_int_equal(e->count, 7);
	check(e, "model", "/plugins/gpt2/m", "plugd.yaml:4:14");
	check(e, "device", "auto", "default");
	check(e, "max-batch", "64", "environment PLUGD_MY_GPT2_MAX_BATCH");
	check(e, "api_key", "a=b", "--set");
	check(e, "stop", "x, y", "environment PLUGD_MY_GPT2_STOP");
	check(e, "wait", "3000000000", "--set");
	check(e, "ratio", NULL, "not set");
	assert_int_equal(effective_find(e, "stop")->value.list.count, 2);
	assert_string_equal(effective_find(e, "stop")->value.list.items[1], "y");
	assert_null(effective_find(e, "nope"));
	effective_free(e);
	effective_free(NULL);
}

static void
test_lists_as_text(void **state)
{
	static const struct {
		const char *set;
		size_t count;
		const char *text;
	} cases[] = {
		{"stop=a,b", 2, "a, b"},
		{"stop=", 0, ""},
		{"stop=  ", 0, ""},
		{"stop= a , b ,c d", 3, "a, b, c d"},
		{"stop=[a, 'b,c']", 2, "a, b,c"},
		{"stop=[]", 0, ""},
		{"stop=a,,b", 3, "a, , b"},
		{"stop=a,", 2, "a, "},
	};

	(void)state;
	load("plugins: { my-gpt2: { config: { model: /m } } }");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *set[] = {cases[i].set, NULL};
		struct effective *e = resolve(NULL, set);

		assert_no_diag(&diags);
		assert_int_equal(effective_find(e, "stop")->value.list.count, cases[i].count);
		assert_string_equal(effective_find(e, "stop")->value.text, cases[i].text);
		effective_free(e);
	}
}

static void
test_rejected_values(void **state)
{
	static const struct {
		const char *set, *line;
	} cases[] = {
		{"max-batch=0",
		 "--set: error: max-batch: expected a whole number from 1 to 1024; found \"0\""},
		{"max-batch=",
		 "--set: error: max-batch: expected a whole number from 1 to 1024; found \"\""},
		{"max_batch=3",
		 "--set: error: unknown config key \"max_batch\"; did you mean \"max-batch\"?"},
		{"device=gpu", "device: expected one of auto, cpu, cuda; found \"gpu\""},
		{"devcie=cpu", "unknown config key \"devcie\"; did you mean \"device\"?"},
		{"device", "--set: error: expected key=value"},
		{"=cpu", "--set: error: expected key=value"},
		{"", "--set: error: expected key=value"},
		{"wait=3", "wait: expected a duration, such as 500ms, 30s or 5m; found \"3\" (it "
			   "has no unit)"},
		{"ratio=1.5", "ratio: expected a number from 0 to 1; found \"1.5\""},
		{"ratio=nan", "ratio: expected a number from 0 to 1; found \"nan\""},
		{"stop=[a", "--set:2:1: error: not valid YAML: flow sequence without a closing"},
		{"stop=[a, [b]]", "stop[1]: expected text; found a list"},
		{"model=a\nb\x01",
		 "--set: error: model: expected text in UTF-8 without control characters"},
		{"model=\xff", "--set: error: model: expected text in UTF-8"},
		{"model=", "model: expected a path"},
	};

	(void)state;
	load("plugins: { my-gpt2: { config: { model: /m } } }");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *set[] = {"device=cpu", cases[i].set, NULL};

		diags_fini(&diags);
		if (resolve(NULL, set))
			fail_msg("accepted: %s", cases[i].set);
		assert_diag(&diags, cases[i].line);
	}
}

static void
test_required_key(void **state)
{
	(void)state;
	load("");
	assert_null(resolve(NULL, NULL));
	assert_diag(&diags, "plugin.yaml:6:3: error: config key \"model\" is required and nothing "
			    "sets it: write "
			    "plugins.my-gpt2.config.model in plugd.yaml, or set "
			    "PLUGD_MY_GPT2_MODEL, or start it "
			    "with --set model=…");
}

static void
test_secrets_are_never_shown(void **state)
{
	static const char *const environment[] = {"PLUGD_MY_GPT2_API_KEY=hunter2-hunter2-hunter2",
						  NULL};
	static const char *const set[] = {"api_key=hunter2", NULL};
	static const char *const broken[] = {"api_key=hunter2\x01", NULL};
	struct effective *e;
	char *text;

	(void)state;
	load("plugins: { my-gpt2: { config: { model: /m } } }");
	e = resolve(NULL, set);
	assert_string_equal(effective_shown(effective_find(e, "api_key")), "***");
	assert_string_equal(effective_find(e, "api_key")->value.text, "hunter2");
	assert_string_equal(effective_shown(effective_find(e, "device")), "auto");
	assert_string_equal(effective_shown(effective_find(e, "ratio")), "");
	effective_free(e);

	assert_null(resolve(environment, NULL));
	assert_null(resolve(NULL, broken));
	assert_diag(
		&diags,
		"environment PLUGD_MY_GPT2_API_KEY: error: api_key: expected text of at most 16 "
		"bytes; found *** (it is secret)");
	text = diags_text(&diags);
	assert_null(strstr(text, "hunter2"));
	free(text);
}

static void
test_near_miss_in_the_environment(void **state)
{
	static const char *const environment[] = {"PLUGD_MY_GPT2_DEVCIE=cpu",
						  "PLUGD_MY_GPT2_XYZZY=1",
						  "PLUGD_MY_GPT2_=1",
						  "PLUGD_MY_GPT2",
						  "garbage",
						  NULL};
	struct effective *e;

	(void)state;
	load("plugins: { my-gpt2: { config: { model: /m } } }");
	e = resolve(environment, NULL);
	assert_non_null(e);
	assert_int_equal(diags.warnings, 1);
	assert_diag(&diags,
		    "environment: warning: PLUGD_MY_GPT2_DEVCIE names no config key of my-gpt2 and "
		    "is ignored; did you mean \"device\"?");
	effective_free(e);
}

static void
test_config_fits_one_message(void **state)
{
	char *assignment = malloc(60000);
	const char *set[] = {assignment, NULL};

	(void)state;
	memset(assignment, 'x', 59999);
	memcpy(assignment, "stop=", 5);
	assignment[59999] = '\0';
	load("plugins: { my-gpt2: { config: { model: /m } } }");
	assert_null(resolve(NULL, set));
	assert_diag(&diags, "at most 49152 can be sent to a plugin");
	free(assignment);
}

static void
test_environment_names(void **state)
{
	char name[EFFECTIVE_ENV_BYTES], longest[64];

	(void)state;
	effective_env_name("my-gpt2", "max-batch_size", name);
	assert_string_equal(name, "PLUGD_MY_GPT2_MAX_BATCH_SIZE");
	memset(longest, 'a', 63);
	longest[63] = '\0';
	effective_env_name(longest, longest, name);
	assert_int_equal(strlen(name), 6 + 63 + 1 + 63);
}

/* Above all others, and what is wrong there says how to take it back. */
static void
test_runtime_is_above_all(void **state)
{
	static const char *const environment[] = {"PLUGD_MY_GPT2_MODEL=m",
						  "PLUGD_MY_GPT2_DEVICE=cpu", NULL};
	static const char *const set[] = {"device=cuda"};
	struct runtime_value values[] = {{"device", "auto", 3, 0}, {"max-batch", "7", 0, 0}};
	struct effective_input input = {.environment = environment,
					.set = set,
					.set_count = 1,
					.runtime = values,
					.runtime_count = 2};
	struct effective *effective;

	(void)state;
	load("");
	input.manifest = manifest;
	effective = effective_resolve(&input, &diags);
	assert_non_null(effective);
	check(effective, "device", "auto", "config set, change 3 of 1970-01-01 00:00:00 UTC");
	check(effective, "max-batch", "7", "config set");
	effective_free(effective);
	values[0] = (struct runtime_value){"devise", "auto", 3, 0};
	assert_null(effective_resolve(&input, &diags));
	assert_int_equal(diags.errors, 1);
	assert_diag(&diags, "did you mean \"device\"");
	assert_diag(&diags, "plugctl config unset my-gpt2 devise");
}

static const char *
read_file(const char *path, struct arena *arena, char why[EFFECTIVE_WHY_BYTES])
{
	if (!strcmp(path, "/run/key"))
		return arena_strdup(arena, "of the file");
	snprintf(why, EFFECTIVE_WHY_BYTES, "No such file or directory");
	return NULL;
}

static struct effective *
resolve_with_files(const char *plugd_yaml, const char *const *environment)
{
	struct effective_input input = {.environment = environment, .read_file = read_file};

	settings_free(settings);
	manifest_free(manifest);
	load(plugd_yaml);
	input.manifest = manifest;
	return effective_resolve(&input, &diags);
}

static void
test_values_in_files_and_variables(void **state)
{
	static const char *const variables[] = {"MY_KEY=of a variable", "PLUGD_MY_GPT2_MODEL=/m",
						NULL};
	static const char *const by_file[] = {"PLUGD_MY_GPT2_API_KEY_FILE=/run/key",
					      "PLUGD_MY_GPT2_MODEL=/m", NULL};
	static const char *const missing[] = {"PLUGD_MY_GPT2_API_KEY_FILE=/run/none",
					      "PLUGD_MY_GPT2_MODEL=/m", NULL};
	struct effective *effective;

	(void)state;
	effective = resolve_with_files(
		"plugins: { my-gpt2: { config: { api_key: { file: /run/key } } } }", variables);
	assert_non_null(effective);
	check(effective, "api_key", "of the file", "plugd.yaml:1:42 (file /run/key)");
	assert_string_equal(effective_shown(effective_find(effective, "api_key")), "***");
	effective_free(effective);
	effective = resolve_with_files(
		"plugins: { my-gpt2: { config: { api_key: { environment: MY_KEY } } } }",
		variables);
	assert_non_null(effective);
	check(effective, "api_key", "of a variable", "plugd.yaml:1:42 (environment MY_KEY)");
	effective_free(effective);
	effective = resolve_with_files("", by_file);
	assert_non_null(effective);
	check(effective, "api_key", "of the file", "environment PLUGD_MY_GPT2_API_KEY_FILE");
	effective_free(effective);
	assert_no_diag(&diags);
	assert_null(resolve_with_files("", missing));
	assert_diag(&diags, "PLUGD_MY_GPT2_API_KEY_FILE: error: api_key: /run/none: No such file");
	diags_fini(&diags);
	assert_null(resolve_with_files(
		"plugins: { my-gpt2: { config: { api_key: { environment: NOT_THERE } } } }",
		variables));
	assert_diag(&diags, "plugd.yaml:1:42: error: api_key: NOT_THERE: is not set");
}

/* What is no value and no place of one. */
static void
test_places_are_checked(void **state)
{
	static const char *const texts[] = {
		"plugins: { my-gpt2: { config: { api_key: { path: /x } } } }",
		"plugins: { my-gpt2: { config: { api_key: { file: /x, environment: Y } } } }",
		"plugins: { my-gpt2: { config: { api_key: { file: [x] } } } }",
		"plugins: { my-gpt2: { config: { api_key: {} } } }"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct manifest_input input = {.source = text_source("plugin.yaml", schema),
					       .dir = "/plugins/gpt2"};

		settings_free(settings);
		settings = parse_settings(texts[i], &diags);
		assert_non_null(settings);
		input.override = settings_override(settings, "my-gpt2");
		assert_null(manifest_parse(&input, &diags));
		assert_diag(&diags, "expected");
		diags_fini(&diags);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_layers),
		TEST(test_lists_as_text),
		TEST(test_rejected_values),
		TEST(test_required_key),
		TEST(test_secrets_are_never_shown),
		TEST(test_near_miss_in_the_environment),
		TEST(test_config_fits_one_message),
		TEST(test_environment_names),
		TEST(test_runtime_is_above_all),
		TEST(test_values_in_files_and_variables),
		TEST(test_places_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
