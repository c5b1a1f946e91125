/* Two plugins, or two versions of one, side by side. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/cleanup.h"
#include "check.h"
#include "format.h"
#include "histogram.h"
#include "out.h"
#include "payload.h"
#include "plugin_json.h"
#include "progress.h"
#include "site.h"
#include "table.h"
#include "verb.h"

#define COUNT      100 /* calls of each side, unless --count says otherwise */
#define WAIT_MS    60000
#define TEXT_SHOWN 200

/* One of the two: a plugin of the plugd that is reached, or one at a path, under a plugd of its
 * own. */
struct side {
	const char *word;  /* as given */
	char name[64];     /* of the plugin */
	char label[96];    /* for people: name and version */
	struct ctl ctl;    /* of the side at a path */
	struct ctl *asked; /* whom to ask */
	struct site site;
	json_t *info;
	struct histogram *took;
	struct ask_answer answer; /* to the first call */
	uint64_t failed;
};

struct comparison {
	struct ctl *ctl;
	struct side sides[2];
	const char *method;
	json_t *differences; /* of what they are */
	struct payload payload;
	uint64_t count, different; /* calls of each side; pairs with different answers */
};

/* ---- the two sides ---- */

static bool
is_path(const char *word)
{
	return strchr(word, '/') || strcmp(word, ".") == 0 || strcmp(word, "..") == 0;
}

static bool
on_act(const Plug__Response *response, void *user)
{
	(void)response;
	(void)user;
	return true;
}

/* It is being started already: this waits until it is ready, or is not going to be. */
static plug_err
wait_until_ready(struct side *side)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ActRequest act = PLUG__ACT_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_ACT;
	request.act = &act;
	act.action = PLUG__ACTION__ACTION_START;
	act.name = side->name;
	return ctl_ask(&side->ctl, &request, WAIT_MS, on_act, NULL);
}

static int
start_side(struct ctl *ctl, struct side *side, const struct manifest *manifest)
{
	json_t *override = json_pack("{s:{s:b, s:s}}", "run", "autostart", 1, "restart", "never");
	char path[PATH_MAX];
	struct site_config config = {check_plugin_path(manifest, path), manifest->plugin,
				     .override = override};
	char why[SITE_WHY_BYTES];
	bool opened = site_open(&config, &side->site, why);

	json_decref(override);
	if (!opened)
		return ctl_fail(ctl, PLUG_ESYS, side->word, why);
	side->ctl.runtime_dir = side->site.runtime;
	side->asked = &side->ctl;
	if (ctl_connect(&side->ctl) != CTL_DONE)
		return CTL_FAILED;
	if (wait_until_ready(side))
		return ctl_fail(ctl, PLUG_EUNAVAILABLE, side->word,
				plug_client_error_text(side->ctl.client));
	return CTL_DONE;
}

static int
open_path(struct ctl *ctl, struct side *side)
{
	char path[PATH_MAX];
	struct manifest *manifest;
	struct diags diags;
	int rc = CTL_FAILED;

	check_manifest_path(side->word, path, sizeof(path));
	diags_init(&diags);
	manifest = check_manifest(path, &diags);
	if (manifest && !diags.errors) {
		snprintf(side->name, sizeof(side->name), "%s", manifest->plugin);
		rc = start_side(ctl, side, manifest);
	} else {
		check_print(&diags);
		ctl_fail(ctl, PLUG_EINVAL, NULL, "the manifest cannot be used");
	}
	manifest_free(manifest);
	diags_fini(&diags);
	return rc;
}

static int
open_side(struct ctl *ctl, struct side *side, const char *word)
{
	int rc = CTL_DONE;

	side->word = word;
	side->asked = ctl;
	side->ctl = (struct ctl){.verb = ctl->verb, .timeout_ms = ctl->timeout_ms};
	side->took = calloc(1, sizeof(*side->took));
	snprintf(side->name, sizeof(side->name), "%s", word);
	if (!side->took)
		return CTL_FAILED;
	if (is_path(word))
		rc = open_path(ctl, side);
	if (rc == CTL_DONE)
		rc = ask_info(side->asked, side->name, &side->info);
	if (rc == CTL_DONE)
		snprintf(side->label, sizeof(side->label), "%s %.30s", side->name,
			 ask_text(side->info, "version"));
	return rc;
}

