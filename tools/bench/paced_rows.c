/* What is said of paced calls. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "paced.h"
#include "report.h"

#define NS_PER_MS  1e6
#define TAIL_CALLS 1000 /* of fewer the thousandth is the last */

static const char *const plane_names[] = {
	[PACED_DATA] = "data plane", [PACED_CONTROL] = "control plane"};

static double
latest_ms(const struct histogram *histogram)
{
	return (double)histogram->max / NS_PER_MS;
}

/* ---- lost ---- */

static void
note_calls(const struct paced *paced, struct row *row)
{
	const struct load_result *data = paced->planes[PACED_DATA].result;
	const struct load_result *control = paced->planes[PACED_CONTROL].result;

	snprintf(row->note, sizeof(row->note),
		 "%llu and %llu calls in %.1f s, at %.0f and %.0f a second; of the former %llu "
		 "over channels, %llu over plugd, of these %llu a second time",
		 (unsigned long long)data->calls, (unsigned long long)control->calls,
		 (double)data->elapsed_ns / 1e9, PACED_DATA_RATE, PACED_CONTROL_RATE,
		 (unsigned long long)data->planes.data_calls,
		 (unsigned long long)data->planes.control_calls,
		 (unsigned long long)data->planes.resent);
}

void
paced_add_lost(const struct paced *paced, const struct bench *bench, const char *name,
	       const char *doing)
{
	struct row row = {.name = name, .unit = "calls", .reach_of = REACH_VALUE, .reach = 0};
	const char *why[PACED_PLANES];
	uint64_t lost = paced_lost(paced, PACED_DATA, &why[PACED_DATA]) +
			paced_lost(paced, PACED_CONTROL, &why[PACED_CONTROL]);

	snprintf(row.what, sizeof(row.what), "calls lost on both planes, %s", doing);
	bench_single(&row, (double)lost);
	note_calls(paced, &row);
	for (unsigned i = 0; i < PACED_PLANES; i++) {
		size_t used = strlen(row.note);

		if (*why[i])
			snprintf(row.note + used, sizeof(row.note) - used, "; %s: %s",
				 plane_names[i], why[i]);
	}
	report_add(bench->report, &row);
}

/* ---- the latest ---- */

static void
add_latest_of(const struct paced *paced, const struct bench *bench, struct row *row,
	      enum paced_plane_name plane, const char *doing)
{
	const struct load_result *result = paced->planes[plane].result;
	double call_ms = latest_ms(&result->latency), pacer_ms = latest_ms(&paced->late[plane]);

	snprintf(row->what, sizeof(row->what), "latest call of the %s less the latest pacer, %s",
		 plane_names[plane], doing);
	bench_single(row, call_ms - pacer_ms);
	snprintf(
		row->note, sizeof(row->note),
		"from due to answered %.2f ms at most, to sent %.2f ms; the pacer was %.2f ms late "
		"at most, %.0f us in 99.9 %%",
		call_ms, latest_ms(&result->late), pacer_ms,
		histogram_quantile(&paced->late[plane], 0.999) / 1e3);
	report_add(bench->report, row);
}

void
paced_add_latest(const struct paced *paced, const struct bench *bench, const char *name,
		 const char *doing, double reach_ms)
{
	struct row row = {.name = name, .unit = "ms", .reach_of = REACH_VALUE, .reach = reach_ms};

	for (unsigned i = 0; i < PACED_PLANES; i++)
		add_latest_of(paced, bench, &row, i, doing);
}

/* ---- latency ---- */

static struct percentiles
percentiles_us(const struct histogram *histogram)
{
	return (struct percentiles){
		.p50 = histogram_quantile(histogram, 0.5) / 1e3,
		.p90 = histogram_quantile(histogram, 0.9) / 1e3,
		.p99 = histogram_quantile(histogram, 0.99) / 1e3,
		.p999 = histogram_quantile(histogram, 0.999) / 1e3,
		.spread = NAN,
	};
}

