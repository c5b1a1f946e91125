#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

#define GAP        2 /* spaces between columns */
#define LAST_LEAST 8 /* columns of the terminal that the last one has at least */
#define CUT_LEAST  6 /* and one that is cut */

struct cell {
	char *text; /* NULL: not filled, shown as empty */
	enum out_color color;
};

struct table {
	const char *const *heads;
	size_t columns, rows, capacity, at; /* `at`: next cell of the row that is being filled */
	struct cell *cells;
};

struct table *
table_new(const char *const *heads)
{
	struct table *table = out_must(calloc(1, sizeof(*table)));

	table->heads = heads;
	while (heads[table->columns])
		table->columns++;
	return table;
}

void
table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->capacity * table->columns; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

static void
make_room(struct table *table)
{
	size_t wider = table->capacity ? 2 * table->capacity : 32;
	struct cell *cells;

	if (table->rows < table->capacity)
		return;
	cells = out_must(realloc(table->cells, wider * table->columns * sizeof(*cells)));
	memset(cells + table->capacity * table->columns, 0,
	       (wider - table->capacity) * table->columns * sizeof(*cells));
	table->cells = cells;
	table->capacity = wider;
}

void
table_cell(struct table *table, enum out_color color, const char *format, ...)
{
	struct cell *cell;
	char *text = NULL;
	va_list args;

	if (table->at == table->columns)
		return;
	make_room(table);
	va_start(args, format);
	text = out_must(vasprintf(&text, format, args) < 0 ? NULL : text);
	va_end(args);
	cell = &table->cells[table->rows * table->columns + table->at++];
	cell->color = color;
	cell->text = out_escape(text, strlen(text));
	free(text);
}

void
table_row(struct table *table)
{
	make_room(table);
	table->rows++;
	table->at = 0;
}

static bool
may_be_left_out(const struct table *table, size_t column)
{
	return table->heads[column][0] == '?';
}

static bool
aligned_right(const struct table *table, size_t column)
{
	return table->heads[column][may_be_left_out(table, column)] == '>';
}

static const char *
head_of(const struct table *table, size_t column)
{
	return table->heads[column] + may_be_left_out(table, column) + aligned_right(table, column);
}

static const struct cell *
cell_at(const struct table *table, size_t row, size_t column)
{
	return &table->cells[row * table->columns + column];
}

/* 0: empty in every row, though there are rows. */
static size_t
width_of(const struct table *table, size_t column)
{
	size_t widest = 0, head = format_columns(head_of(table, column));

	for (size_t row = 0; row < table->rows; row++) {
		const struct cell *cell = cell_at(table, row, column);
		size_t width = cell->text ? format_columns(cell->text) : 0;

		widest = width > widest ? width : widest;
	}
	if (widest == 0 && table->rows)
		return 0;
	return widest > head ? widest : head;
}

static void
pad(size_t spaces)
{
	printf("%*s", (int)spaces, "");
}

/* At most `room` columns of the text, the last of them '…' when it is longer. */
static void
print_cut(const char *text, size_t columns)
{
	size_t width = format_columns(text), shown = 0;
	const char *end = text;

	if (width <= columns) {
		fputs(text, stdout);
		return;
	}
	while (*end && shown + 1 < columns) {
		end++;
		while (((unsigned char)*end & 0xc0) == 0x80)
			end++;
		shown++;
	}
	fwrite(text, 1, (size_t)(end - text), stdout);
	fputs("…", stdout);
}

struct layout {
	const struct table *table;
	size_t *widths;
	size_t last;  /* column that is printed last */
	size_t limit; /* columns it may take */
};

static void
print_cell(const struct layout *layout, size_t column, const char *text, enum out_color color)
{
	size_t width = layout->widths[column], used = format_columns(text);
	bool right = aligned_right(layout->table, column);

	used = used < width ? used : width; /* of what is cut */
	if (right)
		pad(width - used);
	if (*text)
		out_start(color);
	if (column == layout->last)
		print_cut(text, layout->limit);
	else
		print_cut(text, width);
	if (*text)
		out_end(color);
	if (column == layout->last)
		putchar('\n');
	else
		pad(GAP + (right ? 0 : width - used));
}

/* How much the columns before the last one take; tells which that is. */
static size_t
before_last(struct layout *layout)
{
	size_t before = 0;

	layout->last = layout->table->columns;
	for (size_t column = 0; column < layout->table->columns; column++) {
		if (!layout->widths[column])
			continue;
		if (layout->last < layout->table->columns)
			before += layout->widths[layout->last] + GAP;
		layout->last = column;
	}
	if (layout->last == layout->table->columns)
		layout->last = 0;
	return before;
}

/* What the last column needs at least: a number all of it. */
static size_t
last_least(const struct layout *layout)
{
	size_t width = layout->widths[layout->last];

	return aligned_right(layout->table, layout->last) || width < LAST_LEAST ? width
										: LAST_LEAST;
}

/* Names that are cut cannot be told apart: what somebody can do without goes first. */
static size_t
leave_out(struct layout *layout, size_t before, size_t terminal)
{
	for (size_t column = layout->table->columns; column-- > 0;) {
		if (before + last_least(layout) <= terminal)
			break;
		if (!may_be_left_out(layout->table, column))
			continue;
		layout->widths[column] = 0;
		before = before_last(layout);
	}
	return before;
}

/* The widest of the columns before the last gives way, one step at a time, until all fit or none is
 * wide.  Numbers are never cut. */
static size_t
shrink(struct layout *layout, size_t before, size_t terminal)
{
	while (before + last_least(layout) > terminal) {
		size_t widest = layout->last;

		for (size_t column = 0; column < layout->last; column++)
			if (!aligned_right(layout->table, column) &&
			    (widest == layout->last ||
			     layout->widths[column] > layout->widths[widest]))
				widest = column;
		if (widest == layout->last || layout->widths[widest] <= CUT_LEAST)
			break;
		layout->widths[widest]--;
		before--;
	}
	return before;
}

static void
lay_out(struct layout *layout)
{
	size_t before, terminal = out_width();

	for (size_t column = 0; column < layout->table->columns; column++)
		layout->widths[column] = width_of(layout->table, column);
	before = before_last(layout);
	if (terminal == SIZE_MAX) {
		layout->limit = SIZE_MAX;
		return;
	}
	before = leave_out(layout, before, terminal);
	before = shrink(layout, before, terminal);
	layout->limit =
		terminal > before + last_least(layout) ? terminal - before : last_least(layout);
}

void
table_print(const struct table *table)
{
	struct layout layout = {.table = table};

	layout.widths = out_must(calloc(table->columns, sizeof(*layout.widths)));
	lay_out(&layout);
	for (size_t column = 0; column < table->columns; column++)
		if (layout.widths[column])
			print_cell(&layout, column, head_of(table, column), OUT_BOLD);
	for (size_t row = 0; row < table->rows; row++) {
		for (size_t column = 0; column < table->columns; column++) {
			const struct cell *cell = cell_at(table, row, column);

			if (layout.widths[column])
				print_cell(&layout, column, cell->text ? cell->text : "",
					   cell->color);
		}
	}
	free(layout.widths);
}
