/*
 * Out of memory at every allocation in turn: the result is an error and no leak, never a crash and
 * never a half-made result.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/effective.h"
#include "core/runtime.h"
#include "failing.h"
#include "support.h"

static const char manifest_text[] =
	"plugin: echo\nversion: 1.0.0\ntype: feature\nexec: [./x, y]\ndescription: some words\n"
	"tags: [a, b]\nrequires: { plugins: [\"a >1\"], packages: [\"b ~=1.2\", c], host: \">0\" "
	"}\nprovides: [p]\n"
	"config:\n  name: { type: string, default: x, description: d }\n"
	"  mode: { type: enum, values: [a, b] }\n  list: { type: list, default: [a, b] }\n"
	"  path: { type: path, default: p }\n  ratio: { type: float, default: 0.5 }\n"
	"methods: { go: { timeout: 1s }, stay: }\nrun: { env: { A: b } }\n"
	"conflicts: [c]\ncommands: { do: { help: h, aliases: [it], options: { o: { type: enum, "
	"values: [a, b], default: a }, p: { type: path, default: q } }, args: [{ name: n, type: "
	"int, "
	"min: 1, many: true }] } }\n";

static const char settings_text[] =
	"plugin_dirs: [a]\nstate_dir: s\nmetrics: 127.0.0.1:9464\n"
	"plugins: { echo: { config: { name: y, list: [c] }, run: { env: { C: d } } } }\n";

static const char runtime_text[] =
	"{\"format\": 1, \"last\": 1, \"values\": [{\"key\": \"mode\", \"text\": \"a\", "
	"\"number\": 1, \"time_ms\": 5}], \"changes\": [{\"number\": 1, \"time_ms\": 5, "
	"\"uid\": 0, \"what\": \"set\", \"edits\": [{\"key\": \"mode\", \"after\": \"a\"}]}]}";

/* Read, changed, and written. */
static struct runtime *
run_runtime(struct diags *diags)
{
	struct runtime_edit edit = {.key = "name", .after = "z"};
	struct runtime_change change = {.what = "set", .edits = &edit, .count = 1};
	struct yaml_source source = text_source("config.echo", runtime_text);
	struct runtime *kept = runtime_parse(&source, diags);
	struct runtime *after = kept ? runtime_apply(kept, &change, diags) : NULL;
	size_t size;
	char *text = after ? runtime_format(after, &size) : NULL;

	if (after && !text) {
		diag_error(diags, &(struct diag_pos){.file = "config.echo"}, "out of memory");
		runtime_free(after);
		after = NULL;
	}
	free(text);
	runtime_free(kept);
	return after;
}

/* Load everything, with as many allocations as are left; true when it worked. */
static bool
run_all(struct diags *diags)
{
	static const char *const set[] = {"mode=b", "list=a,b,c"};
	static const char *const environment[] = {"PLUGD_ECHO_PATH=/q", NULL};
	struct effective_input layers = {.environment = environment, .set = set, .set_count = 2};
	struct manifest_input input = {.source = text_source("plugin.yaml", manifest_text),
				       .dir = "/p"};
	struct runtime *runtime = run_runtime(diags);
	struct settings *settings = runtime ? parse_settings(settings_text, diags) : NULL;
	struct manifest *manifest = NULL;
	struct effective *effective = NULL;

	if (settings) {
		input.override = settings_override(settings, "echo");
		manifest = manifest_parse(&input, diags);
	}
	if (manifest) {
		layers.manifest = manifest;
		layers.runtime = runtime->values;
		layers.runtime_count = runtime->value_count;
		effective = effective_resolve(&layers, diags);
	}
	if (effective)
		assert_string_equal(effective_find(effective, "name")->value.text, "z");
	effective_free(effective);
	manifest_free(manifest);
	settings_free(settings);
	runtime_free(runtime);
	return effective != NULL;
}

/* What libfyaml allocates for itself does not fail here: two of its own it does not survive. */
static void
sweep(enum failing_how how)
{
	unsigned long failing = 0;
	bool failed;

	do {
		struct diags diags;
		bool worked;

		diags_init(&diags);
		failing_begin(failing, how);
		worked = run_all(&diags);
		failed = failing_end();
		if (worked == (diags.errors > 0) || (!worked && !failed)) {
			char *text = diags_text(&diags);

			fail_msg("allocation %lu: worked %d, %s", failing, worked, text);
		}
		diags_fini(&diags);
		failing++;
		assert_true(failing < 10000);
	} while (failed);
	print_message("%lu allocations failed in turn\n", failing - 1);
	assert_true(failing > 10);
}

static void
test_every_allocation_may_fail(void **state)
{
	(void)state;
	sweep(FAILING_ALL);
	sweep(FAILING_ONE);
}

/* The same with every size of arena, which fails in the middle of small allocations. */
static void
test_every_cap_is_survived(void **state)
{
	size_t cap, accepted = 0;

	(void)state;
	for (cap = 0; cap < 16384; cap += 16) {
		struct yaml_source source = text_source("plugin.yaml", manifest_text);
		const struct yaml_node *root;
		struct arena arena;
		struct diags diags;

		arena_init(&arena, cap);
		diags_init(&diags);
		root = yaml_parse(&source, &arena, &diags);
		assert_int_equal(!root, diags.errors > 0);
		accepted += root != NULL;
		diags_fini(&diags);
		arena_fini(&arena);
	}
	assert_in_range(accepted, 1, 1000);
}

static void
test_every_cap_of_decoded_values_is_survived(void **state)
{
	struct yaml_source source = text_source("plugin.yaml", manifest_text);
	const struct yaml_node *root;
	struct arena tree, values;
	struct diags diags;
	size_t accepted = 0;

	(void)state;
	arena_init(&tree, YAML_ARENA_BYTES);
	diags_init(&diags);
	root = yaml_parse(&source, &tree, &diags);
	assert_no_diag(&diags);
	for (size_t cap = 0; cap < 16384; cap += 16) {
		const struct field_origin *origins = NULL;
		struct manifest manifest;
		struct field_ctx ctx = {.arena = &values,
					.diags = &diags,
					.file = "plugin.yaml",
					.base_dir = "/p",
					.origins = &origins};

		arena_init(&values, cap);
		fields_init(&ctx, &manifest_table, &manifest);
		fields_decode(&ctx, &manifest_table, root, &manifest);
		assert_int_equal(values.failed, diags.errors > 0);
		accepted += !diags.errors;
		arena_fini(&values);
		diags_fini(&diags);
	}
	arena_fini(&tree);
	assert_in_range(accepted, 1, 1000);
}

static void
test_a_default_without_memory(void **state)
{
	struct settings *settings;

	(void)state;
	failing_begin(0, FAILING_ALL);
	settings = settings_default();
	failing_end();
	assert_null(settings);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation_may_fail),
		cmocka_unit_test(test_every_cap_is_survived),
		cmocka_unit_test(test_every_cap_of_decoded_values_is_survived),
		cmocka_unit_test(test_a_default_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
