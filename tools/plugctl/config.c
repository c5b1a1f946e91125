#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "core/suggest.h"
#include "out.h"
#include "verb.h"

#define EDITS_MAX   256
#define VALUE_BYTES (48u * 1024)

struct request {
	struct ctl *ctl;
	const struct args *args;
	Plug__ConfigRequest body;
	Plug__ConfigEdit edits[EDITS_MAX], *list[EDITS_MAX];
	char *owned[2 * EDITS_MAX]; /* what the edits point to */
	size_t owned_count;
	struct config_answer answer;
};

/* ---- edits ---- */

static int
add_edit(struct request *r, char *key, char *value)
{
	Plug__ConfigEdit *edit = &r->edits[r->body.n_edits];

	r->owned[r->owned_count++] = key;
	r->owned[r->owned_count++] = value;
	plug__config_edit__init(edit);
	edit->key = key;
	if (value)
		edit->value = value;
	edit->unset = !value;
	r->list[r->body.n_edits++] = edit;
	r->body.edits = r->list;
	return CTL_DONE;
}

/* Splits "key=value"; NULL: it is none. */
static char *
split_key(const char *text, const char **ret_value)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return NULL;
	*ret_value = equals + 1;
	return out_must(strndup(text, (size_t)(equals - text)));
}

/* What the file holds, without the newline at its end. */
static char *
read_value(struct ctl *ctl, const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *text = out_must(malloc(VALUE_BYTES + 2));
	size_t size = file ? fread(text, 1, VALUE_BYTES + 1, file) : 0;
	int error = !file || ferror(file) ? errno : 0;

	if (file && file != stdin)
		fclose(file);
	text[size] = '\0';
	if (size && text[size - 1] == '\n')
		text[--size] = '\0';
	if (!error && size <= VALUE_BYTES && strlen(text) == size)
		return text;
	free(text);
	ctl_usage(ctl, "%s: %s", path,
		  error ? strerror(error) : "expected text of at most 48 KiB without NUL");
	return NULL;
}

static int
take_file(struct request *r, const char *text)
{
	const char *path;
	char *key = split_key(text, &path), *value;

	if (!key)
		return ctl_usage(r->ctl, "--file %s: expected KEY=FILE", text);
	value = read_value(r->ctl, path);
	if (value)
		return add_edit(r, key, value);
	free(key);
	return CTL_USAGE;
}

static int
take_words(struct request *r)
{
	for (size_t i = 2; i < r->args->word_count; i++) {
		const char *word = r->args->words[i], *value = NULL;
		char *key;

		if (r->body.verb == PLUG__CONFIG_VERB__CONFIG_UNSET)
			key = out_must(strdup(word));
		else
			key = split_key(word, &value);
		if (!key)
			return ctl_usage(r->ctl, "%s: expected KEY=VALUE", word);
		add_edit(r, key, value ? out_must(strdup(value)) : NULL);
	}
	return CTL_DONE;
}

static int
take_edits(struct request *r)
{
	const struct args *args = r->args;
	int status;

	if (args->word_count + args->given_count > EDITS_MAX)
		return ctl_usage(r->ctl, "more than %d keys at once", EDITS_MAX);
	status = take_words(r);
	for (size_t i = 0; status == CTL_DONE && i < args->given_count; i++)
		if (strcmp(args->given[i].option->name, "file") == 0)
			status = take_file(r, args->given[i].text);
	return status;
}

/* ---- what each subcommand sends and shows ---- */

static int
take_number(struct request *r)
{
	const char *text = r->args->word_count > 2 ? r->args->words[2] : NULL;
	char *end = NULL;
	unsigned long number = text ? strtoul(text, &end, 10) : 0;

	if (text && (*text < '0' || *text > '9' || *end || number > INT32_MAX))
		return ctl_usage(r->ctl,
				 "%s: expected the number of a change, of `plugctl config "
				 "history`",
				 text);
	r->body.has_number = text != NULL;
	r->body.number = (uint32_t)number;
	return CTL_DONE;
}

static int
prepare_get(struct request *r)
{
	return r->args->word_count <= 3 ? CTL_DONE : ctl_usage(r->ctl, "expected get NAME [KEY]");
}

static int
prepare_set(struct request *r)
{
	int status = take_edits(r);

	if (status == CTL_DONE && !r->body.n_edits)
		return ctl_usage(r->ctl, "expected set NAME KEY=VALUE…");
	return status;
}

