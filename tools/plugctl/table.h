/* Lines of cells, as wide as they need to be and no wider than the terminal. */
#ifndef PLUGCTL_TABLE_H
#define PLUGCTL_TABLE_H

#include "out.h"

struct table;

/* `columns` heads, ended by NULL, that outlive the table; one that begins with '>' is aligned
 * right, one that begins with '?' (before '>') is left out where the terminal is too narrow for
 * all.  Never NULL: without memory the program ends. */
struct table *table_new(const char *const *heads);
void table_free(struct table *table);

/* Cells of the current row, from left to right; text is copied and made safe. */
void table_cell(struct table *table, enum out_color color, const char *format, ...)
	PLUG_PRINTF(3, 4);
void table_row(struct table *table); /* ends the current row */

/*
 * To stdout.  Columns that are empty in every row are left out.  On a terminal the last column is
 * cut where the terminal ends; where that is not enough, columns that may be are left out, from the
 * right, until the others fit; then the widest of the others is cut, numbers never.
 */
void table_print(const struct table *table);

#endif
