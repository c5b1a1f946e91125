/* Manifests inside executables: ELF sections and comments of scripts. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <plug/manifest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/embedded.h"
#include "core/place.h"
#include "elf_image.h"

#define MANIFEST "plugin: self\nversion: 1.0.0\n"

PLUG_MANIFEST(MANIFEST);

#define BUFFER 4096

/* ---- scripts ---- */

static const struct {
	const char *name, *text, *manifest; /* NULL: refused */
	plug_err err;
	const char *why;
} scripts[] = {
	{"hash", "#!/bin/sh\n# ---plugin---\n# plugin: x\n# tags:\n#   - a\n# ---end---\nexit\n",
	 "\n\n  plugin: x\n  tags:\n    - a\n"},
	{"slashes", "#!/usr/bin/env node\n// ---plugin---\n// a: 1\n// ---end---\n",
	 "\n\n   a: 1\n"},
	{"dashes", "#!/usr/bin/lua\n-- ---plugin---\n-- a: 1\n-- ---end---\n", "\n\n   a: 1\n"},
	{"after a comment", "#!/bin/sh\n\n# Copyright\n#\n# ---plugin---\n# a: 1\n# ---end---",
	 "\n\n\n\n\n  a: 1\n"},
	{"blanks at ends", "#!/bin/sh\r\n# ---plugin---  \r\n# a: 1  \r\n#\r\n# ---end---\r\n",
	 "\n\n  a: 1\n\n"},
	{"empty", "#!/bin/sh\n# ---plugin---\n# ---end---\n", "\n\n"},
	{"no interpreter", "# ---plugin---\n# a: 1\n# ---end---\n", NULL, PLUG_ENOTFOUND},
	{"nothing", "", NULL, PLUG_ENOTFOUND},
	{"no block", "#!/bin/sh\n# a: 1\nexit\n", NULL, PLUG_ENOTFOUND},
	{"after code", "#!/bin/sh\nexit\n# ---plugin---\n# a: 1\n# ---end---\n", NULL,
	 PLUG_ENOTFOUND},
	{"no space before", "#!/bin/sh\n#---plugin---\n# a: 1\n# ---end---\n", NULL,
	 PLUG_ENOTFOUND},
	{"indented", "#!/bin/sh\n # ---plugin---\n # ---end---\n", NULL, PLUG_ENOTFOUND},
	{"no end", "#!/bin/sh\n# ---plugin---\n# a: 1\n", NULL, PLUG_EINVAL, "line 2 has no end"},
	{"code inside", "#!/bin/sh\n# ---plugin---\n# a: 1\nexit\n# ---end---\n", NULL, PLUG_EINVAL,
	 "line 4 is inside"},
	{"empty line inside", "#!/bin/sh\n# ---plugin---\n\n# ---end---\n", NULL, PLUG_EINVAL,
	 "line 3 is inside"},
	{"no space inside", "#!/bin/sh\n# ---plugin---\n#a: 1\n# ---end---\n", NULL, PLUG_EINVAL,
	 "line 3 is inside"},
	{"another prefix inside", "#!/bin/sh\n# ---plugin---\n// a: 1\n# ---end---\n", NULL,
	 PLUG_EINVAL, "line 3"},
	{"another prefix ends", "#!/bin/sh\n# ---plugin---\n// ---end---\n", NULL, PLUG_EINVAL,
	 "line 3"},
};

static void
test_scripts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		char why[EMBEDDED_WHY_BYTES] = "", *text;
		size_t size;
		plug_err err = script_manifest(scripts[i].text, strlen(scripts[i].text), false,
					       &text, &size, why);

		if (err != scripts[i].err)
			fail_msg("%s: %d %s", scripts[i].name, err, why);
		assert_true(!scripts[i].why || strstr(why, scripts[i].why));
		if (err)
			continue;
		assert_string_equal(text, scripts[i].manifest);
		assert_int_equal(size, strlen(scripts[i].manifest));
		free(text);
	}
}

