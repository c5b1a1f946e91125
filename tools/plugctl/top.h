/*
 * plugctl top: what plugins do between two looks.
 *
 * top_model.c asks plugd and computes, top_screen.c draws; where ncurses was not found
 * top_screen_none.c stands for it.
 */
#ifndef PLUGCTL_TOP_H
#define PLUGCTL_TOP_H

#include "ctl.h"

#define TOP_WHY_BYTES 256

struct top_row {
	char name[64], type[16], state[16];
	int64_t pid; /* of the one that stands for it; 0: none */
	uint32_t ready, instances;
	uint64_t restarts, rss_bytes, in_flight, queued;
	double cpu;      /* of one processor, 1 is all of it; since the look before */
	double calls;    /* a second, since the look before */
	uint64_t p99_ns; /* of the calls that ended since the look before; 0: there were none */
	/* as counted, for the next look */
	uint64_t cpu_ms, calls_total;
	struct top_took *took;
	size_t took_count;
};

struct top_took {
	uint64_t below_ns, calls;
};

struct top_look {
	struct top_row *rows; /* in the order of their names */
	size_t count;
	uint64_t at_ns; /* CLOCK_MONOTONIC */
	char version[32];
	uint64_t plugd_rss, plugd_uptime_ms, clients;
};

/*
 * Ask plugd and compute against the look before (NULL: everything of which a rate is made is 0).
 * On success *ret is the caller's, released with top_look_fini().  A failure is not printed: `why`.
 */
plug_err top_look(struct ctl *ctl, const struct top_look *before, struct top_look *ret,
		  char why[TOP_WHY_BYTES]);
void top_look_fini(struct top_look *look);

/* key letter, head as a table has it, how wide; sorts from large to small unless `ascending` */
#define TOP_COLUMNS(X)                       \
	X(NAME, 'n', "NAME", 16, true)       \
	X(TYPE, 't', "TYPE", 9, true)        \
	X(STATE, 's', "STATE", 11, true)     \
	X(PID, 0, ">PID", 8, true)           \
	X(INSTANCES, 0, ">INST", 5, false)   \
	X(CPU, 'c', ">CPU%", 6, false)       \
	X(MEMORY, 'm', ">MEMORY", 10, false) \
	X(CALLS, 'k', ">CALLS/S", 9, false)  \
	X(P99, 'l', ">P99", 9, false)        \
	X(IN_FLIGHT, 'f', ">RUN", 5, false)  \
	X(WAITING, 'w', ">WAIT", 5, false)   \
	X(RESTARTS, 'r', ">RESTARTS", 8, false)

enum top_column {
#define TOP_ENUM(symbol, key, head, width, ascending) TOP_##symbol,
	TOP_COLUMNS(TOP_ENUM) TOP_COLUMN_COUNT
};

struct top_column_spec {
	char key;
	const char *head;
	int width;
	bool ascending;
};
extern const struct top_column_spec top_columns[TOP_COLUMN_COUNT];

/* What a column shows of a row, as text that is safe on a terminal. */
#define TOP_CELL_BYTES 64
const char *top_cell(const struct top_row *row, enum top_column column,
		     char buffer[TOP_CELL_BYTES]);

/* How the rows are shown.  The filter is a part of a name, a type or a state. */
struct top_view {
	enum top_column sort;
	bool reversed;
	char filter[64];
};

/* Rows that the filter lets through, in order: pointers into the look.  The caller frees the list;
 * NULL: no memory. */
const struct top_row **top_select(const struct top_look *look, const struct top_view *view,
				  size_t *ret_count);

/* Until q.  The exit status. */
int top_screen(struct ctl *ctl, struct top_view view, uint64_t every_ms, bool colors);

#endif
