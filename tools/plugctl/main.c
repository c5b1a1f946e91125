#include <stdio.h>
#include <string.h>

#include "out.h"
#include "usage.h"
#include "verb.h"
#include "wire.h"

static int
no_such_verb(struct ctl *ctl, const char *name)
{
	const char *near = verb_near(name);

	return ctl_usage(ctl, "no verb \"%s\"%s%s%s", name, near ? "; did you mean " : "",
			 near ? near : "", near ? "?" : "");
}

/* "METHOD is missing": the first word of the usage that was not given. */
static int
missing(struct ctl *ctl, const struct args *args)
{
	const char *word = args->verb->args;

	for (size_t i = 0; i < args->word_count; i++)
		word += strcspn(word, " ") + 1;
	return ctl_usage(ctl, "%.*s is missing", (int)strcspn(word, " …"), word);
}

static int
run_verb(struct ctl *ctl, const struct args *args)
{
	const struct verb *verb = args->verb;

	if (args->word_count < verb->min_args)
		return missing(ctl, args);
	if (args->word_count > verb->max_args)
		return ctl_usage(ctl, "\"%s\" is one argument too many",
				 args->words[verb->max_args]);
	return verb->run(ctl, args);
}

static int
run(struct ctl *ctl, int argc, char **argv)
{
	struct args args;
	char why[256];
	bool parsed = args_parse(argc, argv, &args, why, sizeof(why));

	ctl->verb = args.verb;
	ctl->json = args_flag(&args, "json");
	ctl->runtime_dir = args_text(&args, "runtime-dir", NULL);
	ctl->timeout_ms = args_number(&args, "timeout", 0);
	out_init(args_flag(&args, "no-color"));
	if (!parsed)
		return ctl_usage(ctl, "%s", why);
	if (!args.verb && args.word_count)
		return no_such_verb(ctl, args.words[0]);
	if (args_flag(&args, "version")) {
		puts("plugctl " PLUG_VERSION);
		return CTL_DONE;
	}
	if (args_flag(&args, "help")) {
		if (args.verb)
			usage_verb(stdout, args.verb);
		else
			usage_all(stdout);
		return CTL_DONE;
	}
	if (!args.verb) {
		usage_all(stderr);
		return CTL_USAGE;
	}
	return run_verb(ctl, &args);
}

int
main(int argc, char **argv)
{
	struct ctl ctl = {.json = false};
	int status = run(&ctl, argc, argv);

	ctl_close(&ctl);
	if (!out_finish() && status == CTL_DONE) {
		perror("plugctl: the output cannot be written");
		status = CTL_FAILED;
	}
	return status;
}
