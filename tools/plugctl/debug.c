/* What a plugin is doing right now, and how much of it is logged. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "act.h"
#include "ask.h"
#include "core/suggest.h"
#include "format.h"
#include "inspect.h"
#include "out.h"
#include "plugin_json.h"
#include "verb.h"

#define LOG_SHOWN 20

static const char *const levels[] = {"debug", "info", "warning", "error", NULL};

/* ---- the level ---- */

static bool
on_level(const Plug__Response *response, void *user)
{
	(void)response;
	(void)user;
	return true;
}

static int
set_level(struct ctl *ctl, const char *name, const char *level)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ActRequest act = PLUG__ACT_REQUEST__INIT;
	const char *near = suggest_from(level, levels);
	uint32_t number = 0;
	int rc;

	while (levels[number] && strcmp(levels[number], level) != 0)
		number++;
	if (!levels[number])
		return ctl_usage(ctl, "no level \"%s\"; %s%s%s", level,
				 near ? "did you mean " : "there is debug, info, warning and error",
				 near ? near : "", near ? "?" : "");
	request.body_case = PLUG__REQUEST__BODY_ACT;
	request.act = &act;
	act.action = PLUG__ACTION__ACTION_LOG_LEVEL;
	act.name = (char *)name;
	act.log_level = number;
	rc = ctl_request(ctl, &request, name, ctl_timeout(ctl, CTL_ANSWER_MS), on_level, NULL);
	if (rc != CTL_DONE)
		return rc;
	if (ctl->json)
		out_json(json_pack("{s:o, s:s}", "name", out_json_text(name), "log_level", level));
	else
		printf("%s: log calls are kept from %s on, until plugd ends\n", name, level);
	return CTL_DONE;
}

/* ---- the dump ---- */

static bool
on_log(const Plug__Response *response, void *user)
{
	json_t *lines = user;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_LOGS)
		return true;
	for (size_t i = 0; i < response->logs->n_lines; i++)
		json_array_append_new(lines,
				      out_json_text(plug_str(response->logs->lines[i]->text)));
	return true;
}

static json_t *
last_log(struct ctl *ctl, const char *name)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__LogsRequest logs = PLUG__LOGS_REQUEST__INIT;
	json_t *lines = json_array();

	request.body_case = PLUG__REQUEST__BODY_LOGS;
	request.logs = &logs;
	logs.name = (char *)name;
	logs.lines = LOG_SHOWN;
	ctl_ask(ctl, &request, CTL_ANSWER_MS, on_log, lines);
	return lines;
}

static json_t *
processes(const json_t *status, bool stacks)
{
	const json_t *instances = json_object_get(status, "instance_list"), *instance;
	json_t *list = json_array();
	size_t i;

	json_array_foreach(instances, i, instance)
	{
		uint64_t pid = ask_number(instance, "pid");
		json_t *process = pid ? inspect_process(pid) : NULL, *lines;
		char why[256] = "";

		if (!process)
			continue;
		json_object_set(process, "instance", json_object_get(instance, "name"));
		lines = stacks ? inspect_stacks(pid, why, sizeof(why)) : NULL;
		json_object_set_new(process, "stacks", lines ? lines : json_null());
		json_object_set_new(process, "no_stacks", out_json_text(why));
		json_array_append_new(list, process);
	}
	return list;
}

static void
show_threads(const json_t *process)
{
	const json_t *threads = json_object_get(process, "threads"), *thread;
	size_t i;

	json_array_foreach(threads, i, thread)
	{
		const char *wchan = ask_text(thread, "wchan"), *call = ask_text(thread, "syscall");

		out_field(i ? "" : "threads", "%" PRIu64 " %-15s %s%s%s", ask_number(thread, "tid"),
			  ask_text(thread, "name"), ask_text(thread, "state"),
			  *wchan  ? ", in "
			  : *call ? ", in system call "
				  : "",
			  *wchan ? wchan : call);
		if (ask_text(thread, "state")[0] == 'D')
			out_field("", "%s", ask_text(thread, "kernel_stack"));
	}
}

