#include "support.h"

#include <dirent.h>

uint64_t
chance(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dull;
}

unsigned
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

unsigned
memfd_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned count = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		count += strstr(line, "/memfd:") != NULL;
	fclose(file);
	return count;
}

struct plug_arena *
arena_of(uint64_t bytes)
{
	struct plug_arena_config config = {.size = sizeof(config), .bytes = bytes};
	struct plug_arena *arena = NULL;

	assert_int_equal(plug_arena_open(&config, &arena), PLUG_OK);
	return arena;
}

struct plug_tensor_stats
stats(void)
{
	struct plug_tensor_stats now;

	plug_tensor_stats(&now, sizeof(now));
	return now;
}

void
assert_text(const char *word, ...)
{
	const char *text = plug_tensor_error_text();
	va_list words;

	va_start(words, word);
	for (; word; word = va_arg(words, const char *)) {
		if (!strstr(text, word))
			fail_msg("no \"%s\" in \"%s\"", word, text);
	}
	va_end(words);
}
