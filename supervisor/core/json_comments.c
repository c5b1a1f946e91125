#include "core/json_comments.h"

#include <string.h>

enum place { BETWEEN, STRING, LINE_COMMENT, BLOCK_COMMENT };

struct blanker {
	char *text;
	size_t length, at, used;
	enum place place;
	unsigned line, column;
	struct diag_pos opened; /* the comment */
};

static bool
next_is(const struct blanker *b, const char *two)
{
	return b->at + 1 < b->length && b->text[b->at] == two[0] && b->text[b->at + 1] == two[1];
}

static void
put(struct blanker *b, char c)
{
	/* Of a character that a blank takes the place of, one byte is left. */
	bool continues = ((unsigned char)b->text[b->at] & 0xc0) == 0x80;
	bool comment = b->place == LINE_COMMENT || b->place == BLOCK_COMMENT;

	if (!comment || !continues)
		b->text[b->used++] = c;
	if (b->text[b->at] == '\n') {
		b->line++;
		b->column = 1;
	} else if (!continues) {
		b->column++;
	}
	b->at++;
}

/* At a quote, the beginning of a comment, or neither. */
static void
between(struct blanker *b)
{
	char c = b->text[b->at];

	if (next_is(b, "//") || next_is(b, "/*")) {
		b->place = next_is(b, "//") ? LINE_COMMENT : BLOCK_COMMENT;
		b->opened.line = b->line;
		b->opened.column = b->column;
		put(b, ' ');
		put(b, ' ');
		return;
	}
	if (c == '"')
		b->place = STRING;
	put(b, c == '\t' ? ' ' : c);
}

static void
in_string(struct blanker *b)
{
	char c = b->text[b->at];

	if (c == '\\' && b->at + 1 < b->length)
		put(b, c);
	else if (c == '"')
		b->place = BETWEEN;
	put(b, b->text[b->at]);
}

static void
in_comment(struct blanker *b)
{
	char c = b->text[b->at];

	if (b->place == BLOCK_COMMENT && next_is(b, "*/")) {
		put(b, ' ');
		put(b, ' ');
		b->place = BETWEEN;
		return;
	}
	put(b, c == '\n' || c == '\r' ? c : ' ');
	if (b->place == LINE_COMMENT && c == '\n')
		b->place = BETWEEN;
}

size_t
json_comments_blank(char *text, size_t length, const char *file, struct diags *diags)
{
	struct blanker b = {
		.text = text, .length = length, .line = 1, .column = 1, .opened = {.file = file}};

	while (b.at < b.length) {
		if (b.place == BETWEEN)
			between(&b);
		else if (b.place == STRING)
			in_string(&b);
		else
			in_comment(&b);
	}
	if (b.place == BLOCK_COMMENT)
		diag_error(diags, &b.opened, "this comment does not end: expected */");
	return b.used;
}
