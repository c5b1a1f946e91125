/* plugctl bench: its command line, and how its times read. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench_plan.h"
#include "bench_show.h"
#include "verb.h"

/* Words parted by spaces. */
static bool
parse(const char *text, struct bench_plan *ret, char why[LOAD_WHY_BYTES])
{
	char line[512], *argv[32], *rest;
	struct args args;
	int argc = 0;

	snprintf(line, sizeof(line), "plugctl bench echo echo %s", text);
	for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	assert_true(args_parse(argc, argv, &args, why, LOAD_WHY_BYTES));
	assert_ptr_equal(args.verb, verb_named("bench"));
	return bench_plan_parse(&args, ret, why);
}

static void
test_defaults(void **state)
{
	struct bench_plan plan;
	char why[LOAD_WHY_BYTES];
	struct load_plan run;
	uint64_t size;

	(void)state;
	assert_true(parse("", &plan, why));
	assert_int_equal(plan.runs, 1);
	assert_false(plan.sized);
	run = bench_plan_run(&plan, 0, &size);
	assert_int_equal(run.plane, LOAD_AUTO);
	assert_int_equal(run.callers, 1);
	assert_int_equal(run.in_flight, 0);
	assert_int_equal(run.spin_us, -1);
	assert_int_equal(run.count, 0);
	assert_true(run.duration_ns == 3000000000u && run.warm_up_ns == 500000000u);
}

/* Every combination once, and no other. */
static void
test_combinations(void **state)
{
	struct bench_plan plan;
	char why[LOAD_WHY_BYTES];
	bool seen[2][3][2][2] = {0};

	(void)state;
	assert_true(parse("--plane control,data --size 64,4KiB,1MiB --concurrency 1,8 --spin 0,50 "
			  "--count 100",
			  &plan, why));
	assert_int_equal(plan.runs, 24);
	assert_int_equal(plan.largest, 1 << 20);
	for (size_t i = 0; i < plan.runs; i++) {
		uint64_t size;
		struct load_plan run = bench_plan_run(&plan, i, &size);
		bool *cell = &seen[run.plane == LOAD_DATA][size == 64         ? 0
							   : size == 4096     ? 1
							   : size == 1u << 20 ? 2
									      : 99]
				  [run.callers == 8][run.spin_us == 50];

		assert_int_equal(run.count, 100);
		assert_true(run.callers == 8 || run.callers == 1);
		assert_true(run.spin_us == 50 || run.spin_us == 0);
		assert_false(*cell);
		*cell = true;
	}
}

static void
test_nonsense_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"--size lots", "--size lots: expected bytes"},
		{"--size 64,", "--size : expected bytes"},
		{"--size 17MiB", "belongs in tensors"},
		{"--size 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "at most 16 values"},
		{"--concurrency 0", "1 to 1024"},
		{"--concurrency -1", "1 to 1024"},
		{"--concurrency 1025", "1 to 1024"},
		{"--concurrency 1x", "--concurrency 1x"},
		{"--in-flight 0", "1 to 65536"},
		{"--in-flight 65536 --concurrency 2", "at most 65536"},
		{"--plane fast", "control (through plugd), data"},
		{"--spin 10001", "0 (never spin) to 10000"},
		{"--spin 1 --plane control", "never spin"},
		{"--tensor 0", "bytes of a tensor"},
		{"--tensor 4KiB --plane data,control", "over channels only"},
		{"--rate 0", "above 0"},
		{"--rate -5", "above 0"},
		{"--rate nan", "above 0"},
		{"--rate 5/s", "above 0"},
		{"--rate 2 --duration 100ms", "not one call would be due"},
		{"--count 0", "at least 1"},
		{"--count many", "at least 1"},
		{"--count 3 --concurrency 4", "each of the 4 callers"},
		{"--count 5 --duration 5s", "exclude each other"},
		{"--size 5 --payload {}", "no place beside it"},
		{"--duration 25h", "24h"},
		{"--size 1,2,3,4,5 --concurrency 1,2,3,4,5 --in-flight 1,2,3",
		 "75 measurements: expected at most 64"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench_plan plan = {.runs = 77};
		char why[LOAD_WHY_BYTES] = "";

		if (parse(cases[i].line, &plan, why))
			fail_msg("%s was accepted", cases[i].line);
		if (!strstr(why, cases[i].says))
			fail_msg("%s: it says \"%s\", not \"%s\"", cases[i].line, why,
				 cases[i].says);
		assert_int_equal(plan.runs, 77);
	}
}

static void
test_times_read_well(void **state)
{
	static const struct {
		double ns;
		const char *text;
	} cases[] = {
		{0., "0.00us"},      {128., "0.13us"},   {980., "0.98us"},  {9990., "9.99us"},
		{9996., "10.0us"},   {21568., "21.6us"}, {99960., "100us"}, {999400., "999us"},
		{999600., "1.00ms"}, {1.25e6, "1.25ms"}, {2.1e9, "2.10s"},  {NAN, "-"},
	};
	char text[BENCH_TIME_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(bench_show_time(cases[i].ns, text), cases[i].text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_combinations),
		cmocka_unit_test(test_nonsense_is_refused_with_a_reason),
		cmocka_unit_test(test_times_read_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
