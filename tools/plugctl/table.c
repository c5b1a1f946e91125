#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

#define GAP 2 /* spaces between columns */

struct cell {
	char *text; /* NULL: no memory for it, shown as empty */
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
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
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

static bool
room(struct table *table)
{
	size_t wider = table->capacity ? 2 * table->capacity : 32;
	struct cell *cells;

	if (table->rows < table->capacity)
		return true;
	cells = realloc(table->cells, wider * table->columns * sizeof(*cells));
	if (!cells)
		return false;
	memset(cells + table->capacity * table->columns, 0,
	       (wider - table->capacity) * table->columns * sizeof(*cells));
	table->cells = cells;
	table->capacity = wider;
	return true;
}

void
table_cell(struct table *table, enum out_color color, const char *format, ...)
{
	struct cell *cell;
	char *text = NULL;
	va_list args;

	if (table->at == table->columns || !room(table))
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	cell = &table->cells[table->rows * table->columns + table->at++];
	cell->color = color;
	cell->text = text ? out_escape(text, strlen(text)) : NULL;
	free(text);
}

void
table_row(struct table *table)
{
	if (room(table))
		table->rows++;
	table->at = 0;
}

static bool
aligned_right(const struct table *table, size_t column)
{
	return table->heads[column][0] == '>';
}

static const char *
head_of(const struct table *table, size_t column)
{
	return table->heads[column] + aligned_right(table, column);
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

	if (aligned_right(layout->table, column))
		pad(width - used);
	out_start(color);
	if (column == layout->last)
		print_cut(text, layout->limit);
	else
		fputs(text, stdout);
	out_end(color);
	if (column == layout->last)
		putchar('\n');
	else
		pad(GAP + (aligned_right(layout->table, column) ? 0 : width - used));
}

static void
lay_out(struct layout *layout)
{
	size_t before = 0, terminal = out_width();

	for (size_t column = 0; column < layout->table->columns; column++) {
		layout->widths[column] = width_of(layout->table, column);
		if (layout->widths[column]) {
			before += column ? layout->widths[layout->last] + GAP : 0;
			layout->last = column;
		}
	}
	layout->limit = terminal > before + 8 ? terminal - before : 8;
	if (terminal == SIZE_MAX)
		layout->limit = SIZE_MAX;
}

void
table_print(const struct table *table)
{
	struct layout layout = {.table = table};

	layout.widths = calloc(table->columns, sizeof(*layout.widths));
	if (!layout.widths)
		return;
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
