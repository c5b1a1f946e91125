/*
 * reference TEMPLATE OUTPUT: copy a page, and put tables where the template says so.
 *
 * A line "@keys manifest@" becomes the keys of plugin.yaml; likewise for "config" (one declaration)
 * and "settings" (plugd.yaml).  "@contracts types@" becomes the table of contracts, in markdown. An
 * output that ends with .md is written as markdown, any other as roff.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

static int
fail(const char *name, const char *reason)
{
	fprintf(stderr, "reference: %s: %s\n", name, reason);
	return 1;
}

/* False for a placeholder that means nothing. */
static bool
expand(const char *line, const struct reference_format *format, FILE *out)
{
	const struct reference_part *part;
	char verb[32], name[32];

	if (sscanf(line, "@%31[a-z] %31[a-z]@", verb, name) != 2)
		return false;
	part = reference_find(name);
	if (part && !strcmp(verb, "keys"))
		reference_keys(part, format, out);
	else if (!strcmp(verb, "contracts") && format == &reference_markdown)
		reference_contracts(out);
	else
		return false;
	return true;
}

static int
copy(FILE *in, FILE *out, const struct reference_format *format, const char *template)
{
	char *line = NULL;
	size_t size = 0;
	int rc = 0;

	while (!rc && getline(&line, &size, in) >= 0) {
		if (line[0] != '@')
			fputs(line, out);
		else if (!expand(line, format, out))
			rc = fail(template, line);
	}
	free(line);
	return rc;
}

int
main(int argc, char **argv)
{
	const struct reference_format *format = &reference_man;
	FILE *in, *out;
	size_t length;
	int rc;

	if (argc != 3)
		return fail("usage", "reference TEMPLATE OUTPUT");
	length = strlen(argv[2]);
	if (length > 3 && !strcmp(argv[2] + length - 3, ".md"))
		format = &reference_markdown;
	in = fopen(argv[1], "r");
	if (!in)
		return fail(argv[1], "cannot be read");
	out = fopen(argv[2], "w");
	if (!out) {
		fclose(in);
		return fail(argv[2], "cannot be written");
	}
	rc = copy(in, out, format, argv[1]);
	fclose(in);
	if (fclose(out))
		rc = fail(argv[2], "cannot be written");
	return rc;
}
