/* What is run over an upgrade: from the texts that it was made from, whatever is on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "plugin/saved.h"
#include "state_support.h"
#include "wire_support.h"

static const char manifest_text[] = "plugin: p\n"
				    "version: 1.2.3\n"
				    "type: interface\n"
				    "exec: [./program, -v]\n"
				    "config:\n"
				    "  name: { type: string, default: nobody }\n"
				    "  count: { type: int, default: 1 }\n"
				    "run: { watch: true }\n";
static const char settings_text[] = "plugins:\n"
				    "  p:\n"
				    "    config: { name: somebody }\n"
				    "    run: { stop_timeout: 7s }\n";

static struct {
	char folder[64], program[96], manifest[96];
	struct kept_text *manifest_kept, *settings_kept;
	struct settings *settings;
	struct host host;
} t;

static void
make_file(const char *path)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs("#!/bin/sh\n", file);
	fclose(file);
	assert_int_equal(chmod(path, 0755), 0);
}

static int
setup(void **state)
{
	struct diags diags;

	(void)state;
	memset(&t, 0, sizeof(t));
	strcpy(t.folder, "/tmp/plugd-spec-XXXXXX");
	if (!mkdtemp(t.folder))
		return -1;
	snprintf(t.program, sizeof(t.program), "%s/program", t.folder);
	snprintf(t.manifest, sizeof(t.manifest), "%s/plugin.yaml", t.folder);
	make_file(t.program);
	t.manifest_kept = kept_text_new(t.manifest, manifest_text, strlen(manifest_text));
	t.settings_kept = kept_text_new("/etc/plugd.yaml", settings_text, strlen(settings_text));
	diags_init(&diags);
	t.settings = settings_from_text(t.settings_kept, &diags);
	diags_fini(&diags);
	return t.settings ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	settings_free(t.settings);
	kept_text_unref(t.manifest_kept);
	kept_text_unref(t.settings_kept);
	unlink(t.program);
	return rmdir(t.folder);
}

static struct spec *
make_spec(const char *set)
{
	const char *sets[] = {set};
	struct spec_layers layers = {.environment = environ, .set = sets, .set_count = set ? 1 : 0};
	struct manifest_input input = {
		.source = {t.manifest, manifest_text, strlen(manifest_text)},
		.dir = t.folder,
		.override = settings_override(t.settings, "p"),
	};
	struct diags diags;
	struct spec *spec;

	diags_init(&diags);
	spec = spec_new(manifest_parse(&input, &diags), &layers, &diags);
	assert_non_null(spec);
	diags_fini(&diags);
	spec->fingerprint = 4711;
	spec_keep(spec, t.manifest_kept, t.settings_kept);
	return spec;
}

static void
expect_same_spec(const struct spec *a, const struct spec *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->version, b->version);
	assert_string_equal(a->folder, b->folder);
	assert_string_equal(a->path, b->path);
	assert_string_equal(a->program, b->program);
	assert_true(a->fingerprint == b->fingerprint);
	assert_int_equal(a->watch, b->watch);
	assert_int_equal(a->stop_timeout_ms, b->stop_timeout_ms);
	for (size_t i = 0; a->argv[i] || b->argv[i]; i++)
		assert_string_equal(a->argv[i], b->argv[i]);
	assert_int_equal(a->set_count, b->set_count);
	assert_int_equal(a->config_count, b->config_count);
	for (size_t i = 0; i < a->config_count; i++) {
		assert_string_equal(a->config[i].value, b->config[i].value);
		assert_string_equal(a->config[i].origin, b->config[i].origin);
	}
}

static void
test_specs_and_versions(void **state)
{
	const struct spec_pin pins[] = {{"/a/plugin.yaml", "0123456789abcdef0123456789abcde"},
					{"/a/b", ""}};
	struct spec *plain = make_spec(NULL), *with_set = make_spec("count=5");
	const struct spec_pin *again_pins;
	size_t pin_count;
	struct version *version = version_new(with_set), *again;
	uint32_t of_plain, of_version;
	struct plugins_out po;
	struct plugins_in pi;
	struct state_out out;
	struct state_in in;
	struct spec *spec;

	(void)state;
	assert_true(spec_set_pins(plain, pins, 2));
	state_out_init(&out);
	plugins_out_init(&po, &out, state_out_message(&out, &plugd__saved__descriptor));
	of_plain = plugins_out_spec(&po, plain);
	assert_int_equal(plugins_out_spec(&po, plain), of_plain); /* once in the table */
	of_version = plugins_out_version(&po, version);
	assert_int_equal(plugins_out_version(&po, version), of_version);
	assert_int_equal(plugins_out_version(&po, NULL), 0);
	assert_int_equal(po.saved->n_specs, 2);
	assert_int_equal(po.saved->n_settings, 1);
	unlink(t.program);
	state_through(&out, po.saved, true, &in);
	plugins_out_fini(&po);
	plugins_in_init(&pi, &in, &t.host);
	if (in.failed)
		fail_msg("%s", in.why);
	spec = plugins_in_spec(&pi, of_plain);
	expect_same_spec(spec, plain);
	again_pins = spec_pins(spec, &pin_count);
	assert_int_equal(pin_count, 2);
	for (size_t i = 0; i < pin_count; i++) {
		assert_string_equal(again_pins[i].path, pins[i].path);
		assert_memory_equal(again_pins[i].digest, pins[i].digest, sizeof(pins[i].digest));
	}
	assert_string_equal(spec->config[0].value, "somebody");
	assert_string_equal(spec->config[0].origin, "/etc/plugd.yaml:3:21");
	again = plugins_in_version(&pi, of_version);
	expect_same_spec(again->spec, with_set);
	spec_pins(again->spec, &pin_count);
	assert_int_equal(pin_count, 0);
	assert_true(again->is_script && again->digest == version->digest);
	assert_memory_equal(&again->file, &version->file, sizeof(again->file));
	assert_null(plugins_in_version(&pi, 0));
	assert_null(plugins_in_version(&pi, 9));
	assert_true(in.failed);
	plugins_in_fini(&pi);
	state_in_fini(&in);
	spec_free(spec);
	version_unref(again);
	version_unref(version);
	spec_free(plain);
	spec_free(with_set);
}

/* What this plugd does not accept: its reason is the parser's own. */
static void
test_a_manifest_that_is_not_accepted(void **state)
{
	struct spec *spec = make_spec(NULL);
	struct plugins_out po;
	struct plugins_in pi;
	struct state_out out;
	struct state_in in;

	(void)state;
	state_out_init(&out);
	plugins_out_init(&po, &out, state_out_message(&out, &plugd__saved__descriptor));
	plugins_out_spec(&po, spec);
	po.saved->specs[0]->manifest->text = state_out_bytes("plugin: p\n", 10);
	state_through(&out, po.saved, true, &in);
	plugins_out_fini(&po);
	plugins_in_init(&pi, &in, &t.host);
	assert_true(in.failed);
	assert_non_null(strstr(in.why, "plugin.yaml:"));
	plugins_in_fini(&pi);
	state_in_fini(&in);
	spec_free(spec);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_specs_and_versions),
		TEST(test_a_manifest_that_is_not_accepted),
	};

	return cmocka_run_group_tests_name("state_spec", tests, NULL, NULL);
}
