#include "bench_plan.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"
#include "wire.h"

#define WORD_BYTES      64
#define DURATION_MS     3000
#define WARM_UP_MS      500
#define DURATION_MAX_MS (24ull * 3600 * 1000)
#define TENSOR_MAX      (1ull << 40)
#define COUNT_MAX       1000000000000ull

/* ---- values ---- */

/* One value of a list; false: what was expected is in `why`. */
typedef bool (*parse_value)(const char *word, uint64_t *ret, char why[LOAD_WHY_BYTES]);

static bool
number(const char *word, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(word, &end, 10);
	return *word >= '0' && *word <= '9' && !*end && !errno;
}

static bool
parse_size(const char *word, uint64_t *ret, char why[LOAD_WHY_BYTES])
{
	if (units_size_bytes(word, ret) != UNITS_OK) {
		snprintf(why, LOAD_WHY_BYTES, "expected bytes, such as 64, 4KiB or 1MiB");
		return false;
	}
	if (*ret <= PLUG_CALL_BYTES)
		return true;
	snprintf(why, LOAD_WHY_BYTES,
		 "a call carries at most %u bytes; what is larger belongs in tensors",
		 PLUG_CALL_BYTES);
	return false;
}

static bool
parse_tensor(const char *word, uint64_t *ret, char why[LOAD_WHY_BYTES])
{
	snprintf(why, LOAD_WHY_BYTES, "expected the bytes of a tensor, such as 64KiB or 1MiB");
	return units_size_bytes(word, ret) == UNITS_OK && *ret > 0 && *ret <= TENSOR_MAX;
}

static bool
parse_callers(const char *word, uint64_t *ret, char why[LOAD_WHY_BYTES])
{
	snprintf(why, LOAD_WHY_BYTES, "expected a number of callers, 1 to %d", LOAD_CALLERS_MAX);
	return number(word, ret) && *ret >= 1 && *ret <= LOAD_CALLERS_MAX;
}

static bool
parse_in_flight(const char *word, uint64_t *ret, char why[LOAD_WHY_BYTES])
{
	snprintf(why, LOAD_WHY_BYTES,
		 "expected how many calls each caller keeps under way, 1 to %d",
		 LOAD_IN_FLIGHT_MAX);
	return number(word, ret) && *ret >= 1 && *ret <= LOAD_IN_FLIGHT_MAX;
}

static bool
parse_spin(const char *word, uint64_t *ret, char why[LOAD_WHY_BYTES])
{
	snprintf(why, LOAD_WHY_BYTES, "expected microseconds, 0 (never spin) to %d",
		 BENCH_SPIN_MAX_US);
	return number(word, ret) && *ret <= BENCH_SPIN_MAX_US;
}

static bool
parse_plane(const char *word, uint64_t *ret, char why[LOAD_WHY_BYTES])
{
	for (*ret = LOAD_AUTO; *ret <= LOAD_DATA; ++*ret)
		if (strcmp(word, load_plane_name((enum load_plane) * ret)) == 0)
			return true;
	snprintf(why, LOAD_WHY_BYTES,
		 "expected control (through plugd), data (over a channel) or "
		 "auto (as the client decides)");
	return false;
}

/* ---- lists ---- */

static bool
refuse(char why[LOAD_WHY_BYTES], const char *option, const char *word, size_t length)
{
	char expected[LOAD_WHY_BYTES];

	snprintf(expected, sizeof(expected), "%s", why);
	snprintf(why, LOAD_WHY_BYTES, "--%s %.*s: %.300s", option,
		 (int)(length < WORD_BYTES ? length : WORD_BYTES), word, expected);
	return false;
}

static bool
parse_list(const struct args *args, const char *option, parse_value parse, struct bench_list *ret,
	   char why[LOAD_WHY_BYTES])
{
	const char *at = args_text(args, option, NULL);
	char word[WORD_BYTES];

	while (at) {
		size_t length = strcspn(at, ",");

		snprintf(why, LOAD_WHY_BYTES, "expected at most %d values, parted by commas",
			 BENCH_LIST_MAX);
		if (ret->count == BENCH_LIST_MAX || length >= sizeof(word))
			return refuse(why, option, at, length);
		memcpy(word, at, length);
		word[length] = '\0';
		if (!parse(word, &ret->values[ret->count++], why))
			return refuse(why, option, at, length);
		at = at[length] ? at + length + 1 : NULL;
	}
	return true;
}

/* ---- the rest ---- */

static bool
parse_rate(const struct args *args, double *ret, char why[LOAD_WHY_BYTES])
{
	const char *text = args_text(args, "rate", NULL);
	char *end;

	if (!text)
		return true;
	*ret = strtod(text, &end);
	if (end != text && !*end && isfinite(*ret) && *ret > 0. && *ret <= 1e9)
		return true;
	snprintf(why, LOAD_WHY_BYTES,
		 "--rate %.64s: expected calls a second, above 0 and at most 1e9", text);
	return false;
}

static bool
parse_count(const struct args *args, uint64_t *ret, char why[LOAD_WHY_BYTES])
{
	const char *text = args_text(args, "count", NULL);

	if (!text || (number(text, ret) && *ret >= 1 && *ret <= COUNT_MAX))
		return true;
	snprintf(why, LOAD_WHY_BYTES, "--count %.64s: expected a number of calls, at least 1",
		 text);
	return false;
}

