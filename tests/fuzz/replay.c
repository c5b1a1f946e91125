/*
 * A fuzz target without libFuzzer.
 *
 *   replay_NAME               every seed, and MUTANTS of each, the same in every run
 *   replay_NAME --corpus DIR  that, and every file in DIR with CORPUS_MUTANTS of each
 *   replay_NAME --write DIR   write the seeds there
 *   replay_NAME FILE…         these inputs
 */
#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "sample.h"

#ifndef MUTANTS
#define MUTANTS 500
#endif
#define CORPUS_MUTANTS (MUTANTS / 20)

/* The target gets memory that ends where its input ends. */
static void
run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	CHECK(copy);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

/* One change; returns the new size. */
static size_t
change(uint8_t *data, size_t size, uint64_t *random)
{
	static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
	uint64_t word = sample_random(random);
	size_t at = size ? (size_t)(word >> 8) % size : 0;
	size_t length = size - at > 16 ? 1 + (word >> 40) % 16 : size - at;

	switch (size ? word % 6 : 5) {
	case 0:
		data[at] ^= (uint8_t)(1u << (word >> 40) % 8);
		return size;
	case 1:
		data[at] = edges[(word >> 40) % sizeof(edges)];
		return size;
	case 2:
		data[at] = (uint8_t)(word >> 40);
		return size;
	case 3: /* cut out */
		memmove(data + at, data + at + length, size - at - length);
		return size - length;
	case 4: /* say twice */
		if (size + length > FUZZ_INPUT_MAX)
			return size;
		memmove(data + at + length, data + at, size - at);
		return size + length;
	default:
		return at;
	}
}

static void
run_mutants(const uint8_t *seed, size_t seed_size, uint64_t number, int count)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	uint64_t random = number + 1;

	for (int i = 0; i < count; i++) {
		size_t size = seed_size;

		memcpy(data, seed, seed_size);
		for (uint64_t changes = 1 + sample_random(&random) % 4; changes; changes--)
			size = change(data, size, &random);
		run(data, size);
	}
}

static void
write_seed(const char *dir, unsigned number, const uint8_t *data, size_t size)
{
	char path[4096];
	FILE *file;

	CHECK(snprintf(path, sizeof(path), "%s/seed-%03u", dir, number) < (int)sizeof(path));
	file = fopen(path, "wb");
	CHECK(file);
	CHECK(fwrite(data, 1, size, file) == size);
	CHECK(fclose(file) == 0);
}

/* Returns its size; what is longer than an input may be is cut. */
static size_t
read_file(const char *path, uint8_t *data)
{
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!file) {
		perror(path);
		exit(2);
	}
	size = fread(data, 1, FUZZ_INPUT_MAX, file);
	fclose(file);
	return size;
}

static void
run_file(const char *path)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	size_t size = read_file(path, data);

	fprintf(stderr, "%s: %zu bytes\n", path, size);
	run(data, size);
}

static int
is_no_dot(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A target that has kept nothing has no directory. */
static unsigned
run_corpus(const char *dir)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	struct dirent **entries = NULL;
	int count = scandir(dir, &entries, is_no_dot, alphasort);

	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];
		size_t size;

		CHECK(snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name) <
		      (int)sizeof(path));
		size = read_file(path, data);
		run(data, size);
		run_mutants(data, size, (uint64_t)i, CORPUS_MUTANTS);
		free(entries[i]);
	}
	free(entries);
	return count > 0 ? (unsigned)count : 0;
}

/* Run them, or write them to `dir`; returns how many there are. */
static unsigned
run_seeds(const char *dir)
{
	static uint8_t seed[FUZZ_INPUT_MAX];
	unsigned number = 0;
	size_t size;

	for (; (size = fuzz_seed(number, seed, sizeof(seed))) > 0; number++) {
		CHECK(size <= sizeof(seed));
		if (dir) {
			write_seed(dir, number, seed, size);
			continue;
		}
		run(seed, size);
		run_mutants(seed, size, number, MUTANTS);
	}
	CHECK(number > 0);
	return number;
}

int
main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	bool with_dir = argc == 3 && (!strcmp(word, "--write") || !strcmp(word, "--corpus"));
	unsigned seeds, kept = 0;

	for (int i = 1; i < argc && !with_dir; i++)
		run_file(argv[i]);
	if (argc > 1 && !with_dir)
		return 0;
	seeds = run_seeds(with_dir && !strcmp(word, "--write") ? argv[2] : NULL);
	if (with_dir && !strcmp(word, "--corpus"))
		kept = run_corpus(argv[2]);
	printf("%u seeds, %u kept inputs\n", seeds, kept);
	return 0;
}
