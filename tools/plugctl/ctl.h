/* One run of plugctl: its global options, its connection, and how it fails. */
#ifndef PLUGCTL_CTL_H
#define PLUGCTL_CTL_H

#include <jansson.h>
#include <plug/client.h>

#include "admin.h"

enum ctl_exit {
	CTL_DONE = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NO_PLUGD = 3,
	CTL_NO_PLUGIN = 4,
	CTL_TIMEOUT = 5,
};

#define CTL_ANSWER_MS 10000 /* for plugd to answer what it can answer at once */

struct verb;

struct ctl {
	const struct verb *verb;
	const char *runtime_dir; /* NULL: not given */
	bool json;
	uint64_t timeout_ms; /* 0: not given */
	bool printed;        /* a JSON document is on stdout */
	struct plug_client *client;
};

/* Connect, once.  CTL_DONE, or the exit status after the reason was printed. */
int ctl_connect(struct ctl *ctl);

void ctl_close(struct ctl *ctl);

/* Ask plugd, connected already.  timeout_ms: for each response; 0: none. */
plug_err ctl_ask(struct ctl *ctl, const Plug__Request *request, uint64_t timeout_ms,
		 plug_on_response on_response, void *user);

/*
 * Connect and ask.  CTL_DONE, or the exit status after the failure of `subject` (a plugin, or NULL)
 * was printed.
 */
int ctl_request(struct ctl *ctl, const Plug__Request *request, const char *subject,
		uint64_t timeout_ms, plug_on_response on_response, void *user);

/* --timeout, else the fallback. */
uint64_t ctl_timeout(const struct ctl *ctl, uint64_t fallback_ms);

/* Say on stderr that `subject` (may be NULL) failed, why, and what to do next.  Returns the exit
 * status for err. */
int ctl_tell(const struct ctl *ctl, plug_err err, const char *subject, const char *reason);

/* The same; with --json also {"name", "error": {"code", "message"}} on stdout, unless a document is
 * there already. */
int ctl_fail(struct ctl *ctl, plug_err err, const char *subject, const char *reason);

/* The same for what was wrong on the command line: CTL_USAGE. */
int ctl_usage(struct ctl *ctl, const char *format, ...) PLUG_PRINTF(2, 3);

/* {"code", "message"}; the caller's. */
json_t *ctl_error_json(const char *code, const char *reason);

int ctl_status(plug_err err);

#endif