static void
close_side(struct side *side)
{
	ask_answer_fini(&side->answer);
	free(side->took);
	json_decref(side->info);
	ctl_close(&side->ctl);
	site_close(&side->site);
}

/* ---- what they are ---- */

static void
add_difference(struct comparison *comparison, const char *what, const char *a, const char *b)
{
	if (strcmp(a, b) != 0)
		json_array_append_new(comparison->differences,
				      json_pack("{s:o, s:o, s:o}", "what", out_json_text(what), "a",
						out_json_text(a), "b", out_json_text(b)));
}

/* "stream, idempotent, 30s" of a method, "int = 5" of a configuration key; "" where it has none. */
static void
describe(const json_t *entry, bool method, char ret[TEXT_SHOWN])
{
	char timeout[FORMAT_BYTES];

	if (!entry)
		*ret = '\0';
	else if (method)
		snprintf(ret, TEXT_SHOWN, "%s%sdeadline %s",
			 json_is_true(json_object_get(entry, "stream")) ? "stream, " : "",
			 json_is_true(json_object_get(entry, "idempotent")) ? "idempotent, " : "",
			 ask_number(entry, "timeout_ms")
				 ? format_duration(ask_number(entry, "timeout_ms"), timeout)
				 : "plugd's");
	else
		snprintf(ret, TEXT_SHOWN, "%s%s%s%s", ask_text(entry, "type"),
			 *ask_text(entry, "value") ? " = " : "", ask_text(entry, "value"),
			 json_is_true(json_object_get(entry, "required")) ? ", required" : "");
}

static const json_t *
entry_of(const json_t *list, const char *key, const char *name)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		if (strcmp(ask_text(entry, key), name) == 0)
			return entry;
	}
	return NULL;
}

/* Entries of a list by name: those of a, then those that only b has. */
static void
compare_lists(struct comparison *comparison, const char *list, const char *key, const char *what)
{
	const json_t *lists[2], *entry;
	size_t i;

	for (int s = 0; s < 2; s++)
		lists[s] = json_object_get(comparison->sides[s].info, list);
	for (int s = 0; s < 2; s++) {
		json_array_foreach(lists[s], i, entry)
		{
			const char *name = ask_text(entry, key);
			char a[TEXT_SHOWN], b[TEXT_SHOWN], title[128];
			bool method = strcmp(list, "methods") == 0;

			if (s == 1 && entry_of(lists[0], key, name))
				continue;
			describe(entry_of(lists[0], key, name), method, a);
			describe(entry_of(lists[1], key, name), method, b);
			snprintf(title, sizeof(title), "%s %s", what, name);
			add_difference(comparison, title, a, b);
		}
	}
}

static void
joined(const json_t *words, char ret[TEXT_SHOWN])
{
	const json_t *word;
	size_t i;

	*ret = '\0';
	json_array_foreach(words, i, word)
	{
		snprintf(ret + strlen(ret), TEXT_SHOWN - strlen(ret), "%s%s", i ? " " : "",
			 json_string_value(word));
	}
}

static void
compare_manifests(struct comparison *comparison)
{
	static const char *const texts[] = {"name",         "version", "type",     "description",
					    "author",       "license", "homepage", "repository",
					    "probe_method", NULL};
	static const char *const lists[] = {"tags", "provides", "requires", NULL};
	const json_t *a = comparison->sides[0].info, *b = comparison->sides[1].info;
	char one[TEXT_SHOWN], two[TEXT_SHOWN];

	comparison->differences = json_array();
	for (const char *const *key = texts; *key; key++)
		add_difference(comparison, *key, ask_text(a, *key), ask_text(b, *key));
	for (const char *const *key = lists; *key; key++) {
		joined(json_object_get(a, *key), one);
		joined(json_object_get(b, *key), two);
		add_difference(comparison, *key, one, two);
	}
	compare_lists(comparison, "methods", "name", "method");
	compare_lists(comparison, "config", "key", "config");
}

/* ---- what they do ---- */

