#include <string.h>

#include "core/suggest.h"
#include "verb.h"

/* A verb is a file that defines verb_NAME, and a line here. */
#define VERBS(X)     \
	X(list)      \
	X(find)      \
	X(status)    \
	X(start)     \
	X(stop)      \
	X(restart)   \
	X(reload)    \
	X(scale)     \
	X(enable)    \
	X(disable)   \
	X(load)      \
	X(unload)    \
	X(dirs)      \
	X(config)    \
	X(call)      \
	X(commands)  \
	X(logs)      \
	X(events)    \
	X(crashes)   \
	X(poison)    \
	X(info)      \
	X(stats)     \
	X(metrics)   \
	X(models)    \
	X(size)      \
	X(top)       \
	X(test)      \
	X(bench)     \
	X(compare)   \
	X(graph)     \
	X(new)       \
	X(validate)  \
	X(install)   \
	X(versions)  \
	X(use)       \
	X(uninstall) \
	X(run)       \
	X(debug)     \
	X(doctor)    \
	X(reread)    \
	X(upgrade)   \
	X(shutdown)  \
	X(version)   \
	X(help)

#define DECLARE(name) extern const struct verb verb_##name;
VERBS(DECLARE)

#define ADDRESS(name) &verb_##name,
const struct verb *const verbs[] = {VERBS(ADDRESS) NULL};

const struct option_spec global_options[] = {
	{"runtime-dir", 'd', "DIR",
	 "where plugd.sock is ($PLUGD_SOCKET, $XDG_RUNTIME_DIR/plugd or /run/plugd)", COMPLETE_DIR},
	{"json", 'j', NULL, "one JSON document on stdout; one a line when following"},
	{"timeout", 0, "DURATION", "how long to wait: 500ms, 30s, 2m; a bare number is seconds",
	 COMPLETE_NOTHING, ARGS_DURATION},
	{"no-color", 0, NULL, "no colours, as with $NO_COLOR"},
	{"no-pager", 0, NULL, "do not show long output with $PAGER"},
	{"help", 'h', NULL, "show help and exit"},
	{"version", 'V', NULL, "show the version and exit"},
	{NULL},
};

const char *const plugin_types[] = {"model",   "device", "interface", "provider", "optimization",
				    "feature", "memory", "gateway",   NULL};

const struct exit_text exit_texts[] = {
	{CTL_DONE, "done"},
	{CTL_FAILED, "refused or failed"},
	{CTL_USAGE, "the command line is wrong"},
	{CTL_NO_PLUGD, "plugd cannot be reached"},
	{CTL_NO_PLUGIN, "no such plugin"},
	{CTL_TIMEOUT, "the deadline passed"},
	{0, NULL},
};

const struct verb *verb_added;
const char *verb_added_as;

const struct verb *
verb_named(const char *name)
{
	if (verb_added && strcmp(verb_added_as, name) == 0)
		return verb_added;
	for (const struct verb *const *verb = verbs; *verb; verb++)
		if (strcmp((*verb)->name, name) == 0)
			return *verb;
	return NULL;
}

const char *
verb_near(const char *name)
{
	struct suggest suggest;

	suggest_start(&suggest, name);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		suggest_offer(&suggest, (*verb)->name);
	return suggest.best;
}
