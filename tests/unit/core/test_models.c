#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_comments.h"
#include "support.h"

static struct diags diags;
static struct settings *settings;

static int
setup(void **state)
{
	(void)state;
	diags_init(&diags);
	settings = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	settings_free(settings);
	diags_fini(&diags);
	return 0;
}

/* As settings->models_file would be read; false: refused. */
static bool
read_file(const char *plugd_yaml, const char *text)
{
	struct kept_text *kept = kept_text_new("/etc/plugd/models.json", text, strlen(text));
	bool good;

	settings = parse_settings(plugd_yaml, &diags);
	assert_non_null(settings);
	good = settings_add_models(settings, kept, &diags);
	kept_text_unref(kept);
	assert_int_equal(good, !diags.errors);
	return good;
}

static const char seed[] =
	"// the models of this machine\n"
	"{\n"
	"\t\"program\": { \"port\": 8080, \"alive_time\": 60 }, /* of the other server */\n"
	"\t\"qwen\": {\n"
	"\t\t\"aliases\": [\"qwen3-8b\", \"qwen\", \"http://not.a/comment\"],\n"
	"\t\t\"mode\": \"Chat\", \"port\": 10001, \"auto_start\": true,\n"
	"\t\t\"RTX 4060 + V100\": {\n"
	"\t\t\t\"required_devices\": [\"rtx 4060\", \"v100\"], // both\n"
	"\t\t\t\"script_path\": \"run/both.sh\",\n"
	"\t\t\t\"memory_mb\": { \"rtx 4060\": 3000, \"v100\": 12000 }\n"
	"\t\t},\n"
	"\t\t\"CPU\": { \"required_devices\": [\"CPU\"], \"command\": [\"/srv/serve\", "
	"\"--cpu\"],\n"
	"\t\t\t\"memory_mb\": { \"CPU\": 9000 } }\n"
	"\t},\n"
	"\t\"Local-Models\": { \"bge\": { \"plugin\": \"embedder\", \"mode\": \"Embedding\",\n"
	"\t\t\"alive_time\": \"5m\", \"schemes\": [{ \"config\": { \"size\": \"large\" } }] } }\n"
	"}\n";

static void
test_a_seed_is_read(void **state)
{
	const struct model *qwen, *bge;
	const struct model_scheme *schemes;

	(void)state;
	assert_true(read_file("models: { small: { plugin: gpt2, aliases: [tiny] } }", seed));
	assert_int_equal(settings->models.count, 3);
	assert_ptr_equal(models_find(&settings->models, "tiny"),
			 models_find(&settings->models, "small"));
	qwen = models_find(&settings->models, "qwen3-8b");
	assert_non_null(qwen);
	assert_string_equal(qwen->name, "qwen3-8b");
	assert_int_equal(qwen->aliases.count, 2);
	assert_string_equal(qwen->aliases.items[1], "http://not.a/comment");
	assert_string_equal(qwen->mode, "Chat");
	assert_int_equal(qwen->port, 10001);
	assert_true(qwen->auto_start);
	assert_int_equal(qwen->pos.line, 4);
	assert_int_equal(qwen->schemes.count, 2);
	schemes = qwen->schemes.items;
	assert_string_equal(schemes[0].name, "RTX 4060 + V100");
	assert_string_equal(schemes[0].required_devices.items[1], "v100");
	assert_string_equal(schemes[0].memory_mb.items[1].value, "12000");
	assert_string_equal(schemes[0].script_path, "/etc/plugd/run/both.sh");
	assert_string_equal(schemes[1].name, "CPU");
	assert_string_equal(schemes[1].command.items[1], "--cpu");
	bge = models_find(&settings->models, "bge");
	assert_non_null(bge);
	assert_string_equal(bge->plugin, "embedder");
	assert_int_equal(bge->alive_time_ms, 300000);
	schemes = bge->schemes.items;
	assert_null(schemes[0].name);
	assert_string_equal(schemes[0].config.items[0].value, "large");
	/* what is not done is said: the other server's settings, and the table as a whole */
	assert_int_equal(diags.errors, 0);
	assert_diag(&diags, "models.json:3:2: warning: program:");
	assert_diag(&diags, "does not start, place or unload models by it yet");
}

/* What was written for Windows, by older and by later versions of such a server. */
static void
test_files_from_elsewhere(void **state)
{
	const struct model_scheme *scheme;

	(void)state;
	assert_true(read_file(
		"", "program: { alive_time: 60 }\n"
		    "wake_on_lan: { mac_address: \"00:11\" }\n"
		    "claude_configs: { one: { URL: x } }\n"
		    "Local-Models:\n"
		    "  A: { aliases: [a], port: 1, GPU: { required_devices: [\"rtx 4060\"],\n"
		    "       bat_path: \"run\\\\a.bat\", memory_mb: { \"rtx 4060\": 5 } } }\n"
		    "  B: { aliases: [b], port: 2, CPU: { required_devices: [CPU],\n"
		    "       script_path: run/b.cmd, memory_mb: { CPU: 5 } } }\n"
		    "  C: { aliases: [c], port: 3, CPU: { required_devices: [CPU],\n"
		    "       script_path: run/c.sh, memory_mb: { CPU: 5 } } }\n"));
	assert_int_equal(settings->models.count, 3);
	scheme = models_find(&settings->models, "a")->schemes.items;
	assert_string_equal(scheme->name, "GPU");
	assert_string_equal(scheme->script_path, "/etc/plugd/run\\a.bat");
	assert_int_equal(scheme->memory_mb.count, 1);
	assert_diag(&diags, "models.json:1:1: warning: program: settings of another server");
	assert_diag(&diags, "models.json:2:1: warning: wake_on_lan: settings of another server");
	assert_diag(&diags, "models.json:3:1: warning: claude_configs: settings of another");
	assert_diag(&diags, "models.json:5:3: warning: a: script_path \"/etc/plugd/run\\a.bat\" is "
			    "a path or script of Windows (2 in all): it cannot run here");
	assert_int_equal(diags.warnings, 5); /* and that of the table as a whole */
}