/* JSON is compared as such: the order of members does not count. */
static bool
same_answer(const struct ask_answer *a, const struct ask_answer *b)
{
	json_t *one, *two;
	bool same;

	if (a->outcome != b->outcome)
		return false;
	if (a->size == b->size && memcmp(a->text, b->text, a->size) == 0)
		return true;
	if (!a->json || !b->json)
		return false;
	one = json_loadb(a->text, a->size, JSON_DECODE_ANY, NULL);
	two = json_loadb(b->text, b->size, JSON_DECODE_ANY, NULL);
	same = one && two && json_equal(one, two);
	json_decref(one);
	json_decref(two);
	return same;
}

/* The sides take turns in who is first, so that neither has the warmer machine. */
static void
call_both(struct comparison *comparison, uint64_t round)
{
	const struct plug_payload payload = {comparison->payload.data, comparison->payload.size,
					     comparison->payload.content_type};
	struct ask_answer answers[2];

	for (unsigned turn = 0; turn < 2; turn++) {
		unsigned at = (turn + (unsigned)round) % 2;
		struct side *side = &comparison->sides[at];

		ask_call(side->asked, side->name, comparison->method, &payload, &answers[at]);
		histogram_add(side->took, answers[at].took_ns);
		side->failed += answers[at].outcome != PLUG_OK;
	}
	comparison->different += !same_answer(&answers[0], &answers[1]);
	for (int at = 0; at < 2; at++) {
		if (round == 0)
			comparison->sides[at].answer = answers[at];
		else
			ask_answer_fini(&answers[at]);
	}
}

static void
call_all(struct comparison *comparison)
{
	struct progress *progress =
		comparison->method
			? progress_begin(comparison->method, comparison->count, NULL, NULL)
			: NULL;

	for (uint64_t i = 0; comparison->method && i < comparison->count; i++) {
		call_both(comparison, i);
		progress_step(progress, i + 1);
	}
	progress_end(progress);
}

/* ---- the report ---- */

static json_t *
answer_json(const struct ask_answer *answer)
{
	json_t *document = answer->json && answer->outcome == PLUG_OK
				   ? json_loadb(answer->text, answer->size, JSON_DECODE_ANY, NULL)
				   : NULL;

	return document ? document : out_json_text(answer->text ? answer->text : "");
}

static json_t *
side_json(const struct comparison *comparison, int at)
{
	const struct side *side = &comparison->sides[at];
	json_t *json = json_pack("{s:o, s:o, s:o}", "given", out_json_text(side->word), "name",
				 out_json_text(side->name), "version",
				 out_json_text(ask_text(side->info, "version")));

	if (!comparison->method)
		return json;
	json_object_set_new(json, "p50_us", json_real(histogram_quantile(side->took, 0.5) / 1e3));
	json_object_set_new(json, "p99_us", json_real(histogram_quantile(side->took, 0.99) / 1e3));
	json_object_set_new(json, "failed", number_json(side->failed));
	json_object_set_new(json, "outcome", json_string(plug_err_name(side->answer.outcome)));
	json_object_set_new(json, "answer", answer_json(&side->answer));
	return json;
}

static void
show_json(const struct comparison *comparison)
{
	json_t *json = json_pack("{s:o, s:o, s:O}", "a", side_json(comparison, 0), "b",
				 side_json(comparison, 1), "differences", comparison->differences);

	json_object_set_new(json, "method",
			    comparison->method ? out_json_text(comparison->method) : json_null());
	json_object_set_new(json, "calls", number_json(comparison->method ? comparison->count : 0));
	json_object_set_new(json, "different_answers", number_json(comparison->different));
	json_object_set_new(json, "same",
			    json_boolean(!comparison->different &&
					 json_array_size(comparison->differences) == 0));
	out_json(json);
}

static void
show_manifests(const struct comparison *comparison)
{
	const char *heads[] = {"", comparison->sides[0].label, comparison->sides[1].label, NULL};
	struct table *table = table_new(heads);
	const json_t *one;
	size_t i;

	json_array_foreach(comparison->differences, i, one)
	{
		table_cell(table, OUT_BOLD, "%s", ask_text(one, "what"));
		table_cell(table, OUT_PLAIN, "%.60s",
			   *ask_text(one, "a") ? ask_text(one, "a") : "-");
		table_cell(table, OUT_PLAIN, "%s", *ask_text(one, "b") ? ask_text(one, "b") : "-");
		table_row(table);
	}
	if (i)
		table_print(table);
	else
		puts("they declare and offer the same");
	table_free(table);
}

