#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "verb.h"

#define FOLLOW_EVENTS 10 /* shown before following, unless -n says otherwise */

struct reader {
	struct ctl *ctl;
	bool follow;
	json_t *events;
};

static enum out_color
kind_color(const char *kind)
{
	static const char *const bad[] = {"crashed", "failed", "quarantined", "hung", "stuck",
					  "refused", "killed", "suspended",   NULL};

	for (const char *const *one = bad; *one; one++)
		if (strcmp(*one, kind) == 0)
			return OUT_RED;
	return strcmp(kind, "ready") == 0 ? OUT_GREEN : OUT_PLAIN;
}

static json_t *
event_json(const Plug__Event *event)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:I}", "seq", number_json(event->seq),
			 "time_ms", number_json(event->time_ms), "plugin",
			 out_json_text(plug_str(event->plugin)), "kind",
			 out_json_text(plug_str(event->kind)), "detail",
			 out_json_text(plug_str(event->detail)), "generation",
			 (int)event->generation, "pid", (json_int_t)event->pid);
}

static void
show_event(const Plug__Event *event)
{
	const char *kind = plug_str(event->kind), *plugin = plug_str(event->plugin);
	char when[FORMAT_BYTES];

	out_start(OUT_DIM);
	printf("%s ", format_time(event->time_ms, when));
	out_end(OUT_DIM);
	printf("%-16s ", *plugin ? plugin : "plugd");
	out_start(kind_color(kind));
	printf("%-11s ", kind);
	out_end(kind_color(kind));
	if (event->generation)
		printf("#%" PRIu32 " ", event->generation);
	if (event->pid)
		printf("[%" PRId64 "] ", event->pid);
	out_line(plug_str(event->detail));
}

static bool
on_events(const Plug__Response *response, void *user)
{
	struct reader *reader = user;
	const Plug__Events *events = response->events;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_EVENTS)
		return true;
	for (size_t i = 0; i < events->n_events; i++) {
		if (!reader->ctl->json)
			show_event(events->events[i]);
		else if (reader->follow)
			out_json_line(event_json(events->events[i]));
		else
			json_array_append_new(reader->events, event_json(events->events[i]));
	}
	if (reader->follow)
		fflush(stdout);
	return true;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__EventsRequest events = PLUG__EVENTS_REQUEST__INIT;
	struct reader reader = {.ctl = ctl, .follow = args_flag(args, "follow")};
	int status;

	request.body_case = PLUG__REQUEST__BODY_EVENTS;
	request.events = &events;
	events.follow = reader.follow;
	events.count = (uint32_t)args_number(args, "lines", reader.follow ? FOLLOW_EVENTS : 0);
	reader.events = json_array();
	status = ctl_request(ctl, &request, NULL,
			     reader.follow ? ctl->timeout_ms : ctl_timeout(ctl, CTL_ANSWER_MS),
			     on_events, &reader);
	if (status == CTL_DONE && ctl->json && !reader.follow)
		out_json(json_pack("{s:O}", "events", reader.events));
	json_decref(reader.events);
	return status;
}

const struct verb verb_events = {
	.name = "events",
	.summary = "show what happened: starts, crashes, reloads, changes of values",
	.help = "Prints the events that plugd remembers, oldest first: when, which plugin, what, "
		"the "
		"generation (#) and process ([ ]) it happened to, and a sentence on it.",
	.options =
		(const struct option_spec[]){
			{"follow", 'f', NULL, "go on with new events until interrupted"},
			{"lines", 'n', "N", "the last N events (all; with -f 10)", COMPLETE_NOTHING,
			 ARGS_COUNT},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl events -f", "follow"},
			{"plugctl events --json | jq '.events[] | select(.kind == \"crashed\")'",
			 "crashes only"},
			{"plugctl events --json | jq '.events[] | select(.plugin == \"gpt2\")'",
			 "one plugin only; plugctl crashes gpt2 has its deaths"},
			{NULL},
		},
	.paged = true,
	.run = run,
};