/* What could be read ends in the middle of the block. */
static void
test_a_script_that_goes_on(void **state)
{
	static const char head[] = "#!/bin/sh\n# ---plugin---\n# a: 1\n";
	char why[EMBEDDED_WHY_BYTES], *text;
	size_t size;

	(void)state;
	assert_int_equal(script_manifest(head, strlen(head), true, &text, &size, why),
			 PLUG_ETOOLARGE);
	assert_non_null(strstr(why, "256 KiB"));
}

/* A mistake is told where it is in the script. */
static void
test_places_in_a_script(void **state)
{
	static const char script[] = "#!/bin/sh\n# ---plugin---\n# plugin: x\n# version: 1.0.0\n"
				     "# type: feature\n# colour: red\n# ---end---\n";
	struct manifest_input input = {.dir = "/d", .program = "/d/x"};
	char why[EMBEDDED_WHY_BYTES], line[DIAG_LINE_BYTES], *text;
	struct diags diags;
	size_t size;

	(void)state;
	assert_int_equal(script_manifest(script, strlen(script), false, &text, &size, why), 0);
	input.source = (struct yaml_source){.file = "/d/x", .text = text, .length = size};
	diags_init(&diags);
	assert_null(manifest_parse(&input, &diags));
	diag_format(diags.first, line, sizeof(line));
	assert_non_null(strstr(line, "/d/x:6:3: error: "));
	assert_null(diags.first->next); /* exec may be left out */
	diags_fini(&diags);
	free(text);
}

static void
test_the_file_is_the_program(void **state)
{
	static const char text[] = "plugin: x\nversion: 1.0.0\ntype: feature\n";
	struct manifest_input input = {
		.source = {.file = "/d/x", .text = text, .length = strlen(text)},
		.dir = "/d",
		.program = "/d/x"};
	struct manifest *manifest;
	struct diags diags;

	(void)state;
	diags_init(&diags);
	manifest = manifest_parse(&input, &diags);
	assert_non_null(manifest);
	assert_int_equal(manifest->exec.count, 1);
	assert_string_equal(manifest->exec.items[0], "/d/x");
	manifest_free(manifest);
	input.program = NULL;
	assert_null(manifest_parse(&input, &diags));
	assert_int_equal(diags.errors, 1);
	diags_fini(&diags);
}

/* ---- ELF ---- */

static plug_err
read_image(const uint8_t *bytes, size_t size, char **text, size_t *text_size,
	   char why[EMBEDDED_WHY_BYTES])
{
	struct elf_image_bytes image = {.bytes = bytes, .size = size};
	struct embedded_file file = {.size = size, .read = elf_image_read, .context = &image};
	plug_err err = elf_manifest(&file, text, text_size, why);

	assert_true(image.reads < 64);
	return err;
}

static struct elf_image
plain(void)
{
	return (struct elf_image){.wide = true,
				  .type = ET_DYN,
				  .text = MANIFEST,
				  .size = sizeof(MANIFEST),
				  .copies = 1};
}

static void
test_classes_and_orders(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct elf_image image = plain();
		uint8_t bytes[BUFFER];
		char why[EMBEDDED_WHY_BYTES], *text;
		size_t size, text_size;

		image.wide = i & 1;
		image.big = i & 2;
		image.type = i & 4 ? ET_DYN : ET_EXEC;
		size = elf_image_write(&image, bytes, sizeof(bytes));
		assert_int_equal(read_image(bytes, size, &text, &text_size, why), PLUG_OK);
		assert_string_equal(text, MANIFEST);
		assert_int_equal(text_size, strlen(MANIFEST));
		free(text);
	}
}

static void
expect(const struct elf_image *image, plug_err expected, const char *part)
{
	static uint8_t bytes[2 * EMBEDDED_BYTES];
	char why[EMBEDDED_WHY_BYTES] = "", *text = NULL;
	size_t size = elf_image_write(image, bytes, sizeof(bytes)), text_size;

	assert_true(size > 0);
	assert_int_equal(read_image(bytes, size, &text, &text_size, why), expected);
	assert_true(!part || strstr(why, part));
	free(text);
}

