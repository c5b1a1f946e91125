/*
 * plugbench: what plugd costs, beside what the same thing costs without it.
 *
 * Every figure that can have a floor is measured in rounds that alternate with the floor's, on the
 * same processors; the ratio of a row is the median of the rounds' ratios.  The main thread does
 * everything, callers of the rows that need several excepted.
 */
#ifndef BENCH_H
#define BENCH_H

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "samples.h"

#define BENCH_MESSAGE 64 /* bytes of a small call */

/* Of the rows in which two sides talk; in the others every process may use both processors. */
enum bench_pin {
	PIN_SPLIT,  /* caller and plugd on one, the plugin or the floor's other side on the other */
	PIN_SHARED, /* every process on both, as the scheduler likes */
};

struct bench {
	char build_dir[PATH_MAX]; /* holds bin/ and plugins/ */
	char work_dir[64];        /* ours, removed at the end; short, for socket paths */
	bool work_in_memory;      /* it is a tmpfs, as /run is */
	char self[PATH_MAX];      /* this program, executed again as the floor's other side */
	const char *peers_dir;    /* NULL: no peers */
	unsigned rounds;
	bool quick;
	bool when_quiet; /* wait before each row until the machine has nothing else to do */
	enum bench_pin pin;
	int cpus[2]; /* the same twice when there is only one */
	struct report *report;
};

/* Print the reason, with its cause, and end with status 1. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* To stderr: what is being done. */
void bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How many of something a round does: `normal`, or a tenth of it, at least one, with --quick. */
size_t bench_count(const struct bench *bench, size_t normal);

/* CLOCK_MONOTONIC */
double bench_now_us(void);
uint64_t bench_now_ns(void);

/* path = dir/name…; ends the process when it does not fit. */
void bench_path(char *path, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* 0700; 0, also when it is there already. */
int bench_make_dir(const char *path);

/* ---- comparing ------------------------------------------------------------------------------- */

/* One side of a comparison: do `count` of it and add a figure for each, to `samples` or, where
 * there are very many, in nanoseconds to `histogram`.  One of the two functions is there. */
struct side {
	const char *name;
	void (*round)(void *arg, size_t count, struct samples *ret);
	void *arg;
	size_t count;
	void (*many)(void *arg, size_t count, struct histogram *ret);
};

enum verdict { VERDICT_NONE, VERDICT_REACHED, VERDICT_MISSED, VERDICT_SKIPPED };

enum reach_of { REACH_NONE, REACH_RATIO, REACH_VALUE };

/* A line of the report; `name` and `unit` are static. */
struct row {
	const char *name;                    /* as --row takes it */
	const char *unit;                    /* of value and floor */
	char what[80];                       /* in words */
	char floor_name[48];                 /* "" when there is none */
	struct percentiles value, floor;     /* each the median of the rounds' percentiles */
	double ratio, ratio_low, ratio_high; /* median, smallest and largest of the rounds */
	unsigned rounds;
	size_t count; /* figures a round */
	enum reach_of reach_of;
	double reach; /* ratio or p50 at most, or at least where higher is better */
	bool higher_is_better;
	char note[512];
};

/* Fill value, floor and ratio: `rounds` rounds of both sides, floor first, after one of each that
 * is not counted. */
void bench_compare(const struct bench *bench, const struct side *floor, const struct side *side,
		   struct row *row);

/* Rounds in which each of the sides has its turn; ret[i] is of sides[i], as in a row. */
void bench_in_turn(const struct bench *bench, const struct side *sides, size_t count,
		   struct percentiles *ret);

/* Fill value only. */
void bench_measure(const struct bench *bench, const struct side *side, struct row *row);

/* A single figure. */
void bench_single(struct row *row, double value);

enum verdict bench_verdict(const struct row *row);

/* ---- the rows ---------------------------------------------------------------------------------
 * Each measures and adds one or several rows to the report; ends the process when something does
 * not work. */

void row_session(const struct bench *bench);
void row_call(const struct bench *bench);
void row_bulk(const struct bench *bench);
void row_callers(const struct bench *bench);
void row_open(const struct bench *bench);
void row_plane(const struct bench *bench);
void row_tensor(const struct bench *bench);
void row_sizes(const struct bench *bench);
void row_matrix(const struct bench *bench);
void row_restart(const struct bench *bench);
void row_list(const struct bench *bench);
void row_idle(const struct bench *bench);
void row_echo_memory(const struct bench *bench);
void row_start(const struct bench *bench);
void row_discover(const struct bench *bench);
void row_upgrade(const struct bench *bench);
void row_gpt2(const struct bench *bench);
void row_reload(const struct bench *bench);
void row_failover(const struct bench *bench);
void row_flood(const struct bench *bench);
void row_cycles(const struct bench *bench);

#endif
