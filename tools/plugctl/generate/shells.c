/* Completion for bash, zsh and fish.  Names of plugins and methods are asked of plugd when needed.
 */
#include <string.h>

#include "generate.h"

#define CONFIG_WORDS "get set unset history diff rollback"

/* ---- bash ---- */

/* What a word becomes, as bash code that ends in a list of candidates. */
static const char *
bash_words(enum complete complete)
{
	switch (complete) {
	case COMPLETE_PLUGIN:
	case COMPLETE_PLUGINS:
		return "_plugctl_ask list --names";
	case COMPLETE_CALL:
		return "if ((word_count == 0)); then _plugctl_ask list --names; "
		       "elif ((word_count == 1)); then _plugctl_ask info --methods \"${args[0]}\"; "
		       "fi";
	case COMPLETE_TYPE:
		return "echo \"$types\"";
	case COMPLETE_VERB:
		return "echo \"$verbs\"";
	case COMPLETE_CONFIG:
		return "if ((word_count == 0)); then echo " CONFIG_WORDS "; "
		       "elif ((word_count == 1)); then _plugctl_ask list --names; fi";
	case COMPLETE_DIR:
		return "compgen -d -- \"$cur\"";
	case COMPLETE_FILE: /* bash's own, where nothing else fits */
	case COMPLETE_NOTHING:
		break;
	}
	return NULL;
}

static void
option_names(FILE *to, const struct option_spec *options)
{
	for (const struct option_spec *o = options; o && o->name; o++)
		fprintf(to, " --%s", o->name);
}

/* "list:--type | list:-t" */
static void
bash_pattern(FILE *to, const struct option_spec *option, const char *verb)
{
	fprintf(to, "%s:--%s", verb, option->name);
	if (option->letter)
		fprintf(to, " | %s:-%c", verb, option->letter);
}

/* A case branch for every option of these that takes a value. */
static void
bash_values(FILE *to, const struct option_spec *options, const char *verb)
{
	for (const struct option_spec *o = options; o && o->name; o++) {
		if (!option_takes_word(o))
			continue;
		fputc('\t', to);
		bash_pattern(to, o, verb);
		if (bash_words(o->complete))
			fprintf(to, ") words=$(%s)", bash_words(o->complete));
		else
			fputs(") ", to);
		fputs(" value=1 ;;\n", to);
	}
}

static void
list_words(FILE *to, const char *name)
{
	fprintf(to, "\tlocal %s=\"", name);
	if (strcmp(name, "types") == 0)
		for (const char *const *type = plugin_types; *type; type++)
			fprintf(to, "%s%s", type == plugin_types ? "" : " ", *type);
	else
		for (const struct verb *const *verb = verbs; *verb; verb++)
			fprintf(to, "%s%s", verb == verbs ? "" : " ", (*verb)->name);
	fputs("\"\n", to);
}

/* Options that take their value from the next word, as a pattern of case. */
static void
value_pattern(FILE *to)
{
	const char *separator = "";

	for (const struct verb *const *verb = verbs; *verb; verb++) {
		for (const struct option_spec *o = (*verb)->options; o && o->name; o++) {
			if (!option_takes_word(o))
				continue;
			fputs(separator, to);
			bash_pattern(to, o, (*verb)->name);
			separator = " | ";
		}
	}
	for (const struct option_spec *o = global_options; o->name; o++) {
		if (!option_takes_word(o))
			continue;
		fputs(separator, to);
		bash_pattern(to, o, "*");
	}
}

void
generate_bash(FILE *to)
{
	fputs("# bash completion for plugctl, generated from its verb table\n\n"
	      "_plugctl_ask() {\n"
	      "\tplugctl ${runtime_dir:+--runtime-dir \"$runtime_dir\"} --timeout 2s \"$@\" "
	      "2>/dev/null\n"
	      "}\n\n"
	      "_plugctl() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	      "\tlocal verb= runtime_dir= words= value= i word word_count=0 args=()\n",
	      to);
	list_words(to, "verbs");
	list_words(to, "types");
	fputs("\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tword=${COMP_WORDS[i]}\n"
	      "\t\tcase $verb:$word in\n"
	      "\t\t*:--runtime-dir | *:-d) runtime_dir=${COMP_WORDS[++i]} ;;\n\t\t",
	      to);
	value_pattern(to);
	fputs(") ((i++)) ;;\n"
	      "\t\t*:-*) ;;\n"
	      "\t\t*) if [[ -z $verb ]]; then verb=$word; else args+=(\"$word\"); "
	      "((word_count++)); fi ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $verb:$prev in\n",
	      to);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		bash_values(to, (*verb)->options, (*verb)->name);
	bash_values(to, global_options, "*");
	fputs("\tesac\n"
	      "\tif [[ -n $value ]]; then\n"
	      "\t\t:\n"
	      "\telif [[ $cur == -* ]]; then\n"
	      "\t\twords=\"",
	      to);
	option_names(to, global_options);
	fputs("\"\n\t\tcase $verb in\n", to);
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		if (!(*verb)->options)
			continue;
		fprintf(to, "\t\t%s) words+=\"", (*verb)->name);
		option_names(to, (*verb)->options);
		fputs("\" ;;\n", to);
	}
	fputs("\t\t*) [[ \" $verbs \" == *\" $verb \"* ]] || words+=\" $(_plugctl_ask commands "
	      "--options \"$verb\")\" ;;\n"
	      "\t\tesac\n"
	      "\telif [[ -z $verb ]]; then\n"
	      "\t\twords=\"$verbs $(_plugctl_ask commands --names)\"\n"
	      "\telse\n"
	      "\t\tcase $verb in\n",
	      to);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		if (bash_words((*verb)->complete))
			fprintf(to, "\t\t%s) words=$(%s) ;;\n", (*verb)->name,
				bash_words((*verb)->complete));
	fputs("\t\tesac\n"
	      "\tfi\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	      "}\n\n"
	      "complete -o default -F _plugctl plugctl\n",
	      to);
}

