/* word-count: a command of plugctl.  It opens the files itself, with the rights of its process. */
#include <ctype.h>
#include <errno.h>
#include <plug/command.h>
#include <stdio.h>
#include <string.h>

struct counts {
	unsigned long lines, words, bytes;
};

struct counter {
	struct counts counts;
	unsigned long letters; /* of the word that is being read */
	unsigned long least;
};

static void
end_word(struct counter *counter)
{
	counter->counts.words += counter->letters >= counter->least;
	counter->letters = 0;
}

static void
count(struct counter *counter, const char *text, size_t size)
{
	counter->counts.bytes += size;
	for (size_t i = 0; i < size; i++) {
		counter->counts.lines += text[i] == '\n';
		if (isspace((unsigned char)text[i]))
			end_word(counter);
		else
			counter->letters++;
	}
}

static void
show(struct plug_command *command, const struct counts *counts, const char *name)
{
	const char *only = plug_command_string(command, "only", "");

	if (strcmp(only, "lines") == 0)
		plug_command_print(command, "%lu", counts->lines);
	else if (strcmp(only, "words") == 0)
		plug_command_print(command, "%lu", counts->words);
	else if (strcmp(only, "bytes") == 0)
		plug_command_print(command, "%lu", counts->bytes);
	else
		plug_command_print(command, "%lu %lu %lu", counts->lines, counts->words,
				   counts->bytes);
	plug_command_print(command, *name ? " %s\n" : "\n", name);
}

/* False after the command was told why not. */
static bool
count_file(struct plug_call *call, struct plug_command *command, struct counter *counter,
	   const char *path)
{
	FILE *file = fopen(path, "re");
	char buffer[65536];
	size_t got;
	bool read;

	while (file && !plug_call_cancelled(call) && (got = fread(buffer, 1, sizeof(buffer), file)))
		count(counter, buffer, got);
	end_word(counter);
	read = file && !ferror(file);
	if (!read)
		plug_command_complain(command, "%s: %s\n", path, strerror(errno));
	if (file)
		fclose(file);
	return read;
}

static void
add(struct counts *total, const struct counts *counts)
{
	total->lines += counts->lines;
	total->words += counts->words;
	total->bytes += counts->bytes;
}

static plug_err
word_count(struct plug_call *call, void *user)
{
	struct plug_command *command;
	struct counts total = {0};
	unsigned failed = 0;
	unsigned long least;
	size_t files, size;
	plug_err err = plug_command_open(call, &command);

	(void)user;
	if (err)
		return err;
	least = (unsigned long)plug_command_int(command, "least", 1);
	files = plug_command_count(command, "file");
	for (size_t i = 0; i < files; i++) {
		struct counter counter = {.least = least};
		const char *path = plug_command_item(command, "file", i);

		if (!count_file(call, command, &counter, path)) {
			failed = 1;
			continue;
		}
		show(command, &counter.counts, path);
		add(&total, &counter.counts);
	}
	if (!files) {
		struct counter counter = {.least = least};
		const char *input = plug_command_input(command, &size);

		count(&counter, input, size);
		end_word(&counter);
		show(command, &counter.counts, "");
	}
	if (files > 1)
		show(command, &total, "together");
	return plug_command_end(command, failed);
}

int
main(void)
{
	static const struct plug_method methods[] = {
		{"command", word_count, PLUG_METHOD_STREAM | PLUG_METHOD_IDEMPOTENT, 300000,
		 "the command word-count"},
		{0},
	};
	struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = "word-count",
		.version = "0.1.0",
		.contract = "feature",
		.methods = methods,
	};

	return plug_main(&config);
}
