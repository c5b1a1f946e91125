/* One thread: it looks, draws, and waits for a key until the next look is due. */
#include <curses.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "top_screen.h"

#define EVERY_MIN_MS 250
#define EVERY_MAX_MS 60000
#define ESCAPE       27

static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- looking ---- */

/* The bar stays on its plugin, wherever that is now. */
static void
select_rows(struct screen *screen)
{
	char name[64] = "";

	if (screen->rows && screen->chosen < screen->count)
		snprintf(name, sizeof(name), "%s", screen->rows[screen->chosen]->name);
	free(screen->rows);
	screen->rows = top_select(&screen->now, &screen->view, &screen->count);
	if (!screen->rows)
		screen->count = 0;
	for (size_t i = 0; *name && screen->chosen && i < screen->count; i++)
		if (strcmp(screen->rows[i]->name, name) == 0)
			screen->chosen = i;
	top_settle(screen);
}

static void
look(struct screen *screen)
{
	struct top_look next;

	screen->due_ns = now_ns() + screen->every_ms * 1000000u;
	if (top_look(screen->ctl, screen->looked ? &screen->now : NULL, &next, screen->why))
		return; /* what was seen last stays */
	*screen->why = '\0';
	free(screen->rows);
	screen->rows = NULL;
	top_look_fini(&screen->now);
	screen->now = next;
	screen->looked = true;
	select_rows(screen);
}

/* ---- keys ---- */

static void
sort_by(struct screen *screen, enum top_column column)
{
	screen->view.reversed = screen->view.sort == column && !screen->view.reversed;
	screen->view.sort = column;
	screen->chosen = screen->first = 0;
	select_rows(screen);
}

static void
sort_beside(struct screen *screen, int step)
{
	int column = (int)screen->view.sort;

	do
		column = (column + step + TOP_COLUMN_COUNT) % TOP_COLUMN_COUNT;
	while (top_is_left_out(column));
	screen->view.reversed = false;
	screen->view.sort = (enum top_column)column;
	select_rows(screen);
}

static void
filter_key(struct screen *screen, int key)
{
	size_t length = strlen(screen->view.filter);

	if (key == '\n' || key == '\r' || key == KEY_ENTER) {
		screen->mode = MODE_ROWS;
	} else if (key == ESCAPE) {
		screen->mode = MODE_ROWS;
		*screen->view.filter = '\0';
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length) {
		screen->view.filter[length - 1] = '\0';
	} else if (key >= ' ' && key < 127 && length + 1 < sizeof(screen->view.filter)) {
		screen->view.filter[length] = (char)key;
		screen->view.filter[length + 1] = '\0';
	}
	screen->chosen = screen->first = 0;
	select_rows(screen);
}

static void
move_bar(struct screen *screen, int key)
{
	size_t page = top_room();

	if (key == KEY_UP)
		screen->chosen -= screen->chosen > 0;
	else if (key == KEY_DOWN)
		screen->chosen += screen->chosen + 1 < screen->count;
	else if (key == KEY_PPAGE)
		screen->chosen = screen->chosen > page ? screen->chosen - page : 0;
	else if (key == KEY_NPAGE)
		screen->chosen += page;
	else if (key == KEY_HOME)
		screen->chosen = 0;
	else if (key == KEY_END)
		screen->chosen = screen->count;
	top_settle(screen);
}

static void
change_interval(struct screen *screen, bool less)
{
	uint64_t every = less ? screen->every_ms / 2 : screen->every_ms * 2;

	if (every >= EVERY_MIN_MS && every <= EVERY_MAX_MS)
		screen->every_ms = every;
	screen->due_ns = now_ns();
}

/* False: the end. */
static bool
row_key(struct screen *screen, int key)
{
	for (int c = 0; c < TOP_COLUMN_COUNT; c++) {
		if (key && key == top_columns[c].key) {
			sort_by(screen, (enum top_column)c);
			return true;
		}
	}
	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case 'R':
		screen->view.reversed = !screen->view.reversed;
		select_rows(screen);
		break;
	case '<':
		sort_beside(screen, -1);
		break;
	case '>':
		sort_beside(screen, 1);
		break;
	case '/':
		screen->mode = MODE_FILTER;
		break;
	case '?':
	case 'h':
		screen->mode = MODE_HELP;
		break;
	case ' ':
		screen->paused = !screen->paused;
		break;
	case '+':
	case '-':
		change_interval(screen, key == '+');
		break;
	case ESCAPE:
		*screen->view.filter = '\0';
		select_rows(screen);
		break;
	default:
		move_bar(screen, key);
	}
	return true;
}

static bool
take_key(struct screen *screen, int key)
{
	if (key == ERR || key == KEY_RESIZE)
		return true;
	if (screen->mode == MODE_FILTER) {
		filter_key(screen, key);
	} else if (screen->mode == MODE_HELP) {
		screen->mode = MODE_ROWS;
	} else {
		return row_key(screen, key);
	}
	return true;
}

/* ---- the screen ---- */

static void
start_curses(struct screen *screen)
{
	initscr();
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	set_escdelay(25);
	top_start_colors(screen);
}

static void
run_screen(struct screen *screen)
{
	bool running = true;

	while (running && !interrupted) {
		uint64_t now = now_ns();

		if (now >= screen->due_ns && !screen->paused)
			look(screen);
		top_draw(screen);
		now = now_ns();
		timeout(screen->paused         ? (int)screen->every_ms
			: screen->due_ns > now ? (int)((screen->due_ns - now) / 1000000u) + 1
					       : 0);
		running = take_key(screen, getch());
	}
}

int
top_screen(struct ctl *ctl, struct top_view view, uint64_t every_ms, bool colors)
{
	struct screen screen = {.ctl = ctl, .view = view, .every_ms = every_ms, .colors = colors};
	struct sigaction action = {.sa_handler = on_signal};

	screen.due_ns = now_ns() + every_ms * 1000000u;
	if (top_look(ctl, NULL, &screen.now, screen.why))
		return ctl_fail(ctl, PLUG_EUNREACHABLE, NULL, screen.why);
	screen.looked = true;
	setlocale(LC_CTYPE, "");
	start_curses(&screen);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	select_rows(&screen);
	run_screen(&screen);
	endwin();
	free(screen.rows);
	top_look_fini(&screen.now);
	return CTL_DONE;
}