static void
test_what_is_refused(void **state)
{
	static char large[EMBEDDED_BYTES + 1];
	struct elf_image image = plain();

	(void)state;
	image.copies = 0;
	expect(&image, PLUG_ENOTFOUND, NULL);
	image.copies = 2;
	expect(&image, PLUG_EINVAL, "2 sections");
	image = plain();
	image.type = ET_REL;
	expect(&image, PLUG_ENOTFOUND, NULL);
	image = plain();
	image.text = "a\0b";
	image.size = 4;
	expect(&image, PLUG_EINVAL, "a NUL inside");
	memset(large, '#', sizeof(large));
	image.text = large;
	image.size = sizeof(large);
	expect(&image, PLUG_ETOOLARGE, "256 KiB");
	image.size = EMBEDDED_BYTES;
	expect(&image, PLUG_OK, NULL);
}

/* Cut off anywhere, and with every byte changed to what hurts: an answer, and nothing read outside
 * (which traps). */
static void
test_damage(void **state)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct elf_image image = plain();
	uint8_t bytes[BUFFER], changed[BUFFER];

	(void)state;
	for (unsigned wide = 0; wide < 2; wide++) {
		char why[EMBEDDED_WHY_BYTES], *text;
		size_t size, text_size;

		image.wide = wide;
		size = elf_image_write(&image, bytes, sizeof(bytes));
		for (size_t cut = 0; cut < size; cut++)
			assert_int_not_equal(read_image(bytes, cut, &text, &text_size, why),
					     PLUG_OK);
		for (size_t at = 0; at < size * sizeof(values); at++) {
			memcpy(changed, bytes, size);
			changed[at / sizeof(values)] = values[at % sizeof(values)];
			if (!read_image(changed, size, &text, &text_size, why))
				free(text);
		}
	}
}

static bool
read_fd(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	return pread(*(int *)context, buffer, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* What compiler and linker make of PLUG_MANIFEST(), in this program. */
static void
test_this_program(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct embedded_file file = {
		.size = (uint64_t)lseek(fd, 0, SEEK_END), .read = read_fd, .context = &fd};
	char why[EMBEDDED_WHY_BYTES] = "", *text = NULL;
	size_t size;

	(void)state;
	assert_int_equal(elf_manifest(&file, &text, &size, why), PLUG_OK);
	assert_string_equal(text, MANIFEST);
	free(text);
	close(fd);
}

/* ---- places ---- */

static const struct {
	const char *root, *path, *store, *category; /* store NULL: not below it */
} places[] = {
	{"/p", "/p/a/plugin.yaml", "", ""},
	{"/p", "/p/plugin.yaml", "", ""},
	{"/p", "/p/single", "", ""},
	{"/p", "/p/devices/a/plugin.yaml", "", "devices"},
	{"/p", "/p/devices/more/a/plugin.yaml", "", "devices"},
	{"/p", "/p/devices/single", "", "devices"},
	{"/p", "/p/community/a/plugin.yaml", "community", ""},
	{"/p", "/p/community/single", "community", ""},
	{"/p", "/p/optional/models/a/plugin.yaml", "optional", "models"},
	{"/p", "/p/community/plugin.yaml", "", ""}, /* that folder is the plugin */
	{"/p/builtin", "/p/builtin/models/a/plugin.yaml", "builtin", "models"},
	{"/p/builtin/", "/p/builtin/community/a/plugin.yaml", "builtin", "community"},
	{"/", "/devices/a/plugin.yaml", "", "devices"},
	{"/p", "/pp/a/plugin.yaml", NULL, NULL},
	{"/p/q", "/p/a/plugin.yaml", NULL, NULL},
};

static void
test_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct place place;

		if (place_of(places[i].root, places[i].path, &place) != (places[i].store != NULL))
			fail_msg("%s in %s", places[i].path, places[i].root);
		if (!places[i].store)
			continue;
		if (strcmp(place_store_name(place.store), places[i].store) ||
		    strcmp(place.category, places[i].category))
			fail_msg("%s in %s: \"%s\" \"%s\"", places[i].path, places[i].root,
				 place_store_name(place.store), place.category);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_a_script_that_goes_on),
		cmocka_unit_test(test_places_in_a_script),
		cmocka_unit_test(test_the_file_is_the_program),
		cmocka_unit_test(test_classes_and_orders),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_this_program),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
