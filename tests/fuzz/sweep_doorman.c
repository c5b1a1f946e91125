/*
 * Out of memory in plugd, at every allocation in turn, while clients and a plugin do what the seeds
 * of fuzz_doorman.c say: nothing crashes, nothing is left, and whoever is still connected gets
 * exactly one end for every call.
 *
 *   sweep_doorman [STRIDE]       every STRIDE-th allocation (1: all) of every seed
 *   sweep_doorman STRIDE FILE…   of these inputs
 */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "door_world.h"
#include "failing.h"
#include "fuzz.h"

static const char *input_name = "";
static unsigned long allocation;

/* Which one it was. */
static void
say_which(void)
{
	fprintf(stderr, "sweep_doorman: %s, allocation %lu\n", input_name, allocation);
}

static void
on_abort(int number)
{
	say_which();
	signal(number, SIG_DFL);
	raise(number);
}

void __asan_on_error(void);
void
__asan_on_error(void)
{
	say_which();
}

static void
around_turn(bool begins)
{
	failing_pause(!begins);
}

/* True: so many allocations were made, and this one failed. */
static bool
run(const uint8_t *seed, size_t size, unsigned long spared)
{
	allocation = spared;
	world_begin();
	failing_begin(spared, FAILING_ONE);
	failing_pause(true);
	LLVMFuzzerTestOneInput(seed, size);
	return failing_end();
}

/* Every `stride`-th allocation of one input; returns how many failed. */
static unsigned long
sweep(const char *name, const uint8_t *data, size_t size, unsigned long stride)
{
	unsigned long spared = 0, failed = 0;

	input_name = name;
	for (; run(data, size, spared); spared += stride)
		failed++;
	printf("%s: %lu of at most %lu allocations failed in turn\n", name, failed, spared);
	fflush(stdout);
	return failed;
}

static size_t
read_file(const char *path, uint8_t *data)
{
	FILE *file = fopen(path, "rb");
	size_t size;

	CHECK(file);
	size = fread(data, 1, FUZZ_INPUT_MAX, file);
	fclose(file);
	return size;
}

static int
sweep_seeds(unsigned long stride)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	unsigned long failed = 0;
	char name[32];
	size_t size;

	for (unsigned number = 0; (size = fuzz_seed(number, data, sizeof(data))); number++) {
		snprintf(name, sizeof(name), "seed %u", number);
		failed += sweep(name, data, size, stride);
	}
	printf("%lu allocations failed\n", failed);
	return failed < 100 / stride;
}

int
main(int argc, char **argv)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	unsigned long stride = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;

	signal(SIGABRT, on_abort);
	world_around_turn = around_turn;
	if (!stride)
		return 2;
	if (argc < 3)
		return sweep_seeds(stride);
	for (int i = 2; i < argc; i++)
		sweep(argv[i], data, read_file(argv[i], data), stride);
	return 0;
}
