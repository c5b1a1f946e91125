#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* The rounds' percentiles, and their medians. */
struct rounds {
	struct samples p50, p90, p99, p999, spread;
	size_t figures; /* in a round */
};

static struct percentiles
few(const struct side *side, size_t count, size_t *ret_figures)
{
	struct samples samples = {0};
	struct percentiles percentiles;

	side->round(side->arg, count, &samples);
	percentiles = samples_percentiles(&samples);
	*ret_figures = samples.count;
	samples_fini(&samples);
	return percentiles;
}

static struct percentiles
many(const struct side *side, size_t count, size_t *ret_figures)
{
	static struct histogram histogram;

	memset(&histogram, 0, sizeof(histogram));
	side->many(side->arg, count, &histogram);
	*ret_figures = histogram.count;
	return (struct percentiles){
		.p50 = histogram_quantile(&histogram, 0.50) / 1e3,
		.p90 = histogram_quantile(&histogram, 0.90) / 1e3,
		.p99 = histogram_quantile(&histogram, 0.99) / 1e3,
		.p999 = histogram_quantile(&histogram, 0.999) / 1e3,
	};
}

static struct percentiles
run_side(const struct side *side, size_t count, size_t *ret_figures)
{
	return side->many ? many(side, count, ret_figures) : few(side, count, ret_figures);
}

static double
run_round(const struct side *side, struct rounds *rounds)
{
	struct percentiles percentiles = run_side(side, side->count, &rounds->figures);

	samples_add(&rounds->p50, percentiles.p50);
	samples_add(&rounds->p90, percentiles.p90);
	samples_add(&rounds->p99, percentiles.p99);
	samples_add(&rounds->p999, percentiles.p999);
	samples_add(&rounds->spread, percentiles.p99 / percentiles.p50);
	return percentiles.p50;
}

static struct percentiles
medians(struct rounds *rounds)
{
	bool tail = rounds->figures >= 10; /* of fewer there is no ninth tenth */
	struct percentiles percentiles = {
		.p50 = samples_quantile(&rounds->p50, 0.5),
		.p90 = tail ? samples_quantile(&rounds->p90, 0.5) : NAN,
		.p99 = tail ? samples_quantile(&rounds->p99, 0.5) : NAN,
		.p999 = rounds->figures >= 1000 ? samples_quantile(&rounds->p999, 0.5) : NAN,
		.spread = tail ? samples_quantile(&rounds->spread, 0.5) : NAN,
	};

	samples_fini(&rounds->p50);
	samples_fini(&rounds->p90);
	samples_fini(&rounds->p99);
	samples_fini(&rounds->p999);
	samples_fini(&rounds->spread);
	return percentiles;
}

static void
warm_up(const struct side *side)
{
	size_t figures;

	run_side(side, side->count / 4 + 1, &figures);
}

void
bench_compare(const struct bench *bench, const struct side *floor, const struct side *side,
	      struct row *row)
{
	struct rounds of_floor = {0}, of_side = {0};
	struct samples ratios = {0};

	bench_progress("%s: %u rounds of %zu, beside %s", row->name, bench->rounds, side->count,
		       floor->name);
	warm_up(floor);
	warm_up(side);
	for (unsigned i = 0; i < bench->rounds; i++) {
		double base = run_round(floor, &of_floor);

		samples_add(&ratios, run_round(side, &of_side) / base);
	}
	snprintf(row->floor_name, sizeof(row->floor_name), "%s", floor->name);
	row->floor = medians(&of_floor);
	row->value = medians(&of_side);
	row->rounds = bench->rounds;
	row->count = side->count;
	row->ratio = samples_quantile(&ratios, 0.5);
	row->ratio_low = ratios.values[0];
	row->ratio_high = ratios.values[ratios.count - 1];
	samples_fini(&ratios);
}

void
bench_in_turn(const struct bench *bench, const struct side *sides, size_t count,
	      struct percentiles *ret)
{
	struct rounds *rounds = calloc(count, sizeof(*rounds));

	if (!rounds)
		bench_die("out of memory");
	for (size_t i = 0; i < count; i++)
		warm_up(&sides[i]);
	for (unsigned round = 0; round < bench->rounds; round++)
		for (size_t i = 0; i < count; i++)
			run_round(&sides[i], &rounds[i]);
	for (size_t i = 0; i < count; i++)
		ret[i] = medians(&rounds[i]);
	free(rounds);
}

void
bench_measure(const struct bench *bench, const struct side *side, struct row *row)
{
	struct rounds rounds = {0};

	bench_progress("%s: %u rounds of %zu", row->name, bench->rounds, side->count);
	warm_up(side);
	for (unsigned i = 0; i < bench->rounds; i++)
		run_round(side, &rounds);
	row->value = medians(&rounds);
	row->floor = PERCENTILES_NONE;
	row->ratio = row->ratio_low = row->ratio_high = NAN;
	row->floor_name[0] = '\0';
	row->rounds = bench->rounds;
	row->count = side->count;
}

void
bench_single(struct row *row, double value)
{
	row->value = (struct percentiles){value, NAN, NAN, NAN, NAN};
	row->floor = PERCENTILES_NONE;
	row->ratio = row->ratio_low = row->ratio_high = NAN;
	row->floor_name[0] = '\0';
	row->rounds = 1;
	row->count = 1;
}

enum verdict
bench_verdict(const struct row *row)
{
	double found = row->reach_of == REACH_RATIO ? row->ratio : row->value.p50;

	if (row->reach_of == REACH_NONE)
		return VERDICT_NONE;
	if (isnan(found))
		return VERDICT_SKIPPED;
	if (row->higher_is_better)
		return found >= row->reach ? VERDICT_REACHED : VERDICT_MISSED;
	return found <= row->reach ? VERDICT_REACHED : VERDICT_MISSED;
}