static void
show_process(const json_t *process)
{
	const json_t *executing = json_object_get(process, "executing"), *call;
	const json_t *stacks = json_object_get(process, "stacks"), *line;
	char text[FORMAT_BYTES];
	size_t i;

	putchar('\n');
	out_start(OUT_BOLD);
	printf("process %" PRIu64, ask_number(process, "pid"));
	out_end(OUT_BOLD);
	printf(", %s\n", ask_text(process, "instance"));
	out_field("state", "%s%s", ask_text(process, "state"),
		  json_is_true(json_object_get(process, "stopped"))
			  ? ": by SIGSTOP or a debugger; kill -CONT lets it go on"
			  : "");
	if (json_object_get(process, "silent_ms"))
		out_field("sign of life", "%s ago",
			  format_duration(ask_number(process, "silent_ms"), text));
	out_field("descriptors", "%" PRIu64, ask_number(process, "descriptors"));
	json_array_foreach(executing, i, call)
	{
		out_field(i ? "" : "executing", "call %" PRIu64 " for %s", ask_number(call, "call"),
			  format_duration(ask_number(call, "for_ms"), text));
	}
	show_threads(process);
	json_array_foreach(stacks, i, line)
	{
		out_line(json_string_value(line));
	}
	if (*ask_text(process, "no_stacks"))
		out_field("no stacks", "%s", ask_text(process, "no_stacks"));
}

static void
show(const json_t *dump)
{
	const json_t *status = json_object_get(dump, "status"), *one;
	const json_t *calls = json_object_get(status, "calls");
	char text[FORMAT_BYTES];
	size_t i;

	out_start(OUT_BOLD);
	out_text(ask_text(status, "name"), strlen(ask_text(status, "name")));
	out_end(OUT_BOLD);
	printf(" %s\n", ask_text(status, "state"));
	if (*ask_text(status, "why"))
		out_field("why", "%s", ask_text(status, "why"));
	if (*ask_text(status, "next"))
		out_field("next", "%s", ask_text(status, "next"));
	out_field("log level", "%s", ask_text(status, "log_level"));
	out_field("waiting", "%" PRIu64 " calls", ask_number(status, "queued"));
	json_array_foreach(calls, i, one)
	{
		out_field(i ? "" : "calls", "#%" PRIu64 " %s for %s%s", ask_number(one, "id"),
			  ask_text(one, "method"), format_duration(ask_number(one, "age_ms"), text),
			  json_is_true(json_object_get(one, "hung")) ? ", past its deadline" : "");
	}
	json_array_foreach(json_object_get(dump, "log"), i, one)
	{
		out_field(i ? "" : "last output", "%s", json_string_value(one));
	}
	json_array_foreach(json_object_get(dump, "processes"), i, one)
	{
		show_process(one);
	}
	if (i == 0)
		puts("  it has no process; `plugctl crashes` tells of those that died");
}

static int
dump(struct ctl *ctl, const char *name, bool stacks)
{
	json_t *status = NULL, *document;
	int rc = ask_status(ctl, name, &status);

	if (rc != CTL_DONE)
		return rc;
	document = json_pack("{s:o, s:o, s:o}", "status", status, "log", last_log(ctl, name),
			     "processes", processes(status, stacks));
	if (ctl->json) {
		out_json(document);
	} else {
		show(document);
		json_decref(document);
	}
	return CTL_DONE;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	const char *name = args->words[0], *level = args_text(args, "log-level", NULL);

	if (level)
		return set_level(ctl, name, level);
	return dump(ctl, name, !args_flag(args, "no-stacks"));
}

const struct verb verb_debug = {
	.name = "debug",
	.args = "NAME",
	.summary = "show what a plugin does right now, or change what it logs",
	.help = "Prints the plugin's state, the calls in flight, its last output, and for each of "
		"its processes the state of every thread, what it waits for in the kernel, which "
		"calls it executes since when, and the stacks of all threads.  Stacks need gdb or "
		"eu-stack, and the right to look into the process; it stands still meanwhile, for "
		"5 s at most.\n\n"
		"With --log-level nothing is printed; the plugin's log calls are kept from that "
		"level on, at once and in all its processes, until plugd ends.  run.log_level in "
		"the manifest is what holds without (info).",
	.options =
		(const struct option_spec[]){
			{"log-level", 'l', "LEVEL", "debug, info, warning or error"},
			{"no-stacks", 0, NULL, "do not stop its processes for their stacks"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl debug gpt2", "where does it hang?"},
			{"plugctl debug gpt2 --log-level debug", "let it say more"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.min_args = 1,
	.max_args = 1,
	.paged = true,
	.run = run,
};
