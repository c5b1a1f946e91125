/* What plugd knows, as the documents that --json prints, for verbs that put several together. */
#ifndef PLUGCTL_ASK_H
#define PLUGCTL_ASK_H

#include "ctl.h"

/* The documents; the caller's. */
json_t *info_json(const Plug__PluginInfo *info);              /* info.c */
json_t *plugin_status_json(const Plug__PluginStatus *status); /* status.c */
json_t *daemon_status_json(const Plug__DaemonStatus *status); /* status.c */
json_t *stats_json(const Plug__PluginStats *stats);           /* stats.c */

/*
 * Ask; *ret is the caller's, released with json_decref(), and set only on CTL_DONE.  Otherwise the
 * exit status after the failure was printed.  Connects.
 */
int ask_info(struct ctl *ctl, const char *plugin, json_t **ret);
int ask_status(struct ctl *ctl, const char *plugin, json_t **ret); /* "": plugd itself */
int ask_stats(struct ctl *ctl, const char *plugin, json_t **ret);  /* of one; NULL: a list of all */
int ask_list(struct ctl *ctl, json_t **ret);                       /* of lines */

/* One call and its answer. */
struct ask_answer {
	plug_err outcome;
	uint64_t took_ns;
	char *text; /* the payload, pieces of a stream before it, a NUL behind it; or the reason */
	size_t size;
	bool json; /* its content type is JSON */
};
void ask_call(struct ctl *ctl, const char *plugin, const char *method,
	      const struct plug_payload *payload, struct ask_answer *ret);
void ask_answer_fini(struct ask_answer *answer);

/* Members of a document: "" and 0 where there is none. */
const char *ask_text(const json_t *document, const char *key);
uint64_t ask_number(const json_t *document, const char *key);

#endif
