/* An executable: a manifest is found in it or not, and nothing is read outside it. */
#include <string.h>

#include "core/embedded.h"
#include "elf_image.h"
#include "fuzz.h"

static void
check(plug_err err, const char *text, size_t size, const char *why)
{
	CHECK(err == PLUG_OK || err == PLUG_ENOTFOUND || err == PLUG_EINVAL ||
	      err == PLUG_ETOOLARGE);
	CHECK(memchr(why, 0, EMBEDDED_WHY_BYTES));
	CHECK(!*why == (err == PLUG_OK || err == PLUG_ENOTFOUND));
	if (err)
		return;
	CHECK(size <= FUZZ_INPUT_MAX + 1 && !text[size]);
}

static void
look_for_section(const uint8_t *data, size_t size)
{
	struct elf_image_bytes image = {.bytes = data, .size = size};
	struct embedded_file file = {.size = size, .read = elf_image_read, .context = &image};
	char why[EMBEDDED_WHY_BYTES] = "", *text = NULL;
	size_t text_size = 0;
	plug_err err = elf_manifest(&file, &text, &text_size, why);

	check(err, text, text_size, why);
	CHECK(image.reads < 16384);
	if (!err)
		CHECK(!memchr(text, 0, text_size));
	free(text);
}

static size_t
lines_of(const char *text, size_t size)
{
	size_t lines = 0;

	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	return lines;
}

static void
look_for_comment(const uint8_t *data, size_t size, bool more)
{
	char why[EMBEDDED_WHY_BYTES] = "", *text = NULL;
	size_t text_size = 0;
	plug_err err = script_manifest((const char *)data, size, more, &text, &text_size, why);

	check(err, text, text_size, why);
	if (!err) /* every line is where it was */
		CHECK(lines_of(text, text_size) <= lines_of((const char *)data, size));
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1); /* so that reading on is seen */

	CHECK(copy);
	memcpy(copy, data, size);
	look_for_section(copy, size);
	look_for_comment(copy, size, false);
	look_for_comment(copy, size, true);
	free(copy);
	return 0;
}

static const char *const scripts[] = {
	"#!/bin/sh\n# ---plugin---\n# plugin: x\n# ---end---\nexit 0\n",
	"#!/usr/bin/env node\n\n// licence\n// ---plugin---\n//\n// a: 1\n// ---end---\n",
	"#!/usr/bin/lua\r\n-- ---plugin--- \r\n-- a: 1\r\n-- ---end---\r\n",
	"#!/bin/sh\n# ---plugin---\n# plugin: x\n",
};

#define SCRIPTS  (sizeof(scripts) / sizeof(scripts[0]))
#define MANIFEST "plugin: x\nversion: 1.0.0\ntype: feature\n"

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	struct elf_image image = {.wide = number & 1,
				  .big = number & 2,
				  .type = number & 4 ? ET_DYN : ET_EXEC,
				  .text = MANIFEST,
				  .size = sizeof(MANIFEST),
				  .copies = 1 + number / 8 % 2};

	if (number < 16)
		return elf_image_write(&image, buf, capacity);
	number -= 16;
	if (number >= SCRIPTS)
		return 0;
	memcpy(buf, scripts[number], strlen(scripts[number]));
	return strlen(scripts[number]);
}
