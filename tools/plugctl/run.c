/* One plugin in the foreground, under a plugd of its own. */
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

#include "base/cleanup.h"
#include "check.h"
#include "logs.h"
#include "plugin_json.h"
#include "site.h"
#include "terminal.h"
#include "verb.h"

#define WORDS_MAX 60 /* of run.under */

/* Opens a terminal or a file as the standard input of what follows it; of a process that leads a
 * session without a terminal, the terminal becomes the controlling one. */
#define LEND_TERMINAL "exec \"$@\" <>\"$0\" >&0 2>&0"
#define LEND_INPUT    "exec \"$@\" <\"$0\""

struct running {
	struct ctl *ctl;
	const struct args *args;
	const struct manifest *manifest;
	const char *words[WORDS_MAX]; /* of run.under */
	size_t word_count;
	bool debugger;
	char input[64], interpreter[PATH_MAX];
	wordexp_t expanded; /* of --under */
	struct terminal *terminal;
	struct site site;
	bool ready, ended, failed;
};

/* For the signal handler. */
static struct site *volatile in_hand;
static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
	(void)number;
	interrupted = 1;
	if (in_hand)
		site_stop(in_hand);
}

static void
catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/* ---- what starts the program ---- */

static bool
add_word(struct running *running, const char *word)
{
	if (running->word_count == WORDS_MAX)
		return false;
	running->words[running->word_count++] = word;
	return true;
}

/* The words of the tool, and the interpreter of a script, which the tool is to look at. */
static int
add_tool(struct running *running)
{
	const char *under = args_text(running->args, "under", NULL);
	const char *program = running->manifest->exec.items[0];
	size_t first = running->word_count;

	if (args_flag(running->args, "gdb"))
		under = "gdb --args";
	else if (args_flag(running->args, "valgrind"))
		under = "valgrind";
	if (!under)
		return CTL_DONE;
	if (wordexp(under, &running->expanded, WRDE_NOCMD) || running->expanded.we_wordc == 0)
		return ctl_usage(running->ctl, "--under %s: expected a command, such as %s", under,
				 "'gdb --args'");
	running->debugger = true;
	for (size_t i = 0; i < running->expanded.we_wordc; i++)
		if (!add_word(running, running->expanded.we_wordv[i]))
			return ctl_usage(running->ctl, "--under has more than %d words", WORDS_MAX);
	if (!check_program(running->words[first]))
		return ctl_fail(running->ctl, PLUG_ESYS, running->words[first],
				"it is in no folder of $PATH; install it (apt-get install gdb "
				"valgrind strace)");
	if (check_interpreter(program, running->interpreter, sizeof(running->interpreter)))
		add_word(running, running->interpreter);
	return CTL_DONE;
}

/* A socket cannot be opened a second time. */
static bool
is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || S_ISSOCK(st.st_mode);
}

/* A debugger gets the whole terminal; anything else our standard input, and its output is captured
 * as always. */
static bool
lend_input(struct running *running)
{
	bool whole = (args_text(running->args, "under", NULL) || args_flag(running->args, "gdb")) &&
		     !args_text(running->args, "exec", NULL) && isatty(STDIN_FILENO) &&
		     isatty(STDOUT_FILENO);

	if (whole) {
		running->terminal = terminal_open();
		if (!running->terminal)
			return false;
		snprintf(running->input, sizeof(running->input), "%s",
			 terminal_path(running->terminal));
	} else if (running->manifest->run.user || is_socket(STDIN_FILENO) ||
		   args_text(running->args, "exec", NULL)) {
		return true;
	} else {
		snprintf(running->input, sizeof(running->input), "/proc/%d/fd/0", getpid());
	}
	add_word(running, "/bin/sh");
	add_word(running, "-c");
	add_word(running, whole ? LEND_TERMINAL : LEND_INPUT);
	add_word(running, running->input);
	return true;
}

static json_t *
override_of(const struct running *running)
{
	json_t *run = json_pack("{s:b, s:s, s:s}", "autostart", 1, "restart", "never", "log_level",
				"debug");
	json_t *override = json_pack("{s:o}", "run", run), *under = json_array();

	for (size_t i = 0; i < running->word_count; i++)
		json_array_append_new(under, json_string(running->words[i]));
	if (running->word_count)
		json_object_set(run, "under", under);
	json_decref(under);
	if (running->debugger || args_flag(running->args, "patient"))
		json_object_set_new(run, "debug", json_true());
	if (running->debugger) /* a debugger traces, which the filter of `default` forbids */
		json_object_set_new(override, "sandbox", json_pack("{s:s}", "system_calls", "all"));
	return override;
}

/* ---- while it runs ---- */

static void
say_ready(const struct running *running, const Plug__Event *event)
{
	if (running->terminal || args_text(running->args, "exec", NULL))
		return;
	fprintf(stderr,
		"plugctl: %s is ready, process %" PRId64 ". In another terminal:\n"
		"plugctl:   plugctl -d %s call %s METHOD\n"
		"plugctl: Ctrl-C stops it\n",
		running->manifest->plugin, event->pid, running->site.runtime,
		running->manifest->plugin);
}

