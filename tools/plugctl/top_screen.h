/* The screen of plugctl top: top_screen.c looks and takes keys, top_draw.c draws. */
#ifndef PLUGCTL_TOP_SCREEN_H
#define PLUGCTL_TOP_SCREEN_H

#include "top.h"

#define HEAD_LINES 4 /* title, counts, empty or message, heads */

enum mode { MODE_ROWS, MODE_FILTER, MODE_HELP };

struct screen {
	struct ctl *ctl;
	struct top_view view;
	uint64_t every_ms, due_ns;
	struct top_look now;
	bool looked, paused, colors;
	enum mode mode;
	char why[TOP_WHY_BYTES]; /* plugd does not answer; "": it does */
	const struct top_row **rows;
	size_t count, first, chosen; /* rows shown; the topmost; the one under the bar */
};

/* Lines for rows. */
size_t top_room(void);

/* The bar stays on the screen, the screen on the rows. */
void top_settle(struct screen *screen);

/* Is this column not shown, for want of room? */
bool top_is_left_out(int column);

void top_draw(struct screen *screen);

/* Colours, where they are wanted and can be had. */
void top_start_colors(struct screen *screen);

#endif
