#include <string.h>

#include "reference.h"

/* ---- markdown ---- */

/* A table's cell ends at a bar. */
static void
cell(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, *text == '|' ? "\\|" : "%c", *text);
}

static void
markdown_begin(FILE *out)
{
	fputs("| key | value | default | meaning |\n|---|---|---|---|\n", out);
}

static void
markdown_key(FILE *out, const struct reference_key *key)
{
	fprintf(out, "| `%s` | ", key->path);
	cell(out, key->expected);
	fprintf(out, " | ");
	if (key->field->flags & FIELD_REQUIRED)
		fputs("**required**", out);
	else if (key->field->fallback)
		fprintf(out, "`%s`", key->field->fallback);
	fputs(" | ", out);
	cell(out, key->field->help);
	if (key->overridable)
		fputs(" †", out);
	fputs(" |\n", out);
}

static void
markdown_end(FILE *out)
{
	(void)out;
}

const struct reference_format reference_markdown = {
	.begin = markdown_begin,
	.key = markdown_key,
	.end = markdown_end,
};

/* ---- roff ---- */

static void
roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++)
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
}

static void
man_key(FILE *out, const struct reference_key *key)
{
	fputs(".TP\n.B ", out);
	roff(out, key->path);
	fputs("\n", out);
	roff(out, key->field->help);
	fputs("\nExpected: ", out);
	roff(out, key->expected);
	fputs(".\n", out);
	if (key->field->flags & FIELD_REQUIRED)
		fputs("Required.\n", out);
	if (key->field->fallback) {
		fputs("Default: ", out);
		roff(out, key->field->fallback);
		fputs(".\n", out);
	}
}

static void
man_nothing(FILE *out)
{
	(void)out;
}

const struct reference_format reference_man = {
	.begin = man_nothing,
	.key = man_key,
	.end = man_nothing,
};
