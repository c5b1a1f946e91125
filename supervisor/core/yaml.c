/*
 * libfyaml's event stream, turned into nodes by one frame a level: nothing here recurses, and what
 * libfyaml would still resolve (aliases, tags) never gets that far.  Its document API is not used:
 * it recurses, resolves and reports duplicates only after the whole text.
 */
#include "core/yaml.h"

#include <libfyaml.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "core/text.h"

struct frame {
	struct yaml_node *node;
	struct yaml_node *last;    /* child */
	struct yaml_node *pending; /* child of a mapping whose key is read, and its value is not */
};

struct builder {
	const struct yaml_source *source;
	struct arena *arena;
	struct diags *diags;
	struct frame frames[YAML_DEPTH];
	unsigned depth; /* open frames */
	unsigned nodes;
	unsigned documents;
	struct yaml_node *root;
	unsigned line, column; /* of the event before, for events without a place */
};

static bool __attribute__((format(printf, 4, 5)))
refuse(struct builder *b, unsigned line, unsigned column, const char *format, ...)
{
	struct diag_pos pos = {.file = b->source->file, .line = line, .column = column};
	char message[256];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	diag_error(b->diags, &pos, "%s", message);
	return false;
}

static bool
refuse_here(struct builder *b, const char *message)
{
	return refuse(b, b->line, b->column, "%s", message);
}

static bool
no_memory(struct builder *b)
{
	return refuse_here(b, "out of memory while reading this file");
}

static struct yaml_node *
new_node(struct builder *b, enum yaml_kind kind)
{
	struct yaml_node *node;

	if (++b->nodes > YAML_NODES) {
		refuse(b, b->line, b->column, "more than %d values; expected no more in one file",
		       YAML_NODES);
		return NULL;
	}
	node = arena_alloc(b->arena, sizeof(*node));
	if (!node) {
		no_memory(b);
		return NULL;
	}
	node->kind = kind;
	node->line = b->line;
	node->column = b->column;
	return node;
}

/* Hang a finished or just opened value where the innermost open list or mapping wants it. */
static bool
attach(struct builder *b, struct yaml_node *node)
{
	struct frame *top = b->depth ? &b->frames[b->depth - 1] : NULL;

	if (!top) {
		b->root = node;
		return true;
	}
	if (top->node->kind == YAML_MAP) {
		node->key = top->pending->key;
		node->key_line = top->pending->key_line;
		node->key_column = top->pending->key_column;
		top->pending = NULL;
	}
	if (top->last)
		top->last->next = node;
	else
		top->node->first = node;
	top->last = node;
	top->node->count++;
	return true;
}

static bool
wants_key(const struct builder *b)
{
	const struct frame *top = b->depth ? &b->frames[b->depth - 1] : NULL;

	return top && top->node->kind == YAML_MAP && !top->pending;
}

static bool
key_is_new(struct builder *b, const char *key)
{
	const struct yaml_node *map = b->frames[b->depth - 1].node;
	const struct yaml_node *same = yaml_get(map, key);

	if (same)
		return refuse(
			b, b->line, b->column,
			"key \"%.64s\" again; it is already at line %u; expected each key once",
			key, same->key_line);
	if (map->count >= YAML_ENTRIES)
		return refuse(b, b->line, b->column,
			      "more than %d keys; expected no more in one mapping", YAML_ENTRIES);
	return true;
}

/* The key's own node waits for the value, which takes its key_* over. */
static bool
take_key(struct builder *b, struct yaml_node *scalar)
{
	if (scalar->kind != YAML_SCALAR || !*scalar->text)
		return refuse_here(b, "a key is missing before the \":\"; expected KEY: VALUE");
	if (!key_is_new(b, scalar->text))
		return false;
	scalar->key = scalar->text;
	scalar->key_line = scalar->line;
	scalar->key_column = scalar->column;
	b->frames[b->depth - 1].pending = scalar;
	return true;
}

static bool
is_null_text(const char *text)
{
	return !*text || !strcmp(text, "~") || !strcmp(text, "null");
}

/*
 * libfyaml 0.7.12 leaks while it joins a text in single quotes that has '' next to '', 50 bytes a
 * pair: the source between the marks is looked at before the text is asked for.
 */
