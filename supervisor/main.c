/* plugd: options, --check, the guardian; the rest is daemon.c. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/turn.h"
#include "config.h"
#include "config_metrics.h"
#include "core/excerpt.h"
#include "core/lifecycle.h"
#include "daemon.h"
#include "os/spawn.h"
#include "plugin/registry.h"
#include "plugin/registry_check.h"
#include "upgrade/check.h"
#include "upgrade/identity.h"
#include "wire.h"

#define RESUME_TURNS 8 /* in an upgrade: what waits for plugd shall not wait for others long */

static const char usage[] =
	"usage: plugd [--config FILE] [--plugin-dir DIR]... [--runtime-dir DIR] [--state-dir DIR]\n"
	"             [--log-level debug|info|warn|error] [--log-format text|json] [--check]\n"
	"\n"
	"Runs plugins as child processes and serves their calls.  Stays in the foreground and logs "
	"to stderr.\n"
	"\n"
	"  -c, --config FILE      settings (plugd.yaml(5)); none are needed\n"
	"  -p, --plugin-dir DIR   where plugins are looked for, with all folders below; may be "
	"repeated\n"
	"  -r, --runtime-dir DIR  socket, lock and sessions; default $XDG_RUNTIME_DIR/plugd, else "
	"/run/plugd\n"
	"  -s, --state-dir DIR    logs and what survives a restart\n"
	"      --check            check the settings and every manifest, run nothing, exit 0 or 1\n"
	"      --log-level L      default info\n"
	"      --log-format F     default text\n"
	"      --lifecycle        print the lifecycle tables as Markdown\n"
	"  -V, --version\n"
	"  -h, --help\n"
	"\n"
	"SIGTERM stops the plugins in order and ends; SIGHUP re-reads the settings and the plugin "
	"directories.\n";

enum { OPT_CHECK = 256, OPT_LOG_LEVEL, OPT_LOG_FORMAT, OPT_LIFECYCLE };

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"plugin-dir", required_argument, NULL, 'p'},
	{"runtime-dir", required_argument, NULL, 'r'},
	{"state-dir", required_argument, NULL, 's'},
	{"check", no_argument, NULL, OPT_CHECK},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"log-format", required_argument, NULL, OPT_LOG_FORMAT},
	{"lifecycle", no_argument, NULL, OPT_LIFECYCLE},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int
usage_error(const char *format, const char *what)
{
	fprintf(stderr, "plugd: ");
	fprintf(stderr, format, what);
	fprintf(stderr, "; see plugd --help\n");
	return 2;
}

/* Whoever reads it in a message or a status is somewhere else.  Links stay: they may be changed. */
static const char *
whole_path(const char *path)
{
	AUTO_FREE char *here = *path == '/' ? NULL : getcwd(NULL, 0);
	char *whole;

	return here && asprintf(&whole, "%s/%s", here, path) >= 0 ? whole : path;
}

static int
add_plugin_dir(struct options *options, const char *dir)
{
	if (options->plugin_dir_count == CONFIG_DIRS)
		return usage_error("--plugin-dir %s: more than 64 are given", dir);
	options->plugin_dirs[options->plugin_dir_count++] = whole_path(dir);
	return -1;
}

static int
check_words(const struct options *options)
{
	enum log_level level;
	enum log_format format;

	if (options->log_level && log_level_parse(options->log_level, &level))
		return usage_error("--log-level \"%s\": expected debug, info, warn or error",
				   options->log_level);
	if (options->log_format && log_format_parse(options->log_format, &format))
		return usage_error("--log-format \"%s\": expected text or json",
				   options->log_format);
	return -1;
}

/* -1: go on; else the exit status. */
static int
parse_options(int argc, char **argv, struct options *options)
{
	int option, status = -1;

	options->argv = argv;
	while (status < 0 &&
	       (option = getopt_long(argc, argv, "c:p:r:s:Vh", long_options, NULL)) >= 0) {
		switch (option) {
		case 'c':
			options->config_file = optarg;
			break;
		case 'p':
			status = add_plugin_dir(options, optarg);
			break;
		case 'r':
			options->runtime_dir = optarg;
			break;
		case 's':
			options->state_dir = optarg;
			break;
		case OPT_CHECK:
			options->check = true;
			break;
		case OPT_LOG_LEVEL:
			options->log_level = optarg;
			break;
		case OPT_LOG_FORMAT:
			options->log_format = optarg;
			break;
		case OPT_LIFECYCLE:
			lc_print_markdown(stdout);
			return 0;
		case 'V':
			printf("plugd %s, protocol %d to %d\n", PLUG_VERSION, PLUG_PROTOCOL_MIN,
			       PLUG_PROTOCOL_MAX);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs("plugd: see plugd --help\n", stderr);
			return 2;
		}
	}
	if (status < 0 && optind < argc)
		return usage_error("unexpected argument \"%s\"", argv[optind]);
	return status < 0 ? check_words(options) : status;
}

static void
print_line(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
}

static size_t
print_bad(struct list *bad)
{
	size_t count = 0;

	LIST_FOREACH_SAFE (one, bad, struct bad_plugin, node) {
		if (one->explained)
			fputs(one->explained, stderr);
		for (size_t i = 0; !one->explained && i < one->error_count; i++)
			fprintf(stderr, "%s\n", one->errors[i]);
		count++;
		list_remove(&one->node);
		bad_plugin_free(one);
	}
	return count;
}