static int
prepare_unset(struct request *r)
{
	int status = take_edits(r);

	if (status == CTL_DONE && !r->body.n_edits != args_flag(r->args, "all"))
		return ctl_usage(r->ctl, "expected unset NAME KEY…, or unset NAME --all");
	return status;
}

static int
prepare_number(struct request *r)
{
	if (r->args->word_count > 3)
		return ctl_usage(r->ctl, "expected NAME and at most one number");
	return take_number(r);
}

static int
no_such_key(struct request *r, const char *key)
{
	char text[256];
	struct suggest suggest;
	const json_t *item;
	size_t i;

	suggest_start(&suggest, key);
	json_array_foreach(r->answer.items, i, item) suggest_offer(&suggest, ask_text(item, "key"));
	snprintf(text, sizeof(text), "has no config key \"%.64s\"%s%s%s", key,
		 suggest.best ? "; did you mean \"" : "", suggest.best ? suggest.best : "",
		 suggest.best ? "\"?" : "");
	return ctl_fail(r->ctl, PLUG_EINVAL, r->body.name, text);
}

static int
show_one(struct request *r, const char *key)
{
	bool origin = args_flag(r->args, "origin");
	const json_t *item, *found = NULL;
	const char *value;
	size_t i;

	json_array_foreach(r->answer.items, i, item) if (strcmp(ask_text(item, "key"), key) == 0)
		found = item;
	if (!found)
		return no_such_key(r, key);
	if (r->ctl->json) {
		json_t *document = json_deep_copy(found);

		json_object_set_new(document, "name", out_json_text(r->body.name));
		out_json(document);
		return CTL_DONE;
	}
	value = json_string_value(json_object_get(found, "value"));
	if (!value && !origin)
		return ctl_fail(r->ctl, PLUG_EINVAL, r->body.name, "this key is not set");
	if (origin) {
		struct config_answer one = {.items = json_pack("[O]", found)};

		config_print_items(&one, true);
		json_decref(one.items);
	} else {
		out_line(value);
	}
	return CTL_DONE;
}

static int
show_get(struct request *r)
{
	if (r->args->word_count == 3)
		return show_one(r, r->args->words[2]);
	if (r->ctl->json)
		out_json(json_pack("{s:s, s:O}", "name", r->body.name, "config", r->answer.items));
	else if (json_array_size(r->answer.items))
		config_print_items(&r->answer, args_flag(r->args, "origin"));
	else
		printf("%s has no config keys\n", r->body.name);
	return CTL_DONE;
}

static int
show_done(struct request *r)
{
	if (r->ctl->json) {
		json_t *document = json_pack("{s:s}", "name", r->body.name);

		if (r->answer.done)
			json_object_update(document, r->answer.done);
		out_json(document);
	} else {
		printf("%s: ", r->body.name);
		out_line(r->answer.done ? ask_text(r->answer.done, "detail") : "done");
	}
	return CTL_DONE;
}

static int
show_history(struct request *r)
{
	if (r->ctl->json)
		out_json(json_pack("{s:s, s:O}", "name", r->body.name, "history",
				   r->answer.changes));
	else if (json_array_size(r->answer.changes))
		config_print_changes(&r->answer);
	else
		printf("%s: nothing was set while plugd ran\n", r->body.name);
	return CTL_DONE;
}

static int
show_diff(struct request *r)
{
	if (r->ctl->json)
		out_json(json_pack("{s:s, s:O}", "name", r->body.name, "differences",
				   r->answer.differences));
	else if (json_array_size(r->answer.differences))
		config_print_differences(&r->answer);
	else
		printf("%s: no difference\n", r->body.name);
	return CTL_DONE;
}

static const struct subcommand {
	const char *name;
	Plug__ConfigVerb verb;
	bool waits; /* for a plugin: as long as that takes */
	int (*prepare)(struct request *r);
	int (*show)(struct request *r);
} subcommands[] = {
	{"get", PLUG__CONFIG_VERB__CONFIG_GET, false, prepare_get, show_get},
	{"set", PLUG__CONFIG_VERB__CONFIG_SET, true, prepare_set, show_done},
	{"unset", PLUG__CONFIG_VERB__CONFIG_UNSET, true, prepare_unset, show_done},
	{"history", PLUG__CONFIG_VERB__CONFIG_HISTORY, false, prepare_number, show_history},
	{"diff", PLUG__CONFIG_VERB__CONFIG_DIFF, false, prepare_number, show_diff},
	{"rollback", PLUG__CONFIG_VERB__CONFIG_ROLLBACK, true, prepare_number, show_done},
};