/* Fill what both kinds of row have. */
static void
begin_row(const struct paced *paced, enum paced_plane_name plane, const char *doing,
	  struct row *row)
{
	bench_single(row, NAN);
	snprintf(row->what, sizeof(row->what), "call of 64 B over the %s, %s", plane_names[plane],
		 doing);
	snprintf(row->floor_name, sizeof(row->floor_name), "between them");
	snprintf(row->note, sizeof(row->note), "the longest time without an answer %.2f ms",
		 (double)paced_pause_ns(paced, plane) / NS_PER_MS);
}

void
paced_add_latency(const struct paced *paced, const struct bench *bench, const char *name,
		  const char *doing, enum paced_plane_name plane)
{
	static struct paced_halves calls, beats;
	struct paced_part all = {0, paced->window_count};
	struct row row = {.name = name, .unit = "us"};
	size_t used;

	paced_split(paced, plane, &all, &calls);
	paced_split_beats(paced, plane, &all, &beats);
	begin_row(paced, plane, doing, &row);
	row.count = calls.within.count;
	row.value = percentiles_us(&calls.within);
	row.floor = percentiles_us(&calls.without);
	row.ratio = row.ratio_low = row.ratio_high = row.value.p50 / row.floor.p50;
	used = strlen(row.note);
	snprintf(row.note + used, sizeof(row.note) - used,
		 "; of %llu calls within and %llu without; p99.9 %.0f and %.0f us, the pacer's "
		 "%.0f and %.0f",
		 (unsigned long long)calls.within.count, (unsigned long long)calls.without.count,
		 row.value.p999, row.floor.p999, histogram_quantile(&beats.within, 0.999) / 1e3,
		 histogram_quantile(&beats.without, 0.999) / 1e3);
	report_add(bench->report, &row);
}

/* ---- the tail, in rounds ---- */

struct tails {
	struct samples within, without, ratios;
};

static void
add_round(struct tails *tails, const struct paced_halves *halves)
{
	double within = histogram_quantile(&halves->within, 0.999) / 1e3;
	double without = histogram_quantile(&halves->without, 0.999) / 1e3;

	samples_add(&tails->within, within);
	samples_add(&tails->without, without);
	samples_add(&tails->ratios, within / without);
}

static void
tails_fini(struct tails *tails)
{
	samples_fini(&tails->within);
	samples_fini(&tails->without);
	samples_fini(&tails->ratios);
}

void
paced_add_tail(const struct paced *paced, const struct bench *bench, const char *name,
	       const char *doing, enum paced_plane_name plane, unsigned rounds, double reach)
{
	static struct paced_halves halves;
	struct tails calls = {0}, beats = {0};
	struct row row = {
		.name = name, .unit = "us, p99.9", .reach_of = REACH_RATIO, .reach = reach};
	size_t used;

	begin_row(paced, plane, doing, &row);
	for (unsigned i = 0; i < rounds; i++) {
		struct paced_part part = {i * paced->window_count / rounds,
					  (i + 1) * paced->window_count / rounds};

		paced_split(paced, plane, &part, &halves);
		if (!i || halves.within.count < row.count)
			row.count = halves.within.count;
		add_round(&calls, &halves);
		paced_split_beats(paced, plane, &part, &halves);
		add_round(&beats, &halves);
	}
	row.rounds = rounds;
	if (row.count < TAIL_CALLS)
		row.reach_of = REACH_NONE;
	row.value.p50 = samples_quantile(&calls.within, 0.5);
	row.floor.p50 = samples_quantile(&calls.without, 0.5);
	row.ratio = samples_quantile(&calls.ratios, 0.5);
	row.ratio_low = samples_quantile(&calls.ratios, 0.);
	row.ratio_high = samples_quantile(&calls.ratios, 1.);
	used = strlen(row.note);
	snprintf(row.note + used, sizeof(row.note) - used,
		 "; in %u rounds, of %zu calls within or more each; the pacer's %.0f and %.0f us",
		 rounds, row.count, samples_quantile(&beats.within, 0.5),
		 samples_quantile(&beats.without, 0.5));
	report_add(bench->report, &row);
	tails_fini(&calls);
	tails_fini(&beats);
}
