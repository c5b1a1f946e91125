#include <string.h>

#include "generate.h"

static const struct {
	const char *what;
	void (*generate)(FILE *to);
} kinds[] = {
	{"man", generate_man},
	{"bash", generate_bash},
	{"zsh", generate_zsh},
	{"fish", generate_fish},
};

int
main(int argc, char **argv)
{
	FILE *to;

	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(argv[1], kinds[i].what) != 0)
			continue;
		to = fopen(argv[2], "we");
		if (!to) {
			perror(argv[2]);
			return 1;
		}
		kinds[i].generate(to);
		if (ferror(to) | fclose(to)) {
			perror(argv[2]);
			return 1;
		}
		return 0;
	}
	fputs("usage: plugctl-generate man|bash|zsh|fish FILE\n", stderr);
	return 2;
}