#define SUBCOMMANDS (sizeof(subcommands) / sizeof(*subcommands))

static const struct subcommand *
find(const char *name)
{
	for (size_t i = 0; i < SUBCOMMANDS; i++)
		if (strcmp(subcommands[i].name, name) == 0)
			return &subcommands[i];
	return NULL;
}

static int
unknown(struct ctl *ctl, const char *name)
{
	struct suggest suggest;

	suggest_start(&suggest, name);
	for (size_t i = 0; i < SUBCOMMANDS; i++)
		suggest_offer(&suggest, subcommands[i].name);
	return ctl_usage(ctl, "%s: expected get, set, unset, history, diff or rollback%s%s%s", name,
			 suggest.best ? "; did you mean \"" : "", suggest.best ? suggest.best : "",
			 suggest.best ? "\"?" : "");
}

static int
perform(struct request *r, const struct subcommand *sub)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	uint64_t timeout_ms = sub->waits ? r->ctl->timeout_ms : ctl_timeout(r->ctl, CTL_ANSWER_MS);
	int status = sub->prepare(r);

	if (status != CTL_DONE)
		return status;
	request.body_case = PLUG__REQUEST__BODY_CONFIG;
	request.config = &r->body;
	status = ctl_request(r->ctl, &request, r->body.name, timeout_ms, config_take, &r->answer);
	return status == CTL_DONE ? sub->show(r) : status;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	const struct subcommand *sub = find(args->words[0]);
	struct request *r;
	int status;

	if (!sub)
		return unknown(ctl, args->words[0]);
	if (args->word_count < 2)
		return ctl_usage(ctl, "expected %s NAME", sub->name);
	r = out_must(calloc(1, sizeof(*r)));
	plug__config_request__init(&r->body);
	r->ctl = ctl;
	r->args = args;
	r->body.verb = sub->verb;
	r->body.name = (char *)args->words[1];
	config_answer_init(&r->answer);
	status = perform(r, sub);
	config_answer_fini(&r->answer);
	for (size_t i = 0; i < r->owned_count; i++)
		free(r->owned[i]);
	free(r);
	return status;
}

static const struct option_spec options[] = {
	{"origin", 0, NULL, "get: say which layer each value comes from, and where in it"},
	{"file", 0, "KEY=FILE", "set: the value is what this file holds; - is stdin",
	 COMPLETE_FILE},
	{"all", 0, NULL, "unset: every key that was set"},
	{NULL},
};

const struct verb verb_config = {
	.name = "config",
	.args = "get|set|unset|history|diff|rollback NAME [ARG…]",
	.summary = "show and change the configuration of a plugin while it runs",
	.help = "get NAME [KEY] shows what is in force; with --origin also which layer set it: the "
		"manifest, plugd.yaml with line and column, a variable of plugd's environment, "
		"start "
		"--set, or config set.\n\n"
		"set NAME KEY=VALUE… sets values above all other layers, until unset NAME KEY… "
		"takes "
		"them back; all of one command or none.  They outlive plugd.  Keys that the "
		"manifest "
		"declares live are handed to the processes that run, which may refuse them; "
		"for others the plugin is reloaded, and when that fails the values from before "
		"stay in force.  A secret is best given with --file KEY=FILE, for a command line "
		"is "
		"seen by others.\n\n"
		"history NAME lists the last 50 changes.  rollback NAME takes the last one back; "
		"rollback NAME N goes back to how it was after change N, 0 being before the first. "
		" "
		"diff NAME shows how what was set differs from the layers below; diff NAME N what "
		"rollback NAME N would change.  Secrets are shown as ***.",
	.options = options,
	.examples =
		(const struct verb_example[]){
			{"plugctl config get gpt2 --origin",
			 "all values, and where they come from"},
			{"plugctl config set gpt2 size=16 device=cpu", "both or neither"},
			{"plugctl config set chat --file api_key=key.txt", "a secret"},
			{"plugctl config unset gpt2 size", "what the layers below say"},
			{"plugctl config rollback gpt2", "take the last change back"},
			{NULL},
		},
	.complete = COMPLETE_CONFIG,
	.min_args = 1,
	.max_args = VERB_ANY,
	.run = run,
};
