#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_plan.h"
#include "bench_show.h"
#include "load_json.h"
#include "payload.h"
#include "progress.h"
#include "verb.h"

struct bench {
	struct ctl *ctl;
	const char *plugin, *method;
	struct bench_plan plan;
	struct payload payload; /* of every run, or memory for the largest */
	struct table *table;
	json_t *runs;
	size_t shown;  /* runs that were measured */
	bool failures; /* calls failed in a run that was measured */
};

/* ---- what is measured ---- */

static bool
on_status(const Plug__Response *response, void *user)
{
	struct load_plan *plan = user;

	if (response->body_case == PLUG__RESPONSE__BODY_DAEMON)
		plan->plugd_pid = (pid_t)response->daemon->pid;
	else if (response->body_case == PLUG__RESPONSE__BODY_PLUGIN && response->plugin->line)
		plan->plugin_pid = (pid_t)response->plugin->line->pid;
	return true;
}

static int
ask_pid(struct bench *bench, const char *name)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;

	status.name = (char *)name;
	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &status;
	return ctl_request(bench->ctl, &request, *name ? name : NULL, CTL_ANSWER_MS, on_status,
			   &bench->plan.base);
}

static bool
make_payload(struct bench *bench, const struct args *args, char why[PAYLOAD_WHY_BYTES])
{
	const char *word = args_text(args, "payload", NULL);

	if (!bench->plan.sized)
		return payload_from_words(&word, word ? 1 : 0,
					  args_text(args, "content-type", NULL), stdin,
					  &bench->payload, why);
	bench->payload = (struct payload){
		.data = malloc(bench->plan.largest ? bench->plan.largest : 1),
		.size = bench->plan.largest,
		.content_type = "application/octet-stream",
	};
	snprintf(why, PAYLOAD_WHY_BYTES, "out of memory");
	if (bench->payload.data)
		memset(bench->payload.data, 'x', bench->plan.largest);
	return bench->payload.data != NULL;
}

/* ---- measuring ---- */

static plug_err
measure_one(const struct load_plan *plan, struct load_result *result, char why[LOAD_WHY_BYTES])
{
	struct load *load;
	plug_err err = load_open(plan, &load, why);

	if (err)
		return err;
	err = load_round(load, result, why);
	load_close(load);
	return err;
}

/* The plan of a run, payload and all. */
static struct load_plan
plan_of(const struct bench *bench, size_t run)
{
	uint64_t size;
	struct load_plan plan = bench_plan_run(&bench->plan, run, &size);

	if (bench->plan.sized)
		plan.payload.size = size;
	return plan;
}

/* One call, any way, on which everything else may fail before anything is measured. */
static plug_err
try_one(const struct bench *bench, struct load_result *result, char why[LOAD_WHY_BYTES])
{
	struct load_plan plan = plan_of(bench, 0);
	plug_err err;

	plan.plane = LOAD_AUTO;
	plan.callers = 1;
	plan.in_flight = 0;
	plan.rate = 0;
	plan.warm_up_ns = 0;
	plan.count = 1;
	err = measure_one(&plan, result, why);
	if (err || !result->failure)
		return err;
	snprintf(why, LOAD_WHY_BYTES, "%s", result->failure_text);
	return result->failure;
}

static void
keep(struct bench *bench, const struct load_plan *plan, const struct load_result *result)
{
	bench->shown++;
	if (bench->ctl->json)
		json_array_append_new(bench->runs, load_json(plan, result));
	else
		bench_show_row(bench->table, plan, result);
	bench_show_warnings(bench->plugin, bench->method, plan, result);
	if (result->calls != result->outcomes[PLUG_OK] || result->unsent)
		bench->failures = true;
}

/* The runs one after the other, until one cannot be measured: that is `why` and the result. */
static plug_err
measure(struct bench *bench, struct load_result *result, char why[LOAD_WHY_BYTES])
{
	plug_err err = try_one(bench, result, why);

	struct progress *progress;

	for (size_t i = 0; !err && i < bench->plan.runs; i++) {
		struct load_plan plan = plan_of(bench, i);
		char what[64];

		snprintf(what, sizeof(what), "measuring, %zu of %zu", i + 1, bench->plan.runs);
		progress = progress_begin(what, bench->plan.runs, NULL, NULL);
		progress_step(progress, i);
		err = measure_one(&plan, result, why);
		progress_end(progress);
		if (!err)
			keep(bench, &plan, result);
	}
	return err;
}

static void
print(struct bench *bench, plug_err err, const char *why)
{
	json_t *document;

	if (!bench->ctl->json) {
		if (bench->shown)
			table_print(bench->table);
		return;
	}
	document = json_pack("{s:o, s:o, s:O}", "name", out_json_text(bench->plugin), "method",
			     out_json_text(bench->method), "runs", bench->runs);
	if (err)
		json_object_set_new(document, "error", ctl_error_json(plug_err_name(err), why));
	out_json(document);
	bench->ctl->printed = true;
}