static bool
is_end(const char *kind)
{
	static const char *const ends[] = {"crashed",     "stopped", "failed",
					   "quarantined", "removed", NULL};

	for (const char *const *end = ends; *end; end++)
		if (strcmp(*end, kind) == 0)
			return true;
	return false;
}

/* A debugger that its user left ended as it was meant to. */
static void
take_end(struct running *running, const char *kind, const char *detail)
{
	running->ended = true;
	running->failed = strcmp(kind, "stopped") != 0 &&
			  !(running->debugger && strncmp(detail, "exit code 0 ", 12) == 0);
	if (!interrupted && running->failed)
		ctl_tell(running->ctl, PLUG_EPLUGIN, running->manifest->plugin,
			 *detail ? detail : kind);
}

/* False once it ended or, with --exec, once it is ready. */
static bool
on_events(const Plug__Response *response, void *user)
{
	struct running *running = user;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_EVENTS)
		return true;
	for (size_t i = 0; i < response->events->n_events; i++) {
		const Plug__Event *event = response->events->events[i];
		const char *kind = plug_str(event->kind);

		if (strcmp(plug_str(event->plugin), running->manifest->plugin) != 0)
			continue;
		if (strcmp(kind, "ready") == 0) {
			running->ready = true;
			say_ready(running, event);
			if (args_text(running->args, "exec", NULL))
				return false;
		}
		if (is_end(kind)) {
			take_end(running, kind, plug_str(event->detail));
			return false;
		}
	}
	return true;
}

static void
follow_events(struct running *running)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__EventsRequest events = PLUG__EVENTS_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_EVENTS;
	request.events = &events;
	events.follow = true;
	ctl_ask(running->ctl, &request, 0, on_events, running);
}

