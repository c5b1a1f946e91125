/* The runtime layer as text: YAML in ASCII, so that the one parser reads it whatever is in it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "core/runtime.h"

#define FORMAT      1
#define VALUES_MAX  256
#define NUMBER_TEXT 24

/* ---- writing ---- */

static void
put_text(FILE *out, const char *text)
{
	size_t left = strlen(text);

	fputc('"', out);
	while (left) {
		size_t bytes = utf8_sequence(text, left);
		uint32_t code = bytes ? utf8_decode(text, bytes) : '?';

		if (code == '"' || code == '\\')
			fprintf(out, "\\%c", (int)code);
		else if (code == '\n' || code == '\t')
			fprintf(out, "\\%c", code == '\n' ? 'n' : 't');
		else if (code >= 0x20 && code < 0x7f)
			fputc((int)code, out);
		else
			fprintf(out, code > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)code);
		text += bytes ? bytes : 1;
		left -= bytes ? bytes : 1;
	}
	fputc('"', out);
}

static void
put_member(FILE *out, const char *name, const char *text)
{
	if (!text)
		return;
	fprintf(out, ", \"%s\": ", name);
	put_text(out, text);
}

static void
put_change(FILE *out, const struct runtime_change *change)
{
	fprintf(out, "  {\"number\": %" PRIu32 ", \"time_ms\": %" PRIu64 ", \"uid\": %" PRIu32,
		change->number, change->time_ms, change->uid);
	put_member(out, "what", change->what);
	fputs(", \"edits\": [", out);
	for (size_t i = 0; i < change->count; i++) {
		const struct runtime_edit *edit = &change->edits[i];

		fputs(i ? ",\n    {\"key\": " : "\n    {\"key\": ", out);
		put_text(out, edit->key);
		put_member(out, "before", edit->before);
		put_member(out, "after", edit->after);
		fprintf(out, "%s}", edit->secret ? ", \"secret\": true" : "");
	}
	fputs("]}", out);
}

static void
put_value(FILE *out, const struct runtime_value *value)
{
	fputs("  {\"key\": ", out);
	put_text(out, value->key);
	put_member(out, "text", value->text);
	fprintf(out, ", \"number\": %" PRIu32 ", \"time_ms\": %" PRIu64 "}", value->number,
		value->time_ms);
}

/* With the changes from `first` on. */
static char *
format_from(const struct runtime *runtime, size_t first, size_t *ret_size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);
	bool failed;

	if (!out)
		return NULL;
	fprintf(out, "{\"format\": %d, \"last\": %" PRIu32 ",\n\"values\": [", FORMAT,
		runtime->last_number);
	for (size_t i = 0; i < runtime->value_count; i++) {
		fputs(i ? ",\n" : "\n", out);
		put_value(out, &runtime->values[i]);
	}
	fputs("],\n\"changes\": [", out);
	for (size_t i = first; i < runtime->change_count; i++) {
		fputs(i > first ? ",\n" : "\n", out);
		put_change(out, &runtime->changes[i]);
	}
	fputs("]}\n", out);
	failed = ferror(out);
	if (!fclose(out) && !failed)
		return text;
	free(text);
	return NULL;
}

char *
runtime_format(const struct runtime *runtime, size_t *ret_size)
{
	for (size_t first = 0;; first++) {
		char *text = format_from(runtime, first, ret_size);

		if (!text || *ret_size <= RUNTIME_BYTES || first >= runtime->change_count)
			return text;
		free(text);
	}
}

/* ---- reading ---- */

struct reader {
	struct runtime *runtime;
	struct diags *diags;
	const char *file;
};

static bool
wrong(struct reader *r, const struct yaml_node *node, const char *expected)
{
	struct diag_pos pos = {r->file, node->line, node->column};

	diag_error(r->diags, &pos,
		   "expected %s; this file is plugd's own: put back what was in it, or remove it "
		   "and set the values anew",
		   expected);
	return false;
}

static bool
take_number(struct reader *r, const struct yaml_node *map, const char *name, uint64_t max,
	    uint64_t *ret)
{
	const struct yaml_node *node = yaml_get(map, name);
	unsigned long long number;
	char *end;

	if (!node || node->kind != YAML_SCALAR || *node->text < '0' || *node->text > '9' ||
	    strlen(node->text) >= NUMBER_TEXT)
		return wrong(r, node ? node : map, "a number");
	errno = 0;
	number = strtoull(node->text, &end, 10);
	if (*end || errno || number > max)
		return wrong(r, node, "a smaller number");
	*ret = number;
	return true;
}

