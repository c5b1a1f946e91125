/* Lines of cells, as wide as they need to be and no wider than the terminal. */
#ifndef PLUGCTL_TABLE_H
#define PLUGCTL_TABLE_H

#include "out.h"

struct table;

/* `columns` heads, ended by NULL, that outlive the table; one that begins with '>' is aligned
 * right. NULL: no memory. */
struct table *table_new(const char *const *heads);
void table_free(struct table *table);

/* Cells of the current row, from left to right; text is copied and made safe. */
void table_cell(struct table *table, enum out_color color, const char *format, ...)
	PLUG_PRINTF(3, 4);
void table_row(struct table *table); /* ends the current row */

/*
 * To stdout.  Columns that are empty in every row are left out.  On a terminal the last column is
 * cut where the terminal ends.
 */
void table_print(const struct table *table);

#endif