static int
bench_all(struct bench *bench)
{
	struct load_result *result = calloc(1, sizeof(*result));
	char why[LOAD_WHY_BYTES] = "out of memory";
	plug_err err = PLUG_ENOMEM;

	bench->table = table_new(bench_heads);
	bench->runs = json_array();
	if (result && bench->table && bench->runs)
		err = measure(bench, result, why);
	if (bench->table && bench->runs)
		print(bench, err, why);
	json_decref(bench->runs);
	table_free(bench->table);
	free(result);
	if (err)
		return ctl_fail(bench->ctl, err, bench->plugin, why);
	return bench->failures ? CTL_FAILED : CTL_DONE;
}

static int
run_connected(struct bench *bench)
{
	int status = ask_pid(bench, bench->plugin);

	if (status == CTL_DONE)
		status = ask_pid(bench, "");
	return status == CTL_DONE ? bench_all(bench) : status;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct bench bench = {.ctl = ctl, .plugin = args->words[0], .method = args->words[1]};
	char why[LOAD_WHY_BYTES];
	int status;

	if (!bench_plan_parse(args, &bench.plan, why) || !make_payload(&bench, args, why))
		return ctl_usage(ctl, "%s", why);
	bench.plan.base.runtime_dir = ctl->runtime_dir;
	bench.plan.base.plugin = bench.plugin;
	bench.plan.base.method = bench.method;
	bench.plan.base.timeout_ms = ctl->timeout_ms;
	bench.plan.base.payload = (struct plug_payload){bench.payload.data, bench.payload.size,
							bench.payload.content_type};
	status = ctl_connect(ctl);
	if (status == CTL_DONE)
		status = run_connected(&bench);
	payload_fini(&bench.payload);
	return status;
}

const struct verb verb_bench = {
	.name = "bench",
	.args = "NAME METHOD",
	.summary = "load a method and measure it",
	.help = "Calls METHOD of the plugin NAME as fast as it answers, or at --rate, and prints "
		"how "
		"long "
		"calls took: the latency that half, 90, 99 and 99.9 percent did not exceed, and "
		"the "
		"longest; calls a second; the processor time of this program, the plugin and plugd "
		"for "
		"each call; how often a payload was copied in this program.  The calls are real: a "
		"method that changes something does so many times.\n\n"
		"--size, --tensor, --plane, --concurrency, --in-flight and --spin take several "
		"values, "
		"parted "
		"by "
		"commas; every combination is measured, a line each.\n\n"
		"Without --in-flight every caller is a thread that makes one blocking call at a "
		"time, "
		"and all share one connection.  With it every caller keeps that many calls under "
		"way "
		"on a connection of its own, as an event loop does.  With --rate calls are due at "
		"fixed times and their latency counts from then: what had to wait for a slow call "
		"is "
		"not left out.\n\n"
		"--plane data measures channels alone: when any call went through plugd nothing is "
		"printed but how many did, and the exit status is 1.  --spin is the longest time "
		"for "
		"which this side looks before it sleeps; the plugin's side spins as its own "
		"PLUG_SPIN_US says.  --timeout is the deadline of each call.  The exit status is "
		"also 1 "
		"when calls failed or a rate was not kept.",
	.options =
		(const struct option_spec[]){
			{"size", 's', "BYTES", "a payload of so many bytes: 64, 4KiB; a list"},
			{"payload", 'p', "PAYLOAD",
			 "the payload: JSON, KEY=VALUE, or - for the standard input ({})"},
			{"content-type", 0, "TYPE", "type of --payload (application/json)"},
			{"tensor", 't', "BYTES",
			 "each request carries a tensor of so many bytes, over a channel; a list"},
			{"concurrency", 'c', "N", "callers, each a thread (1); a list"},
			{"in-flight", 'n', "N", "calls that each caller keeps under way; a list"},
			{"plane", 0, "PLANE", "control, data or auto (auto); a list"},
			{"spin", 0, "US", "longest spin of this side in microseconds; a list"},
			{"duration", 0, "DURATION", "of each measurement (3s)", COMPLETE_NOTHING,
			 ARGS_DURATION},
			{"count", 0, "N", "calls of each measurement, instead of a duration"},
			{"rate", 'r', "CALLS", "calls a second, of all callers together"},
			{"warm-up", 0, "DURATION", "before each measurement (500ms)",
			 COMPLETE_NOTHING, ARGS_DURATION},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl bench echo echo --size 64", "one caller, one call at a time"},
			{"plugctl bench echo echo --size 64,4KiB,1MiB --plane control,data",
			 "six lines: every size over both planes"},
			{"plugctl bench echo echo --size 64 --in-flight 32 --duration 10s",
			 "throughput of one event loop"},
			{"plugctl bench --timeout 5s gpt2 generate --payload prompt=Once --rate 20 "
			 "--in-flight 64",
			 "20 calls a second, whatever they take"},
			{NULL},
		},
	.complete = COMPLETE_CALL,
	.min_args = 2,
	.max_args = 2,
	.run = run,
};
