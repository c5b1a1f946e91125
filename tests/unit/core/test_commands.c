/* Commands that a manifest declares. */
#include <stdlib.h>
#include <string.h>

#include "core/commands.h"
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

static const char whole[] = MINIMAL
	"commands:\n"
	"  convert:\n"
	"    help: converts images\n"
	"    method: do-convert\n"
	"    aliases: [cv]\n"
	"    stdin: true\n"
	"    options:\n"
	"      quality: { type: int, min: 1, max: 100, default: 90, letter: q, help: how good }\n"
	"      kind: { type: enum, values: [png, jpeg], required: true }\n"
	"      wait: { type: duration, default: 30s }\n"
	"      out: { type: path, default: here }\n"
	"      tags: { type: list, default: [a, b] }\n"
	"      force: { type: bool }\n"
	"      note:\n"
	"    args:\n"
	"      - { name: file, type: path, required: true, help: the image }\n"
	"      - { name: more, many: true }\n"
	"  count: { help: counts }\n";

static void
test_a_whole_command(void **state)
{
	struct manifest *m = parse_manifest(whole, &diags);
	const struct command_value *options, *args;
	const struct command *command;

	(void)state;
	assert_no_diag(&diags);
	assert_non_null(m);
	command = commands_find(&m->commands, "cv");
	assert_ptr_equal(command, commands_find(&m->commands, "convert"));
	assert_string_equal(command_method(command), "do-convert");
	assert_string_equal(command_method(commands_find(&m->commands, "count")), "count");
	assert_true(command->takes_stdin);
	assert_int_equal(command->options.count, 7);
	options = command->options.items;
	assert_string_equal(options[0].name, "quality");
	assert_string_equal(options[0].letter, "q");
	assert_string_equal(options[0].fallback, "90");
	assert_int_equal(options[0].key.type, SCHEMA_INT);
	assert_int_equal(options[0].key.rule.max, 100);
	assert_true(options[1].required && options[1].key.required);
	assert_string_equal(options[2].fallback, "30s");
	assert_string_equal(options[3].fallback, "/plugins/echo/here");
	assert_string_equal(options[4].fallback, "a, b");
	assert_int_equal(options[6].key.type, SCHEMA_STRING);
	args = command->args.items;
	assert_int_equal(command->args.count, 2);
	assert_true(args[0].required && args[1].many);
	assert_int_equal(manifest_command_origin(m, "cv")->line, 7);
	manifest_free(m);
}

static const struct {
	const char *commands, *line;
} wrong[] = {
	{"{ x: }", "missing key \"help\""},
	{"{ Big: { help: h } }", "commands: expected a name of at most 63 a-z"},
	{"{ end-: { help: h } }", "expected a name of at most 63"},
	{"{ x: { help: h, stdn: true } }", "did you mean \"stdin\"?"},
	{"{ list: { help: h } }", "\"list\" is plugctl's own, \"echo\" cannot have it"},
	{"{ x: { help: h, aliases: [status] } }", "\"status\" is plugctl's own"},
	{"{ x: { help: h, aliases: [x] } }", "\"x\" is an alias of itself"},
	{"{ x: { help: h, aliases: [y] }, y: { help: h } }", "\"y\" is a name of \"x\" already"},
	{"{ x: { help: h, options: { json: } } }", "--json is plugctl's own"},
	{"{ x: { help: h, options: { a: { letter: q }, b: { letter: q } } } }",
	 "options: -q is taken by another option"},
	{"{ x: { help: h, options: { a: { letter: h } } } }", "-h is plugctl's own"},
	{"{ x: { help: h, options: { a: { letter: \"-\" } } } }", "expected a letter or digit"},
	{"{ x: { help: h, options: { a: { type: itn } } } }", "did you mean \"int\"?"},
	{"{ x: { help: h, options: { a: { type: int, default: many } } } }",
	 "commands.x.options.a.default: expected a whole number"},
	{"{ x: { help: h, options: { a: { type: int, min: 2, max: 1 } } } }",
	 "min is greater than max"},
	{"{ x: { help: h, options: { a: { type: enum } } } }", "an enum needs values"},
	{"{ x: { help: h, options: { a: { live: true } } } }", "unknown key \"live\""},
	{"{ x: { help: h, options: { a: { type: bool, required: true } } } }",
	 "a bool that is not given is false"},
	{"{ x: { help: h, args: [{ type: int }] } }", "missing key \"name\""},
	{"{ x: { help: h, args: [{ name: a, type: list }] } }", "an argument is no list"},
	{"{ x: { help: h, args: [{ name: a, many: true }, { name: b }] } }",
	 "only the last one can be many"},
	{"{ x: { help: h, args: [{ name: a }, { name: b, required: true }] } }",
	 "\"b\" is required, the one before it is not"},
	{"{ x: { help: h, args: [{ name: a }, { name: a }] } }", "\"a\" is the name of another"},
	{"{ x: { help: h, options: { a: }, args: [{ name: a }] } }",
	 "\"a\" is the name of another"},
	{"[x]", "expected a mapping"},
};

static void
test_what_is_wrong_is_told_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[1024];

		diags_fini(&diags);
		snprintf(text, sizeof(text), MINIMAL "commands: %s\n", wrong[i].commands);
		assert_null(parse_manifest(text, &diags));
		assert_diag(&diags, wrong[i].line);
		assert_places(&diags);
		if (diags.errors != 1)
			fail_msg("%s: %zu errors", wrong[i].commands, diags.errors);
	}
}

static void
test_plugd_yaml_cannot_change_them(void **state)
{
	(void)state;
	assert_null(parse_settings("plugins: { echo: { commands: {} } }\n", &diags));
	assert_diag(&diags, "belongs to the plugin's manifest");
}

/* What it does lay over the manifest leaves them as they are. */
static void
test_commands_under_an_override(void **state)
{
	struct settings *settings = parse_settings("plugins: { echo: { priority: 7 } }\n", &diags);
	struct manifest_input input = {.source = text_source("plugin.yaml", whole), .dir = "/p"};
	struct manifest *m;

	(void)state;
	assert_non_null(settings);
	input.override = settings_override(settings, "echo");
	m = manifest_parse(&input, &diags);
	assert_no_diag(&diags);
	assert_non_null(m);
	assert_int_equal(m->priority, 7);
	assert_non_null(commands_find(&m->commands, "cv"));
	manifest_free(m);
	settings_free(settings);
}

static void
test_clashes(void **state)
{
	struct manifest *left = parse_manifest(whole, &diags), *right;

	(void)state;
	right = parse_manifest(MINIMAL "commands: { other: { help: h, aliases: [cv] } }\n", &diags);
	assert_non_null(left);
	assert_non_null(right);
	assert_string_equal(commands_clash(&left->commands, &right->commands), "cv");
	assert_string_equal(commands_clash(&right->commands, &left->commands), "cv");
	manifest_free(right);
	right = parse_manifest(MINIMAL, &diags);
	assert_null(commands_clash(&left->commands, &right->commands));
	assert_null(commands_clash(&right->commands, &left->commands));
	manifest_free(right);
	manifest_free(left);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_whole_command, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_wrong_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plugd_yaml_cannot_change_them, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_commands_under_an_override, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clashes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