static const struct {
	const char *text, *line;
} bad[] = {
	{"{ \"a\": { \"plugin\": \"p\", \"aliases\": [\"x\"] }, \"b\": { \"plugin\": \"p\", "
	 "\"aliases\": [\"y\", \"x\"] } }",
	 "models.json:1:45: error: the name \"x\" is one of the model \"x\""},
	{"{ \"a\": { \"plugin\": \"p\", \"port\": 0 } }",
	 "expected a whole number from 1 to 65535"},
	{"{ \"a\": { \"plugin\": \"p\", \"alive_time\": 60 } }", "expected a duration"},
	{"{ \"a\": { \"plugin\": \"p\", \"aliasses\": [] } }", "did you mean \"aliases\"?"},
	{"{ \"a\": {} }", "a: nothing says how it is run"},
	{"{ \"a\": { \"cpu\": { \"required_devices\": [\"CPU\"] } } }", "scheme 1 has no command"},
	{"{ \"a\": { \"cpu\": { \"required_devices\": [\"CPU\"], \"command\": [\"x\"],\n"
	 "  \"memory_mb\": { \"CPUs\": 5 } } } }",
	 "models.json:2:16: error: a.schemes[0]: memory_mb: \"CPUs\" is not one of "
	 "required_devices; "
	 "did you mean \"CPU\"?"},
	{"{ \"a\": { \"cpu\": { \"required_devices\": [\"CPU\"], \"command\": [\"x\"],\n"
	 "  \"memory_mb\": { \"CPU\": \"much\" } } } }",
	 "memory_mb of \"CPU\": expected a whole number of MB"},
	{"{ \"a\": { \"cpu\": { \"command\": [\"x\"], \"script_path\": \"y\" } } }",
	 "expected one of config, command and script_path"},
	{"{ \"a\": { \"cpu\": { \"bat_path\": \"x\", \"script_path\": \"y\" } } }",
	 "unknown key \"bat_path\""},
	{"[1]", "expected a mapping of models by name"},
	{"{ /* for ever", "models.json:1:3: error: this comment does not end"},
	{"{ \"a\": ", "error"},
};

static void
test_what_is_wrong_has_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		diags_fini(&diags);
		if (read_file("", bad[i].text))
			fail_msg("accepted: %s", bad[i].text);
		assert_diag(&diags, bad[i].line);
		settings_free(settings);
		settings = NULL;
	}
}

/* The settings' own table has schemes by name, too, and the same checks. */
static void
test_in_the_settings(void **state)
{
	(void)state;
	settings = parse_settings(
		"models:\n  a:\n    plugin: p\n    fast: { required_devices: [gpu] }\n", &diags);
	assert_non_null(settings);
	assert_int_equal(models_find(&settings->models, "a")->schemes.count, 1);
	assert_int_equal(diags.warnings, 1);
	settings_free(settings);
	settings = parse_settings("models: { a: { plugin: p }, b: { plugin: p, aliases: [a] } }",
				  &diags);
	assert_null(settings);
	assert_diag(&diags, "the name \"a\" is one of the model \"a\"");
	assert_diag(&diags, "note: that model is here");
}

static void
blank(const char *text, const char *expected)
{
	char *copy = strdup(text);
	size_t length = json_comments_blank(copy, strlen(text), "f", &diags);

	assert_int_equal(length, strlen(expected));
	assert_memory_equal(copy, expected, length);
	free(copy);
}

static void
test_comments_become_blanks(void **state)
{
	(void)state;
	blank("a // b\nc", "a     \nc");
	blank("a/* \n b */c", "a   \n     c");
	blank("\"// /* \\\" //\" // x", "\"// /* \\\" //\"     ");
	blank("\t\"\t\"", " \"\t\"");
	blank("/* \xc3\xbc */x", "       x"); /* a character, a column */
	blank("\"open \\", "\"open \\");
	blank("/", "/");
	assert_no_diag(&diags);
}

/* Of a file every beginning, and every one with a byte changed, is read or refused. */
static void
test_damage(void **state)
{
	char text[sizeof(seed)];

	(void)state;
	for (size_t i = 0; i < 2 * (sizeof(seed) - 1); i++) {
		strcpy(text, seed);
		if (i < sizeof(seed) - 1)
			text[i] = '\0';
		else
			text[i - (sizeof(seed) - 1)] = "/*\"{}:,\\x\n"[i % 10];
		read_file("", text);
		settings_free(settings);
		settings = NULL;
		diags_fini(&diags);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_seed_is_read),
		TEST(test_files_from_elsewhere),
		TEST(test_what_is_wrong_has_its_place),
		TEST(test_in_the_settings),
		TEST(test_comments_become_blanks),
		TEST(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
