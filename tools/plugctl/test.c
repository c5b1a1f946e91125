/* The plugin's own self-test, and whether it is what its manifest says. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "format.h"
#include "out.h"
#include "table.h"
#include "verb.h"

#define DEFAULT_METHOD "self_test"
#define TEST_MS        60000

struct testing {
	struct ctl *ctl;
	const char *name;
	json_t *checks;
	size_t failed;
};

static void
add_check(struct testing *testing, const char *name, bool ok, const char *detail, uint64_t took_ns)
{
	json_t *check = json_pack("{s:o, s:b, s:o}", "name", out_json_text(name), "ok", (int)ok,
				  "detail", out_json_text(detail));

	if (took_ns)
		json_object_set_new(check, "took_us", json_integer((json_int_t)(took_ns / 1000)));
	json_array_append_new(testing->checks, check);
	testing->failed += !ok;
}

/* ---- what plugd knows ---- */

static void
check_state(struct testing *testing, const json_t *status)
{
	const char *state = ask_text(status, "state"), *why = ask_text(status, "why");
	char detail[512];

	snprintf(detail, sizeof(detail), "%s%s%s", state, *why ? ": " : "", why);
	add_check(testing, "it takes calls", strcmp(state, "ready") == 0, detail, 0);
}

static void
check_methods(struct testing *testing, const json_t *info)
{
	const json_t *methods = json_object_get(info, "methods"), *method;
	char missing[512] = "", detail[600];
	size_t i, offered = 0;

	json_array_foreach(methods, i, method)
	{
		offered += json_is_true(json_object_get(method, "offered"));
		if (json_is_true(json_object_get(method, "declared")) &&
		    !json_is_true(json_object_get(method, "offered")))
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				 "%s%s", *missing ? ", " : "", ask_text(method, "name"));
	}
	snprintf(detail, sizeof(detail), "%zu methods%s%s", offered,
		 *missing ? "; not offered: " : "", missing);
	add_check(testing, "it offers what it declares", *missing == '\0', detail, 0);
}

/* The option, the probe's, or the one of that name; NULL: it has none. */
static const char *
method_of(const struct args *args, const json_t *info)
{
	const json_t *methods = json_object_get(info, "methods"), *method;
	const char *named = args_text(args, "method", ask_text(info, "probe_method"));
	size_t i;

	if (*named)
		return named;
	json_array_foreach(methods, i, method)
	{
		if (strcmp(ask_text(method, "name"), DEFAULT_METHOD) == 0)
			return DEFAULT_METHOD;
	}
	return NULL;
}

/* ---- what it says of itself ---- */

/* {"checks": [{"name", "ok", "detail"}]} is a report; any other answer says that all is well. */
static void
take_report(struct testing *testing, const struct ask_answer *answer)
{
	json_t *report =
		answer->json ? json_loadb(answer->text, answer->size, JSON_DECODE_ANY, NULL) : NULL;
	const json_t *checks = json_object_get(report, "checks"), *check;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		char name[128];

		snprintf(name, sizeof(name), "  %s", ask_text(check, "name"));
		add_check(testing, name, json_is_true(json_object_get(check, "ok")),
			  ask_text(check, "detail"), 0);
	}
	json_decref(report);
}

static void
call_self_test(struct testing *testing, const char *method)
{
	const struct plug_payload nothing = {"{}", 2, "application/json"};
	struct ask_answer answer;
	char name[128];

	snprintf(name, sizeof(name), "%s", method);
	ask_call(testing->ctl, testing->name, method, &nothing, &answer);
	add_check(testing, name, answer.outcome == PLUG_OK,
		  answer.outcome == PLUG_OK ? "answered"
		  : answer.text             ? answer.text
					    : "",
		  answer.took_ns);
	if (answer.outcome == PLUG_OK)
		take_report(testing, &answer);
	ask_answer_fini(&answer);
}

/* ---- the report ---- */

static void
show(const struct testing *testing)
{
	static const char *const heads[] = {"CHECK", "RESULT", ">TOOK", "DETAIL", NULL};
	struct table *table = table_new(heads);
	char took[FORMAT_BYTES];
	const json_t *check;
	size_t i;

	json_array_foreach(testing->checks, i, check)
	{
		bool ok = json_is_true(json_object_get(check, "ok"));
		uint64_t us = ask_number(check, "took_us");

		table_cell(table, OUT_PLAIN, "%s", ask_text(check, "name"));
		table_cell(table, ok ? OUT_GREEN : OUT_RED, "%s", ok ? "ok" : "FAILED");
		table_cell(table, OUT_PLAIN, "%s", us ? format_latency(us, took) : "");
		table_cell(table, OUT_DIM, "%s", ask_text(check, "detail"));
		table_row(table);
	}
	table_print(table);
	table_free(table);
}

static int
test(struct testing *testing, const struct args *args, const json_t *info, const json_t *status)
{
	const char *method = method_of(args, info);

	testing->checks = json_array();
	check_state(testing, status);
	check_methods(testing, info);
	if (!method)
		add_check(testing, "self-test", false,
			  "it has none: no probe in its manifest, no method self_test; name one "
			  "with --method",
			  0);
	else if (!testing->failed)
		call_self_test(testing, method);
	if (testing->ctl->json)
		out_json(json_pack("{s:o, s:o, s:b, s:O}", "name", out_json_text(testing->name),
				   "version", out_json_text(ask_text(info, "version")), "ok",
				   testing->failed == 0, "checks", testing->checks));
	else
		show(testing);
	testing->ctl->printed = true;
	json_decref(testing->checks);
	if (testing->failed)
		fprintf(stderr, "plugctl: %s: %zu of its checks failed\n", testing->name,
			testing->failed);
	return testing->failed ? CTL_FAILED : CTL_DONE;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct testing testing = {.ctl = ctl, .name = args->words[0]};
	json_t *info = NULL, *status = NULL;
	int rc = ask_info(ctl, testing.name, &info);

	ctl->timeout_ms = ctl_timeout(ctl, TEST_MS);
	if (rc == CTL_DONE)
		rc = ask_status(ctl, testing.name, &status);
	if (rc == CTL_DONE)
		rc = test(&testing, args, info, status);
	json_decref(info);
	json_decref(status);
	return rc;
}

const struct verb verb_test = {
	.name = "test",
	.args = "NAME",
	.summary = "run a plugin's self-test and print its report",
	.help = "Looks whether the plugin takes calls and offers every method that its manifest "
		"declares, then calls its self-test: the method of its probe, else self_test, "
		"else what --method names.  Where the answer is {\"checks\": [{\"name\", \"ok\", "
		"\"detail\"}]} each is a line of the report.  The exit status is 1 if any check "
		"failed.",
	.options =
		(const struct option_spec[]){
			{"method", 'm', "METHOD", "the method to call"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl test gpt2", "does it work?"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.min_args = 1,
	.max_args = 1,
	.paged = true,
	.run = run,
};