/* ---- zsh ---- */

/* Single-quoted text of _arguments: quotes, brackets and colons have meaning there. */
static void
zsh_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", to);
		else if (strchr("[]:\\", *text))
			fprintf(to, "\\%c", *text);
		else
			fputc(*text, to);
	}
}

static const char *
zsh_action(enum complete complete)
{
	switch (complete) {
	case COMPLETE_PLUGIN:
	case COMPLETE_PLUGINS:
		return "_plugctl_plugins";
	case COMPLETE_CALL:
	case COMPLETE_CONFIG:
		return "_plugctl_plugins";
	case COMPLETE_TYPE:
		return "_plugctl_types";
	case COMPLETE_VERB:
		return "_plugctl_verbs";
	case COMPLETE_FILE:
		return "_files";
	case COMPLETE_DIR:
		return "_files -/";
	case COMPLETE_NOTHING:
		break;
	}
	return " ";
}

static void
zsh_option(FILE *to, const struct option_spec *option, const char *dash, const char *name)
{
	fprintf(to, "\t\t'*%s%s%s[", dash, name,
		option_takes_word(option) ? (dash[1] ? "=" : "+") : "");
	zsh_text(to, option->help);
	fputc(']', to);
	if (option_takes_word(option)) {
		fputc(':', to);
		zsh_text(to, option->arg);
		fprintf(to, ":%s", zsh_action(option->complete));
	}
	fputs("' \\\n", to);
}

static void
zsh_options(FILE *to, const struct option_spec *options)
{
	for (const struct option_spec *o = options; o && o->name; o++) {
		char letter[2] = {o->letter, '\0'};

		zsh_option(to, o, "--", o->name);
		if (o->letter)
			zsh_option(to, o, "-", letter);
	}
}

static void
zsh_arguments(FILE *to, const struct verb *verb)
{
	switch (verb->complete) {
	case COMPLETE_NOTHING:
		fputs("\t\t'*: : '\n", to);
		return;
	case COMPLETE_CALL:
		fputs("\t\t'1:plugin:_plugctl_plugins' '2:method:_plugctl_methods' "
		      "'*:argument:_files'\n",
		      to);
		return;
	case COMPLETE_CONFIG:
		fputs("\t\t'1:subcommand:(" CONFIG_WORDS ")' '2:plugin:_plugctl_plugins' '*: : '\n",
		      to);
		return;
	case COMPLETE_PLUGINS:
	case COMPLETE_FILE:
		fprintf(to, "\t\t'*:argument:%s'\n", zsh_action(verb->complete));
		return;
	default:
		fprintf(to, "\t\t'1:argument:%s'\n", zsh_action(verb->complete));
	}
}

void
generate_zsh(FILE *to)
{
	fputs("#compdef plugctl\n"
	      "# zsh completion for plugctl, generated from its verb table\n\n"
	      "_plugctl_ask() {\n"
	      "\tplugctl ${opt_args[--runtime-dir]:+--runtime-dir ${opt_args[--runtime-dir]}} "
	      "--timeout 2s \"$@\" 2>/dev/null\n"
	      "}\n\n"
	      "_plugctl_plugins() {\n"
	      "\tlocal -a names=(${(f)\"$(_plugctl_ask list --names)\"})\n"
	      "\t_describe plugin names\n"
	      "}\n\n"
	      "_plugctl_methods() {\n"
	      "\tlocal -a names=(${(f)\"$(_plugctl_ask info --methods $line[1])\"})\n"
	      "\t_describe method names\n"
	      "}\n\n"
	      "_plugctl_types() {\n"
	      "\tlocal -a names=(",
	      to);
	for (const char *const *type = plugin_types; *type; type++)
		fprintf(to, "%s%s", type == plugin_types ? "" : " ", *type);
	fputs(")\n"
	      "\t_describe type names\n"
	      "}\n\n"
	      "_plugctl_verbs() {\n"
	      "\tlocal -a names=(\n",
	      to);
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		fprintf(to, "\t\t'%s:", (*verb)->name);
		zsh_text(to, (*verb)->summary);
		fputs("'\n", to);
	}
	fputs("\t)\n"
	      "\tnames+=(${(f)\"$(_plugctl_ask commands --names)\"})\n"
	      "\t_describe verb names\n"
	      "}\n\n"
	      "_plugctl() {\n"
	      "\tlocal curcontext=$curcontext state line\n"
	      "\tlocal -A opt_args\n"
	      "\t_arguments -C \\\n",
	      to);
	zsh_options(to, global_options);
	fputs("\t\t'1:verb:_plugctl_verbs' '*::argument:->arguments'\n"
	      "\t[[ $state == arguments ]] || return\n"
	      "\tcase $words[1] in\n",
	      to);
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		fprintf(to, "\t%s) _arguments \\\n", (*verb)->name);
		zsh_options(to, (*verb)->options);
		zsh_options(to, global_options);
		zsh_arguments(to, *verb);
		fputs("\t\t;;\n", to);
	}
	fputs("\tesac\n"
	      "}\n\n"
	      "_plugctl \"$@\"\n",
	      to);
}

