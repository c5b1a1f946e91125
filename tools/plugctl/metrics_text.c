/* prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4. */
#include <stdio.h>
#include <stdlib.h>

#include "metrics.h"
#include "out.h"

/* A backslash, a newline and, in a label, a quote are escaped; all other text is taken as it is. */
static void
put_escaped(FILE *to, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", to);
		else if (*text == '\\' || (quotes && *text == '"'))
			fprintf(to, "\\%c", *text);
		else
			putc(*text, to);
	}
}

static void
put_labels(FILE *to, json_t *labels)
{
	const char *key, *before = "{";
	json_t *value;

	json_object_foreach(labels, key, value)
	{
		fprintf(to, "%s%s=\"", before, key);
		put_escaped(to, json_string_value(value), true);
		putc('"', to);
		before = ",";
	}
	if (json_object_size(labels))
		putc('}', to);
}

static void
put_sample(FILE *to, const json_t *sample)
{
	const json_t *value = json_object_get(sample, "value");

	fputs(json_string_value(json_object_get(sample, "name")), to);
	put_labels(to, json_object_get(sample, "labels"));
	if (json_is_integer(value))
		fprintf(to, " %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
	else
		fprintf(to, " %.15g\n", json_real_value(value));
}

static void
put_family(FILE *to, const json_t *family)
{
	const char *name = json_string_value(json_object_get(family, "name"));
	const json_t *samples = json_object_get(family, "samples"), *sample;
	size_t i;

	fprintf(to, "# HELP %s ", name);
	put_escaped(to, json_string_value(json_object_get(family, "help")), false);
	fprintf(to, "\n# TYPE %s %s\n", name, json_string_value(json_object_get(family, "type")));
	json_array_foreach(samples, i, sample)
	{
		put_sample(to, sample);
	}
}

char *
metrics_text(const json_t *families)
{
	char *text = NULL;
	size_t size, i;
	FILE *to = out_must(open_memstream(&text, &size));
	const json_t *family;

	json_array_foreach(families, i, family)
	{
		put_family(to, family);
	}
	return out_must(fclose(to) ? NULL : text);
}