static bool
leaks_in_libfyaml(const struct builder *b, struct fy_token *token)
{
	const struct fy_mark *start = fy_token_start_mark(token), *end = fy_token_end_mark(token);

	if (fy_token_scalar_style(token) != FYSS_SINGLE_QUOTED || !start || !end ||
	    start->input_pos > end->input_pos || end->input_pos > b->source->length)
		return false;
	return memmem(b->source->text + start->input_pos, end->input_pos - start->input_pos, "''''",
		      4);
}

static bool
fill_scalar(struct builder *b, struct yaml_node *node, struct fy_token *token)
{
	size_t length = 0;
	const char *text;

	if (token && leaks_in_libfyaml(b, token))
		return refuse_here(b,
				   "'''' in a text in single quotes; expected it in double quotes");
	text = token ? fy_token_get_text(token, &length) : "";
	if (!text)
		return no_memory(b);
	if (!text_is_clean(text, length))
		return refuse_here(b,
				   "an escape in this text stands for a control character or for "
				   "no character at all; expected text");
	node->text = arena_strndup(b->arena, text, length);
	if (!node->text)
		return no_memory(b);
	node->quoted = token && fy_token_scalar_style(token) != FYSS_PLAIN;
	if (!node->quoted && is_null_text(node->text)) {
		node->kind = YAML_NULL;
		node->text = NULL;
	}
	return true;
}

static bool
on_scalar(struct builder *b, struct fy_token *token)
{
	struct yaml_node *node = new_node(b, YAML_SCALAR);

	if (!node || !fill_scalar(b, node, token))
		return false;
	return wants_key(b) ? take_key(b, node) : attach(b, node);
}

static bool
on_open(struct builder *b, enum yaml_kind kind)
{
	struct yaml_node *node;

	if (wants_key(b))
		return refuse_here(
			b,
			"a key must be plain text, not a list or a mapping; expected KEY: VALUE");
	if (b->depth == YAML_DEPTH)
		return refuse(b, b->line, b->column,
			      "nested deeper than %d levels; expected no more", YAML_DEPTH);
	node = new_node(b, kind);
	if (!node || !attach(b, node))
		return false;
	b->frames[b->depth++] = (struct frame){.node = node};
	return true;
}

static bool
on_document(struct builder *b)
{
	if (b->documents++)
		return refuse_here(b, "a second document begins here; expected one in a file");
	return true;
}

static bool
refuse_decoration(struct builder *b, struct fy_event *event)
{
	if (event->type == FYET_ALIAS)
		return refuse_here(b, "aliases (*name) are not used here; expected the value "
				      "again, or in quotes if the * is part of it");
	if (fy_event_get_anchor_token(event))
		return refuse_here(b, "anchors (&name) are not used here; expected a plain value, "
				      "in quotes if the & is part of it");
	if (fy_event_get_tag_token(event))
		return refuse_here(b, "tags (!name) are not used here; expected a plain value, in "
				      "quotes if the ! is part of it");
	return true;
}

static bool
is_in_quotes(struct fy_event *event)
{
	struct fy_token *token = event->type == FYET_SCALAR ? fy_event_get_token(event) : NULL;
	enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;

	return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
}

static void
note_place(struct builder *b, struct fy_event *event)
{
	const struct fy_mark *mark = fy_event_start_mark(event);

	if (!mark || mark->line < 0 || mark->column < 0)
		return;
	b->line = (unsigned)mark->line + 1;
	b->column = (unsigned)mark->column + 1;
	if (is_in_quotes(event) && b->column > 1)
		b->column--; /* libfyaml's mark is behind the quote */
}

static bool
on_event(struct builder *b, struct fy_event *event)
{
	note_place(b, event);
	if (!refuse_decoration(b, event))
		return false;
	switch (event->type) {
	case FYET_DOCUMENT_START:
		return on_document(b);
	case FYET_SCALAR:
		return on_scalar(b, fy_event_get_token(event));
	case FYET_MAPPING_START:
		return on_open(b, YAML_MAP);
	case FYET_SEQUENCE_START:
		return on_open(b, YAML_LIST);
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		b->depth--;
		return true;
	default:
		return true;
	}
}

