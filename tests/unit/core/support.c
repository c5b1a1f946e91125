#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct yaml_source
text_source(const char *file, const char *text)
{
	return (struct yaml_source){.file = file, .text = text, .length = strlen(text)};
}

struct manifest *
parse_manifest(const char *text, struct diags *diags)
{
	struct manifest_input input = {.source = text_source("plugin.yaml", text),
				       .dir = "/plugins/echo"};

	return manifest_parse(&input, diags);
}

struct settings *
parse_settings(const char *text, struct diags *diags)
{
	struct settings_input input = {.source = text_source("plugd.yaml", text),
				       .dir = "/etc/plugd"};

	return settings_parse(&input, diags);
}

static void
append_line(void *context, const char *text)
{
	FILE *out = context;

	fprintf(out, "%s\n", text);
}

char *
diags_text(const struct diags *diags)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	diags_each(diags, append_line, out);
	fclose(out);
	return text;
}

void
assert_diag(const struct diags *diags, const char *expected)
{
	char *text = diags_text(diags);
	bool found = strstr(text, expected) != NULL;

	if (!found)
		print_error("expected:\n%s\ngot:\n%s", expected, text);
	free(text);
	assert_true(found);
}

void
assert_no_diag(const struct diags *diags)
{
	char *text = diags_text(diags);

	if (*text)
		print_error("unexpected:\n%s", text);
	free(text);
	assert_int_equal(diags->errors + diags->warnings, 0);
}

void
assert_places(const struct diags *diags)
{
	for (const struct diag *diag = diags->first; diag; diag = diag->next) {
		assert_true(*diag->pos.file);
		if (!diag->pos.line || !diag->pos.column)
			print_error("no place: %s\n", diag->message);
		assert_true(diag->pos.line && diag->pos.column);
		assert_true(*diag->message);
	}
}
