#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "out.h"
#include "plugin_json.h"
#include "verb.h"

struct gathering {
	json_t *daemon, *lines, *stats;
	size_t unusable;
};

static bool
on_response(const Plug__Response *response, void *user)
{
	struct gathering *all = user;

	if (response->outcome != PLUG_OK)
		return true;
	if (response->body_case == PLUG__RESPONSE__BODY_LIST) {
		for (size_t i = 0; i < response->list->n_plugins; i++)
			json_array_append_new(all->lines,
					      plugin_line_json(response->list->plugins[i]));
		all->unusable += response->list->n_bad;
	} else if (response->body_case == PLUG__RESPONSE__BODY_STATS) {
		for (size_t i = 0; i < response->stats->n_plugins; i++)
			json_array_append_new(all->stats, stats_json(response->stats->plugins[i]));
	} else if (response->body_case == PLUG__RESPONSE__BODY_DAEMON && !all->daemon) {
		all->daemon = daemon_status_json(response->daemon);
	}
	return true;
}

static int
gather(struct ctl *ctl, struct gathering *all)
{
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;
	Plug__StatsRequest stats = PLUG__STATS_REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;
	Plug__Request requests[3] = {PLUG__REQUEST__INIT, PLUG__REQUEST__INIT, PLUG__REQUEST__INIT};
	int exit = CTL_DONE;

	requests[0].body_case = PLUG__REQUEST__BODY_STATUS;
	requests[0].status = &status;
	requests[1].body_case = PLUG__REQUEST__BODY_LIST;
	requests[1].list = &list;
	requests[2].body_case = PLUG__REQUEST__BODY_STATS;
	requests[2].stats = &stats;
	for (size_t i = 0; exit == CTL_DONE && i < 3; i++)
		exit = ctl_request(ctl, &requests[i], NULL, ctl_timeout(ctl, CTL_ANSWER_MS),
				   on_response, all);
	if (exit == CTL_DONE && !all->daemon)
		exit = ctl_fail(ctl, PLUG_EPROTO, NULL, "plugd answered with something else");
	return exit;
}

static void
print_text(const json_t *families)
{
	char *text = metrics_text(families);

	out_text(text, strlen(text));
	free(text);
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct gathering all = {.lines = json_array(), .stats = json_array()};
	int status = gather(ctl, &all);

	(void)args;
	if (status == CTL_DONE) {
		json_t *families = metrics_families(
			&(struct metrics_source){all.daemon, all.lines, all.stats, all.unusable});

		if (ctl->json)
			out_json(json_pack("{s:O}", "families", families));
		else
			print_text(families);
		json_decref(families);
	}
	json_decref(all.daemon);
	json_decref(all.lines);
	json_decref(all.stats);
	return status;
}

const struct verb verb_metrics = {
	.name = "metrics",
	.summary = "print all that plugd counts, for Prometheus",
	.help = "Prints what plugd knows of itself, of each plugin and of each method in "
		"Prometheus's text exposition format 0.0.4: states, restarts, crashes, memory, "
		"processor time, calls by outcome, histograms of their durations, channels.  "
		"--json has the same as one document.\n\n"
		"The plugin `metrics` serves this over HTTP; `metrics: true` in plugd.yaml starts "
		"it.  Without HTTP, node_exporter's textfile collector takes the output as a "
		"file.",
	.examples =
		(const struct verb_example[]){
			{"plugctl metrics | grep crashes", "who has crashed, and how often"},
			{"plugctl metrics --json | jq -r '.families[].name'", "what is counted"},
			{NULL},
		},
	.paged = true,
	.run = run,
};