/* Only the first: what follows it is confusion. */
static bool
report_syntax(struct builder *b, struct fy_diag *collected)
{
	void *iterator = NULL;
	struct fy_diag_error *error;

	while ((error = fy_diag_errors_iterate(collected, &iterator)))
		if (error->type == FYET_ERROR)
			return refuse(b, error->line > 0 ? (unsigned)error->line : b->line,
				      error->column > 0 ? (unsigned)error->column : b->column,
				      "not valid YAML: %s; expected YAML 1.2", error->msg);
	return refuse_here(b, "not valid YAML, or out of memory while reading it");
}

static bool
read_events(struct builder *b, struct fy_parser *parser, struct fy_diag *collected)
{
	bool ended = false, fine = true;

	while (fine && !ended) {
		struct fy_event *event = fy_parser_parse(parser);

		if (!event)
			return report_syntax(b, collected);
		ended = event->type == FYET_STREAM_END;
		fine = on_event(b, event);
		fy_parser_event_free(parser, event);
	}
	if (fine && fy_parser_get_stream_error(parser))
		return report_syntax(b, collected);
	return fine;
}

static bool
run_parser(struct builder *b)
{
	struct fy_diag_cfg diag_cfg;
	struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG |
					    FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE};
	struct fy_parser *parser = NULL;
	bool fine = false;

	fy_diag_cfg_default(&diag_cfg);
	diag_cfg.fp = NULL;
	diag_cfg.colorize = false;
	cfg.diag = fy_diag_create(&diag_cfg);
	if (cfg.diag) {
		fy_diag_set_collect_errors(cfg.diag, true);
		parser = fy_parser_create(&cfg);
	}
	if (!parser || fy_parser_set_string(parser, b->source->text, b->source->length))
		no_memory(b);
	else
		fine = read_events(b, parser, cfg.diag);
	fy_parser_destroy(parser);
	fy_diag_destroy(cfg.diag);
	return fine;
}

static bool
check_text(struct builder *b)
{
	struct text_fault fault;

	if (b->source->length > YAML_BYTES)
		return refuse(b, 1, 1, "the file has %zu bytes; expected at most %zu",
			      b->source->length, YAML_BYTES);
	if (!text_check(b->source->text, b->source->length, &fault))
		return refuse(b, fault.line, fault.column, "%s", fault.what);
	return true;
}

const struct yaml_node *
yaml_parse(const struct yaml_source *source, struct arena *arena, struct diags *diags)
{
	struct builder b = {
		.source = source, .arena = arena, .diags = diags, .line = 1, .column = 1};

	if (!check_text(&b))
		return NULL;
	if (source->length && !run_parser(&b))
		return NULL;
	if (b.root)
		return b.root;
	b.line = b.column = 1;
	return new_node(&b, YAML_NULL);
}

const struct yaml_node *
yaml_get(const struct yaml_node *map, const char *key)
{
	if (map->kind != YAML_MAP)
		return NULL;
	for (const struct yaml_node *child = map->first; child; child = child->next)
		if (!strcmp(child->key, key))
			return child;
	return NULL;
}

/* Cut `text` to `room` bytes without splitting a character. */
static size_t
cut_length(const char *text, size_t room)
{
	size_t length = strlen(text), used = 0, bytes;

	if (length <= room)
		return length;
	while ((bytes = utf8_sequence(text + used, length - used)) && used + bytes <= room)
		used += bytes;
	return used;
}

void
yaml_found(const struct yaml_node *node, char buffer[YAML_FOUND_BYTES])
{
	static const char *const words[] = {
		[YAML_NULL] = "nothing", [YAML_LIST] = "a list", [YAML_MAP] = "a mapping"};
	size_t cut;

	if (node->kind != YAML_SCALAR) {
		snprintf(buffer, YAML_FOUND_BYTES, "%s", words[node->kind]);
		return;
	}
	cut = cut_length(node->text, YAML_FOUND_BYTES - 16);
	snprintf(buffer, YAML_FOUND_BYTES, "\"%.*s%s\"", (int)cut, node->text,
		 node->text[cut] ? "…" : "");
}