static bool
has_plane(const struct bench_plan *plan, enum load_plane plane)
{
	for (size_t i = 0; i < plan->planes.count; i++)
		if (plan->planes.values[i] == (uint64_t)plane)
			return true;
	return false;
}

/* A word is a payload's text or a flag: is it there at all? */
static bool
given(const struct args *args, const char *option)
{
	return args_text(args, option, NULL) != NULL;
}

static const char *
contradiction(const struct args *args, const struct bench_plan *plan)
{
	bool paced = plan->base.rate > 0.;

	if (given(args, "count") && given(args, "duration"))
		return "--count and --duration exclude each other";
	if (given(args, "size") && (given(args, "payload") || given(args, "content-type")))
		return "--size makes up the payload, so that --payload and --content-type have no "
		       "place beside it";
	if (given(args, "duration") && args_number(args, "duration", 0) > DURATION_MAX_MS)
		return "--duration: expected at most 24h";
	if (plan->planes.count == 1 && plan->planes.values[0] == LOAD_CONTROL && plan->spins.count)
		return "--spin is of the data plane: calls through plugd never spin";
	if (plan->tensors.count && has_plane(plan, LOAD_CONTROL))
		return "--tensor and --plane control exclude each other: tensors go over channels "
		       "only";
	if (paced && plan->base.rate * (double)args_number(args, "duration", DURATION_MS) < 1e3 &&
	    !given(args, "count"))
		return "--rate: not one call would be due before the end; give --duration longer";
	return NULL;
}

static bool
consistent(const struct args *args, const struct bench_plan *plan, char why[LOAD_WHY_BYTES])
{
	const char *reason = contradiction(args, plan);

	if (reason) {
		snprintf(why, LOAD_WHY_BYTES, "%s", reason);
		return false;
	}
	if (plan->runs > BENCH_RUNS_MAX) {
		snprintf(why, LOAD_WHY_BYTES, "that makes %zu measurements: expected at most %d",
			 plan->runs, BENCH_RUNS_MAX);
		return false;
	}
	for (size_t i = 0; i < plan->runs; i++) {
		struct load_plan run = bench_plan_run(plan, i, &(uint64_t){0});

		if (run.in_flight > LOAD_IN_FLIGHT_MAX / run.callers) {
			snprintf(why, LOAD_WHY_BYTES,
				 "%u callers with %u calls under way each: expected at most %d "
				 "calls "
				 "under way in all",
				 run.callers, run.in_flight, LOAD_IN_FLIGHT_MAX);
			return false;
		}
		if (run.count && run.count < run.callers) {
			snprintf(why, LOAD_WHY_BYTES,
				 "--count %llu: expected at least one call for "
				 "each of the %u callers",
				 (unsigned long long)run.count, run.callers);
			return false;
		}
	}
	return true;
}

static size_t
at_least_one(const struct bench_list *list)
{
	return list->count ? list->count : 1;
}

bool
bench_plan_parse(const struct args *args, struct bench_plan *ret, char why[LOAD_WHY_BYTES])
{
	struct bench_plan plan = {.sized = given(args, "size")};

	if (!parse_list(args, "plane", parse_plane, &plan.planes, why) ||
	    !parse_list(args, "size", parse_size, &plan.sizes, why) ||
	    !parse_list(args, "tensor", parse_tensor, &plan.tensors, why) ||
	    !parse_list(args, "concurrency", parse_callers, &plan.callers, why) ||
	    !parse_list(args, "in-flight", parse_in_flight, &plan.in_flight, why) ||
	    !parse_list(args, "spin", parse_spin, &plan.spins, why) ||
	    !parse_rate(args, &plan.base.rate, why) || !parse_count(args, &plan.base.count, why))
		return false;
	for (size_t i = 0; i < plan.sizes.count; i++)
		if (plan.sizes.values[i] > plan.largest)
			plan.largest = plan.sizes.values[i];
	plan.base.duration_ns = args_number(args, "duration", DURATION_MS) * 1000000;
	plan.base.warm_up_ns = args_number(args, "warm-up", WARM_UP_MS) * 1000000;
	plan.runs = at_least_one(&plan.planes) * at_least_one(&plan.sizes) *
		    at_least_one(&plan.tensors) * at_least_one(&plan.callers) *
		    at_least_one(&plan.in_flight) * at_least_one(&plan.spins);
	if (!consistent(args, &plan, why))
		return false;
	*ret = plan;
	return true;
}

/* ---- combinations ---- */

/* The value of the list in this run, and what is left for the other lists. */
static uint64_t
pick(const struct bench_list *list, size_t *run, uint64_t fallback)
{
	size_t count = at_least_one(list), at = *run % count;

	*run /= count;
	return list->count ? list->values[at] : fallback;
}

struct load_plan
bench_plan_run(const struct bench_plan *plan, size_t run, uint64_t *ret_size)
{
	struct load_plan one = plan->base;

	one.spin_us = (int64_t)pick(&plan->spins, &run, UINT64_MAX);
	one.in_flight = (unsigned)pick(&plan->in_flight, &run, 0);
	one.callers = (unsigned)pick(&plan->callers, &run, 1);
	one.tensor_bytes = pick(&plan->tensors, &run, 0);
	*ret_size = pick(&plan->sizes, &run, 0);
	one.plane = (enum load_plane)pick(&plan->planes, &run, LOAD_AUTO);
	return one;
}