/* ---- fish ---- */

static void
fish_text(FILE *to, const char *text)
{
	fputc('\'', to);
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			fputc('\\', to);
		fputc(*text, to);
	}
	fputc('\'', to);
}

static const char *
fish_words(enum complete complete)
{
	switch (complete) {
	case COMPLETE_PLUGIN:
	case COMPLETE_PLUGINS:
		return "(__plugctl_ask list --names)";
	case COMPLETE_CALL:
		return "(__plugctl_call)";
	case COMPLETE_TYPE:
		return "$__plugctl_types";
	case COMPLETE_VERB:
		return "$__plugctl_verbs";
	case COMPLETE_CONFIG:
		return "(string split ' ' '" CONFIG_WORDS "'; __plugctl_ask list --names)";
	case COMPLETE_DIR:
		return "(__fish_complete_directories)";
	case COMPLETE_FILE:
	case COMPLETE_NOTHING:
		break;
	}
	return NULL;
}

static void
fish_options(FILE *to, const struct option_spec *options, const char *condition)
{
	for (const struct option_spec *o = options; o && o->name; o++) {
		const char *words = option_takes_word(o) ? fish_words(o->complete) : NULL;

		fprintf(to, "complete -c plugctl%s -l %s", condition, o->name);
		if (o->letter)
			fprintf(to, " -s %c", o->letter);
		fputs(option_takes_word(o) ? " -x" : " -f", to);
		if (words)
			fprintf(to, " -a \"%s\"", words);
		fputs(" -d ", to);
		fish_text(to, o->help);
		fputc('\n', to);
	}
}

void
generate_fish(FILE *to)
{
	char condition[64];

	fputs("# fish completion for plugctl, generated from its verb table\n\n"
	      "function __plugctl_ask\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tset -l dir\n"
	      "\tfor i in (seq (count $words))\n"
	      "\t\tif contains -- $words[$i] -d --runtime-dir\n"
	      "\t\t\tset dir --runtime-dir $words[(math $i + 1)]\n"
	      "\t\tend\n"
	      "\tend\n"
	      "\tplugctl $dir --timeout 2s $argv 2>/dev/null\n"
	      "end\n\n"
	      "function __plugctl_call\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tset -l at (contains -i -- call $words)\n"
	      "\tswitch (math (count $words) - $at)\n"
	      "\t\tcase 0\n"
	      "\t\t\t__plugctl_ask list --names\n"
	      "\t\tcase 1\n"
	      "\t\t\t__plugctl_ask info --methods $words[-1]\n"
	      "\tend\n"
	      "end\n\n"
	      "set -g __plugctl_verbs",
	      to);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		fprintf(to, " %s", (*verb)->name);
	fputs("\nset -g __plugctl_types", to);
	for (const char *const *type = plugin_types; *type; type++)
		fprintf(to, " %s", *type);
	fputs("\n\n", to);
	fputs("complete -c plugctl -f -n \"not __fish_seen_subcommand_from $__plugctl_verbs\" -a "
	      "\"(__plugctl_ask commands --names)\"\n",
	      to);
	fish_options(to, global_options, "");
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		const char *words = fish_words((*verb)->complete);

		fprintf(to,
			"\ncomplete -c plugctl -f -n \"not __fish_seen_subcommand_from "
			"$__plugctl_verbs\" -a %s -d ",
			(*verb)->name);
		fish_text(to, (*verb)->summary);
		fputc('\n', to);
		snprintf(condition, sizeof(condition), " -n \"__fish_seen_subcommand_from %s\"",
			 (*verb)->name);
		if (words)
			fprintf(to, "complete -c plugctl%s -f -a \"%s\"\n", condition, words);
		else if ((*verb)->complete == COMPLETE_NOTHING)
			fprintf(to, "complete -c plugctl%s -f\n", condition);
		else
			fprintf(to, "complete -c plugctl%s -F\n", condition);
		fish_options(to, (*verb)->options, condition);
	}
}