/* *ret stays NULL where it is left out. */
static bool
take_text(struct reader *r, const struct yaml_node *map, const char *name, bool required,
	  const char **ret)
{
	const struct yaml_node *node = yaml_get(map, name);

	if (!node && !required)
		return true;
	if (!node || node->kind != YAML_SCALAR)
		return wrong(r, node ? node : map, "text");
	*ret = node->text; /* the tree is the arena's, too */
	return true;
}

static const struct yaml_node *
want_list(struct reader *r, const struct yaml_node *map, const char *name, size_t max)
{
	const struct yaml_node *node = yaml_get(map, name);

	if (node && node->kind == YAML_LIST && node->count <= max)
		return node;
	wrong(r, node ? node : map, "a list");
	return NULL;
}

static bool
read_values(struct reader *r, const struct yaml_node *root)
{
	const struct yaml_node *list = want_list(r, root, "values", VALUES_MAX);
	struct runtime_value *values;
	size_t i = 0;

	if (!list)
		return false;
	values = arena_array(&r->runtime->arena, list->count + 1, sizeof(*values));
	if (!values)
		return wrong(r, list, "memory");
	for (const struct yaml_node *node = list->first; node; node = node->next, i++) {
		uint64_t number;

		if (!take_text(r, node, "key", true, &values[i].key) ||
		    !take_text(r, node, "text", true, &values[i].text) ||
		    !take_number(r, node, "number", UINT32_MAX, &number) ||
		    !take_number(r, node, "time_ms", UINT64_MAX, &values[i].time_ms))
			return false;
		if (i && strcmp(values[i - 1].key, values[i].key) >= 0)
			return wrong(r, node, "keys in their order");
		values[i].number = (uint32_t)number;
	}
	r->runtime->values = values;
	r->runtime->value_count = i;
	return true;
}

static bool
read_edits(struct reader *r, const struct yaml_node *map, struct runtime_change *change)
{
	const struct yaml_node *list = want_list(r, map, "edits", RUNTIME_EDITS);
	struct runtime_edit *edits;

	if (!list)
		return false;
	edits = arena_array(&r->runtime->arena, list->count + 1, sizeof(*edits));
	if (!edits)
		return wrong(r, list, "memory");
	change->edits = edits;
	for (const struct yaml_node *node = list->first; node; node = node->next, edits++) {
		if (!take_text(r, node, "key", true, &edits->key) ||
		    !take_text(r, node, "before", false, &edits->before) ||
		    !take_text(r, node, "after", false, &edits->after))
			return false;
		edits->secret = yaml_get(node, "secret") != NULL;
		change->count++;
	}
	return true;
}

static bool
read_changes(struct reader *r, const struct yaml_node *root)
{
	const struct yaml_node *list = want_list(r, root, "changes", RUNTIME_CHANGES);
	struct runtime_change *changes;
	size_t i = 0;

	if (!list)
		return false;
	changes = arena_array(&r->runtime->arena, list->count + 1, sizeof(*changes));
	if (!changes)
		return wrong(r, list, "memory");
	for (const struct yaml_node *node = list->first; node; node = node->next, i++) {
		uint64_t number, uid;

		if (!take_number(r, node, "number", UINT32_MAX, &number) ||
		    !take_number(r, node, "time_ms", UINT64_MAX, &changes[i].time_ms) ||
		    !take_number(r, node, "uid", UINT32_MAX, &uid) ||
		    !take_text(r, node, "what", true, &changes[i].what) ||
		    !read_edits(r, node, &changes[i]))
			return false;
		/* They end with the last, without a gap: what leads back counts on that. */
		if (number != r->runtime->last_number - (list->count - 1 - i))
			return wrong(r, node, "changes in their order");
		changes[i].number = (uint32_t)number;
		changes[i].uid = (uint32_t)uid;
	}
	r->runtime->changes = changes;
	r->runtime->change_count = i;
	return true;
}

static bool
read_all(struct reader *r, const struct yaml_node *root)
{
	uint64_t format, last;

	if (!take_number(r, root, "format", UINT32_MAX, &format))
		return false;
	if (format != FORMAT)
		return wrong(r, root, "format 1, which this plugd knows");
	if (!take_number(r, root, "last", UINT32_MAX - 1, &last))
		return false;
	r->runtime->last_number = (uint32_t)last;
	return read_values(r, root) && read_changes(r, root);
}

struct runtime *
runtime_parse(const struct yaml_source *source, struct diags *diags)
{
	struct reader r = {runtime_new(), diags, source->file};
	const struct yaml_node *root;

	if (!r.runtime) {
		diag_error(diags, &(struct diag_pos){.file = source->file}, "out of memory");
		return NULL;
	}
	root = yaml_parse(source, &r.runtime->arena, diags);
	if (root && read_all(&r, root) && !r.runtime->arena.failed)
		return r.runtime;
	runtime_free(r.runtime);
	return NULL;
}
