#include <curses.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "out.h"
#include "top_screen.h"

size_t
top_room(void)
{
	return LINES > HEAD_LINES + 1 ? (size_t)(LINES - HEAD_LINES - 1) : 1;
}

void
top_settle(struct screen *screen)
{
	if (screen->chosen >= screen->count)
		screen->chosen = screen->count ? screen->count - 1 : 0;
	if (screen->first > screen->chosen)
		screen->first = screen->chosen;
	if (screen->chosen >= screen->first + top_room())
		screen->first = screen->chosen - top_room() + 1;
	if (screen->first + top_room() > screen->count)
		screen->first = screen->count > top_room() ? screen->count - top_room() : 0;
}

/* ---- drawing ---- */

enum pair { PAIR_PLAIN, PAIR_GREEN, PAIR_YELLOW, PAIR_RED };

static attr_t
state_attribute(const struct screen *screen, const char *state)
{
	static const attr_t plain[] = {0, A_BOLD, A_DIM, 0, A_BOLD, A_BOLD};
	enum out_color color = out_state_color(state);

	if (!screen->colors)
		return plain[color];
	switch (color) {
	case OUT_GREEN:
		return COLOR_PAIR(PAIR_GREEN);
	case OUT_YELLOW:
		return COLOR_PAIR(PAIR_YELLOW);
	case OUT_RED:
		return COLOR_PAIR(PAIR_RED) | A_BOLD;
	default:
		return plain[color];
	}
}

/* How wide the name may be, so that the columns fit; the rightmost ones are left out where even
 * that is too wide. */
static int
width_of(const struct screen *screen, int column)
{
	size_t longest = 8;

	if (column != TOP_NAME)
		return top_columns[column].width;
	for (size_t i = 0; i < screen->count; i++) {
		size_t length = strlen(screen->rows[i]->name);

		longest = length > longest ? length : longest;
	}
	return longest > 32 ? 32 : (int)longest;
}

static void
draw_cell(int y, int x, int width, bool right, const char *text)
{
	size_t columns = format_columns(text);

	if (right && columns < (size_t)width)
		mvaddstr(y, x + width - (int)columns, text);
	else
		mvaddnstr(y, x, text, width);
}

/* Less is more important from left to right in this order than on the screen. */
bool
top_is_left_out(int column)
{
	static const struct {
		int column, below;
	} narrow[] = {{TOP_TYPE, 110},
		      {TOP_PID, 100},
		      {TOP_INSTANCES, 92},
		      {TOP_WAITING, 84},
		      {TOP_IN_FLIGHT, 76}};

	for (size_t i = 0; i < sizeof(narrow) / sizeof(*narrow); i++)
		if (narrow[i].column == column && COLS < narrow[i].below)
			return true;
	return false;
}

static void
draw_line(const struct screen *screen, int y, const struct top_row *row)
{
	char cell[TOP_CELL_BYTES];
	int x = 0;

	for (int c = 0; c < TOP_COLUMN_COUNT; c++) {
		const char *head = top_columns[c].head;
		bool right = *head == '>';
		int width = width_of(screen, c);
		attr_t attribute = 0;

		if (top_is_left_out(c) || x + width > COLS)
			continue;
		if (!row && c == (int)screen->view.sort)
			attribute = A_UNDERLINE | A_BOLD;
		else if (row && c == TOP_STATE)
			attribute = state_attribute(screen, row->state);
		attron(attribute);
		draw_cell(y, x, width, right,
			  row ? top_cell(row, (enum top_column)c, cell) : head + right);
		attroff(attribute);
		x += width + 1;
	}
}