static void
show_calls(const struct comparison *comparison)
{
	static const char *const heads[] = {"PLUGIN", ">CALLS", ">FAILED", ">P50",
					    ">P99",   "ANSWER", NULL};
	struct table *table = table_new(heads);
	char text[FORMAT_BYTES];

	printf("\n%s, %" PRIu64 " times each, one after the other:\n", comparison->method,
	       comparison->count);
	for (int at = 0; at < 2; at++) {
		const struct side *side = &comparison->sides[at];

		table_cell(table, OUT_BOLD, "%s", side->label);
		table_cell(table, OUT_PLAIN, "%" PRIu64, comparison->count);
		table_cell(table, side->failed ? OUT_RED : OUT_PLAIN, "%" PRIu64, side->failed);
		table_cell(table, OUT_PLAIN, "%s",
			   format_ns((uint64_t)histogram_quantile(side->took, 0.5), text));
		table_cell(table, OUT_PLAIN, "%s",
			   format_ns((uint64_t)histogram_quantile(side->took, 0.99), text));
		table_cell(table, OUT_PLAIN, "%.*s", TEXT_SHOWN, side->answer.text);
		table_row(table);
	}
	table_print(table);
	table_free(table);
	if (comparison->different)
		printf("%" PRIu64 " of %" PRIu64 " answers differ\n", comparison->different,
		       comparison->count);
	else
		puts("all answers are the same");
}

/* ---- the verb ---- */

static int
compare(struct comparison *comparison, const struct args *args)
{
	int rc = CTL_DONE;

	for (int at = 0; at < 2 && rc == CTL_DONE; at++)
		rc = open_side(comparison->ctl, &comparison->sides[at], args->words[at]);
	if (rc != CTL_DONE)
		return rc;
	compare_manifests(comparison);
	call_all(comparison);
	if (comparison->ctl->json)
		show_json(comparison);
	else
		show_manifests(comparison);
	if (!comparison->ctl->json && comparison->method)
		show_calls(comparison);
	json_decref(comparison->differences);
	return comparison->different ? CTL_FAILED : CTL_DONE;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct comparison comparison = {.ctl = ctl, .count = args_number(args, "count", COUNT)};
	char why[PAYLOAD_WHY_BYTES];
	int rc;

	comparison.method = args->word_count > 2 ? args->words[2] : NULL;
	if (comparison.count == 0)
		return ctl_usage(ctl, "--count 0: expected 1 or more");
	if (!payload_from_words(args->words + 3, comparison.method ? args->word_count - 3 : 0,
				args_text(args, "content-type", NULL), stdin, &comparison.payload,
				why))
		return ctl_usage(ctl, "%s", why);
	rc = compare(&comparison, args);
	for (int at = 0; at < 2; at++)
		close_side(&comparison.sides[at]);
	payload_fini(&comparison.payload);
	return rc;
}

const struct verb verb_compare = {
	.name = "compare",
	.args = "A B [METHOD [KEY=VALUE… | JSON | -]]",
	.summary = "compare two plugins, or two versions of one",
	.help = "A and B are names of plugins, or paths of plugins (with a /), which are started "
		"under a plugd of their own; so a version on disk is compared with the one that "
		"runs.  Prints in what their manifests, methods and configuration differ.  With a "
		"METHOD both are called with the same payload, by turns, and latencies and answers "
		"are compared; JSON answers by their content.\n\n"
		"The exit status is 1 when answers differ.",
	.options =
		(const struct option_spec[]){
			{"count", 'n', "N", "calls of each (100)", COMPLETE_NOTHING, ARGS_COUNT},
			{"content-type", 'c', "TYPE", "type of the payload (application/json)"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl compare gpt2 ./gpt2-next generate prompt=Once max_tokens=8",
			 "does the new version answer alike, and how fast?"},
			{"plugctl compare echo gpt2", "what they declare"},
			{NULL},
		},
	.complete = COMPLETE_PLUGINS,
	.min_args = 2,
	.max_args = VERB_ANY,
	.run = run,
};