/* For the values that `plugctl config set` has left there; -1: there is none yet. */
static int
open_state_dir(const struct options *options, const struct settings *settings)
{
	char path[PATH_MAX];

	config_state_dir(options, settings, path, sizeof(path));
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
check_metrics(const struct settings *settings, struct spec *const *specs, size_t count)
{
	struct diags diags;
	bool found = false;

	for (size_t i = 0; i < count; i++)
		found = found || !strcmp(specs[i]->name, METRICS_PLUGIN);
	diags_init(&diags);
	config_check_metrics(settings, found, &diags);
	diags_each(&diags, print_line, NULL);
	diags_fini(&diags);
}

static int
check(const struct options *options, const struct settings *settings)
{
	const struct config_present present = {.state_fd = open_state_dir(options, settings)};
	struct list bad = LIST_INIT(bad);
	struct config_dirs dirs = {.count = 0};
	struct spec **specs;
	size_t count, bad_count;

	config_dirs(options, settings, &dirs);
	if (config_discover(options, &dirs, settings, &present, &specs, &count, &bad)) {
		fprintf(stderr, "plugd: out of memory\n");
		return 1;
	}
	count = registry_check(specs, count, (size_t)settings->limits.plugins, NULL, &bad);
	bad_count = print_bad(&bad);
	check_metrics(settings, specs, count);
	printf("%zu plugins are valid, %zu are not\n", count, bad_count);
	for (size_t i = 0; i < count; i++)
		spec_free(specs[i]);
	free(specs);
	return bad_count ? 1 : 0;
}

/* ---- an upgrade in place ---- */

/* What was in force goes on: the options and settings of the plugd before. */
struct resumed {
	struct options options;
	struct settings *settings;
	struct guardian guardian;
};

/* As long as the process, as main()'s. */
static char **
copy_words(char *const *words, size_t count)
{
	char **argv = calloc(count + 1, sizeof(char *));

	for (size_t i = 0; argv && i < count; i++)
		if (!(argv[i] = strdup(words[i])))
			return NULL;
	return argv;
}

static bool
take_options(struct resumed *resumed, struct state_in *in)
{
	const Plugd__SavedDaemon *saved = in->saved->daemon;
	char **argv = copy_words(saved->argv, saved->n_argv);

	if (!argv || !saved->n_argv)
		state_in_fail(in, "no command line, or out of memory");
	else if (parse_options((int)saved->n_argv, argv, &resumed->options) >= 0)
		state_in_fail(in, "this plugd does not accept the options that are in force");
	return !in->failed;
}

static bool
take_what_is_in_force(struct resumed *resumed, struct state_in *in)
{
	if (!in->saved->daemon)
		state_in_fail(in, "a state without a daemon");
	if (in->failed || !take_options(resumed, in))
		return false;
	resumed->settings = daemon_saved_settings(in);
	return !in->failed;
}

/* --check-state: would this program take over?  It is asked by the one that runs, on a copy. */
static int
check_state(void)
{
	static struct resumed resumed;
	const struct upgrade_identity *self = &upgrade_identity;
	struct state_in in;
	int status;

	turn_begin(UINT_MAX);
	turn_offer();
	if (!state_in_init(&in, CHECK_FD, self->state.version, true) &&
	    take_what_is_in_force(&resumed, &in)) {
		if (self->accept && !self->accept(true, in.why, sizeof(in.why)))
			in.failed = true;
		else
			daemon_try(&resumed.options, resumed.settings, &resumed.guardian, &in);
	}
	turn_offer(); /* the kernel takes as long again to end the process */
	status = check_say(self->version, in.failed ? in.why : NULL);
	state_in_fini(&in);
	return status;
}

static int
resume(struct handover *handover, char *const *argv)
{
	static struct resumed resumed;
	const struct upgrade_identity *self = &upgrade_identity;
	const Plugd__SavedDaemon *saved;
	struct state_in in;

	turn_begin(RESUME_TURNS);
	turn_offer();
	if (state_in_init(&in, handover->state_fd, self->state.version, false) ||
	    !take_what_is_in_force(&resumed, &in) ||
	    (self->accept && !self->accept(false, in.why, sizeof(in.why)))) {
		handover_give_back(handover, argv, in.why);
		fprintf(stderr, "plugd: the state cannot be taken over: %s\n", in.why);
		return 1;
	}
	saved = in.saved->daemon;
	guardian_resume(&resumed.guardian, (pid_t)saved->guardian_pid,
			state_in_fd(&in, saved->guardian_fd));
	return daemon_resume(&resumed.options, resumed.settings, &resumed.guardian, &in, handover);
}

/* ---- the beginning ---- */

int
main(int argc, char **argv)
{
	static struct options options; /* holds paths as long as the process */
	struct guardian guardian;
	struct handover handover;
	struct settings *settings;
	struct diags diags;
	int status;

	spawn_heap_starts();
	if (argc == 2 && !strcmp(argv[1], CHECK_OPTION))
		return check_state();
	if (handover_take(&handover))
		return resume(&handover, argv);
	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;
	diags_init(&diags);
	diags.in_force = "plugd does not start with it";
	settings = config_load(&options, &diags);
	excerpt_each(&diags, print_line, NULL);
	diags_fini(&diags);
	if (!settings)
		return 1;
	if (options.check) {
		status = check(&options, settings);
		settings_free(settings);
		return status;
	}
	if (guardian_start(&guardian)) {
		fprintf(stderr,
			"plugd: no guardian process: %s; plugd does not start without one\n",
			strerror(errno));
		settings_free(settings);
		return 1;
	}
	status = daemon_run(&options, settings, &guardian);
	guardian_close(&guardian);
	return status;
}