static void
draw_title(const struct screen *screen)
{
	char up[FORMAT_BYTES], memory[FORMAT_BYTES], every[FORMAT_BYTES];
	double calls = 0, cpu = 0;
	size_t ready = 0;

	for (size_t i = 0; i < screen->now.count; i++) {
		calls += screen->now.rows[i].calls;
		cpu += screen->now.rows[i].cpu;
		ready += strcmp(screen->now.rows[i].state, "ready") == 0;
	}
	format_duration(screen->now.plugd_uptime_ms, up);
	format_size(screen->now.plugd_rss, memory);
	format_duration(screen->every_ms, every);
	attron(A_BOLD);
	mvprintw(0, 0, "plugd %s", screen->now.version);
	attroff(A_BOLD);
	printw("  up %s, %s, %" PRIu64 " clients; every %s%s", up, memory, screen->now.clients,
	       every, screen->paused ? ", paused" : "");
	mvprintw(1, 0, "%zu plugins, %zu ready; %.0f calls a second, %.1f%% of a processor",
		 screen->now.count, ready, calls, cpu * 100);
}

static void
draw_message(const struct screen *screen)
{
	if (screen->mode == MODE_FILTER) {
		mvprintw(2, 0, "show only: %s", screen->view.filter);
	} else if (*screen->why) {
		attron(A_BOLD);
		mvprintw(2, 0, "trying again: %.*s", COLS > 15 ? COLS - 15 : 0, screen->why);
		attroff(A_BOLD);
	} else if (*screen->view.filter) {
		mvprintw(2, 0, "only what holds \"%s\": %zu of %zu; / changes it",
			 screen->view.filter, screen->count, screen->now.count);
	}
}

static void
draw_help(void)
{
	static const char *const lines[] = {
		"n t s    sort by name, type, state",
		"c m      by processor time, by memory",
		"k l      by calls a second, by their latency (p99 since the last look)",
		"f w r    by calls that run, that wait, by restarts",
		"< >      by the column to the left, to the right",
		"R        the other way round",
		"/        show only plugins that hold a word in name, type or state; Esc: all",
		"arrows, PgUp, PgDn, Home, End",
		"+ -      look more often, less often",
		"space    stop, and go on",
		"q        end; any key leaves this page",
		NULL,
	};

	for (int i = 0; lines[i]; i++)
		mvaddnstr(HEAD_LINES - 1 + i, 2, lines[i], COLS > 2 ? COLS - 2 : 0);
}

static void
draw_rows(const struct screen *screen)
{
	attron(A_REVERSE);
	mvhline(HEAD_LINES - 1, 0, ' ', COLS);
	draw_line(screen, HEAD_LINES - 1, NULL);
	attroff(A_REVERSE);
	for (size_t i = 0; i < top_room() && screen->first + i < screen->count; i++) {
		int y = HEAD_LINES + (int)i;
		bool chosen = screen->first + i == screen->chosen && screen->chosen;

		if (chosen)
			attron(A_BOLD);
		draw_line(screen, y, screen->rows[screen->first + i]);
		if (chosen)
			attroff(A_BOLD);
		if (chosen)
			mvchgat(y, 0, -1, A_STANDOUT, 0, NULL);
	}
	if (!screen->count && screen->looked)
		mvaddstr(HEAD_LINES, 0, screen->now.count ? "no plugin matches" : "no plugins");
	if (screen->count > top_room())
		mvprintw(LINES - 1, 0, "%zu to %zu of %zu", screen->first + 1,
			 screen->first + top_room() < screen->count ? screen->first + top_room()
								    : screen->count,
			 screen->count);
}

void
top_draw(struct screen *screen)
{
	erase();
	top_settle(screen);
	draw_title(screen);
	draw_message(screen);
	if (screen->mode == MODE_HELP)
		draw_help();
	else
		draw_rows(screen);
	refresh();
}

void
top_start_colors(struct screen *screen)
{
	screen->colors =
		screen->colors && has_colors() && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
	if (!screen->colors)
		return;
	start_color();
	use_default_colors();
	init_pair(PAIR_GREEN, COLOR_GREEN, -1);
	init_pair(PAIR_YELLOW, COLOR_YELLOW, -1);
	init_pair(PAIR_RED, COLOR_RED, -1);
}