/* Its own folder comes first in $PATH, so that plugctl is this one. */
static int
execute(const struct running *running, const char *command)
{
	char socket[SITE_PATH_BYTES + 16], self[PATH_MAX] = "", path[2 * PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	pid_t pid;
	int status;

	if (size > 0 && strrchr(self, '/'))
		*strrchr(self, '/') = '\0';
	snprintf(socket, sizeof(socket), "%s/plugd.sock", running->site.runtime);
	snprintf(path, sizeof(path), "%s:%s", self,
		 getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setenv("PLUGD_SOCKET", socket, 1);
		setenv("PATH", path, 1);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return CTL_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The plugin is there: it was found, its configuration is right. */
static bool
on_found(const Plug__Response *response, void *user)
{
	(void)response;
	(void)user;
	return true;
}

static int
find(struct running *running)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &status;
	status.name = (char *)running->manifest->plugin;
	if (ctl_connect(running->ctl) != CTL_DONE)
		return CTL_NO_PLUGD;
	if (ctl_ask(running->ctl, &request, CTL_ANSWER_MS, on_found, NULL) == PLUG_OK)
		return CTL_DONE;
	site_print_log(&running->site);
	return ctl_tell(running->ctl, PLUG_EINVAL, running->manifest->plugin,
			"plugd cannot use it; its log is above");
}

static int
attend(struct running *running)
{
	const char *command = args_text(running->args, "exec", NULL);
	struct logs_follower follower;
	bool follows = false;
	int status = find(running);

	if (status != CTL_DONE)
		return status;
	if (!command && !running->terminal)
		follows = logs_follow(&follower, running->ctl, running->manifest->plugin);
	follow_events(running);
	if (command && running->ready && !running->ended)
		status = execute(running, command);
	else if (!interrupted && running->failed)
		status = CTL_FAILED;
	if (command && (status != CTL_DONE || !running->ready) &&
	    logs_follow(&follower, running->ctl, running->manifest->plugin))
		follows = true; /* what it printed explains it */
	if (follows)
		logs_catch_up(&follower, running->ctl);
	ctl_close(running->ctl);
	terminal_close(running->terminal);
	running->terminal = NULL;
	site_close(&running->site); /* a second Ctrl-C does not wait for the plugin */
	in_hand = NULL;
	if (follows)
		logs_unfollow(&follower);
	return status;
}

static int
start(struct running *running)
{
	const char *sets[ARGS_OPTIONS_MAX], *with[ARGS_OPTIONS_MAX];
	char path[PATH_MAX];
	struct site_config config = {.plugin = check_plugin_path(running->manifest, path),
				     .name = running->manifest->plugin,
				     .sets = sets,
				     .with = with,
				     .override = override_of(running)};
	char why[SITE_WHY_BYTES];
	bool opened;
	int status;

	for (size_t i = 0; i < running->args->given_count; i++) {
		const struct args_given *given = &running->args->given[i];

		if (strcmp(given->option->name, "set") == 0)
			sets[config.set_count++] = given->text;
		else if (strcmp(given->option->name, "plugin-dir") == 0)
			with[config.with_count++] = given->text;
	}
	opened = site_open(&config, &running->site, why);
	json_decref(config.override);
	if (!opened)
		return ctl_fail(running->ctl, PLUG_ESYS, running->manifest->plugin, why);
	in_hand = &running->site;
	if (interrupted)
		site_stop(&running->site);
	running->ctl->runtime_dir = running->site.runtime;
	status = attend(running);
	ctl_close(running->ctl);
	site_close(&running->site);
	in_hand = NULL;
	return status;
}

/* They go to plugd by its environment, where a name that is none would only be warned of. */
static int
check_set(struct ctl *ctl, const struct schema *schema, const char *text)
{
	const char *end = strchr(text, '=');
	struct diag_pos pos = {.file = "--set"};
	struct diags diags;
	char key[256];

	if (!end || end == text)
		return ctl_usage(ctl, "--set %s: expected KEY=VALUE", text);
	snprintf(key, sizeof(key), "%.*s", (int)(end - text), text);
	if (schema_find(schema, key))
		return CTL_DONE;
	diags_init(&diags);
	schema_unknown_key(schema, &diags, &pos, key);
	check_print(&diags);
	diags_fini(&diags);
	return ctl_fail(ctl, PLUG_EINVAL, NULL,
			"--set: a key that it does not have; nothing was started");
}

static int
check_sets(const struct running *running)
{
	const struct args *args = running->args;
	int status = CTL_DONE;

	for (size_t i = 0; i < args->given_count && status == CTL_DONE; i++)
		if (strcmp(args->given[i].option->name, "set") == 0)
			status = check_set(running->ctl, &running->manifest->config,
					   args->given[i].text);
	return status;
}

static int
run_manifest(struct running *running)
{
	int status = check_sets(running);

	catch_signals();
	if (status == CTL_DONE && !lend_input(running))
		status = ctl_fail(running->ctl, PLUG_ESYS, NULL, "no pseudo-terminal");
	if (status == CTL_DONE)
		status = add_tool(running);
	if (status == CTL_DONE)
		status = start(running);
	terminal_close(running->terminal);
	wordfree(&running->expanded);
	in_hand = NULL;
	return status;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct running running = {.ctl = ctl, .args = args};
	struct manifest *manifest;
	char path[PATH_MAX];
	struct diags diags;
	int status;

	if (ctl->runtime_dir)
		return ctl_usage(ctl, "it runs under a plugd of its own: --runtime-dir has no "
				      "place here");
	check_manifest_path(args->words[0], path, sizeof(path));
	diags_init(&diags);
	manifest = check_manifest(path, &diags);
	running.manifest = manifest;
	check_print(&diags);
	if (manifest && !diags.errors)
		status = run_manifest(&running);
	else
		status = ctl_fail(ctl, PLUG_EINVAL, NULL,
				  "the manifest cannot be used; nothing was "
				  "started");
	manifest_free(manifest);
	diags_fini(&diags);
	return status;
}

const struct verb verb_run = {
	.name = "run",
	.args = "PATH",
	.summary = "run one plugin in the foreground, also under a debugger",
	.help = "Starts a plugd of its own in a temporary directory, with the plugin at PATH (its "
		"folder, its plugin.yaml or its single file) and no other, prints what the plugin "
		"prints and logs, "
		"and stops both in order at Ctrl-C.  The plugin gets the standard input.  It is "
		"not restarted: when it ends, so does this, with exit status 1 if it crashed.\n\n"
		"--gdb, --valgrind and --under start the program through another one, which gets "
		"the program and its arguments behind its own.  Then nothing of plugd's is in a "
		"hurry: start and probe may take a week, calls have no deadline but their "
		"caller's, and a process that stands still is not taken for hung.  A debugger has "
		"the whole terminal, Ctrl-C included, and ends with its own command.  Of a "
		"script, its interpreter is started.\n\n"
		"With --exec a shell command is run once the plugin is ready; plugctl in it "
		"reaches this plugd.  Then all stops, and its exit status is that of the command: "
		"this is how a plugin's tests are run.",
	.options =
		(const struct option_spec[]){
			{"gdb", 'g', NULL, "under gdb: type run"},
			{"valgrind", 0, NULL, "under valgrind"},
			{"under", 'u', "COMMAND", "under this command, such as 'strace -f'"},
			{"exec", 'x', "COMMAND", "run this when it is ready, then stop"},
			{"set", 's', "KEY=VALUE", "a value of its configuration; may be repeated"},
			{"plugin-dir", 'p', "DIR",
			 "more plugins, for what it requires; may be repeated", COMPLETE_DIR},
			{"patient", 0, NULL, "no deadlines, as under a debugger"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl run .", "the plugin in this folder"},
			{"plugctl run . --gdb", "in the debugger"},
			{"plugctl run . --under strace", "its system calls"},
			{"plugctl run . --exec ./test.sh", "its tests"},
			{NULL},
		},
	.complete = COMPLETE_FILE,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
