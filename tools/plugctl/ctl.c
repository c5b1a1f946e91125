#include "ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "verb.h"

int
ctl_status(plug_err err)
{
	switch (err) {
	case PLUG_OK:
		return CTL_DONE;
	case PLUG_EUNREACHABLE:
		return CTL_NO_PLUGD;
	case PLUG_ENOTFOUND:
		return CTL_NO_PLUGIN;
	case PLUG_ETIMEOUT:
		return CTL_TIMEOUT;
	default:
		return CTL_FAILED;
	}
}

/* What to do next, where the reason does not say so itself. */
static const char *
hint(const struct ctl *ctl, plug_err err)
{
	const char *verb = ctl->verb ? ctl->verb->name : "";

	switch (err) {
	case PLUG_ETIMEOUT:
		return ctl->timeout_ms
			       ? "give it longer with --timeout"
			       : "`plugctl status` shows what plugd and the plugin are doing";
	case PLUG_EGONE:
		return strcmp(verb, "call") == 0
			       ? "`plugctl crashes` says why the plugin died; if plugd did, its log"
			       : NULL;
	default:
		return NULL;
	}
}

json_t *
ctl_error_json(const char *code, const char *reason)
{
	return json_pack("{s:s, s:o}", "code", code, "message", out_json_text(reason));
}

static void
print_error_json(struct ctl *ctl, const char *code, const char *subject, const char *reason)
{
	json_t *document = json_pack("{s:o}", "error", ctl_error_json(code, reason));

	if (subject)
		json_object_set_new(document, "name", out_json_text(subject));
	out_json(document);
	ctl->printed = true;
}

/* Is the subject the first word of the reason, as in "echo has no method"? */
static bool
begins_with(const char *reason, const char *subject)
{
	size_t length = strlen(subject);

	return strncmp(reason, subject, length) == 0 && reason[length] == ' ';
}

static void
print_error(const char *subject, const char *reason)
{
	bool shown = subject && !begins_with(reason, subject);
	char *safe_reason = out_escape(reason, strlen(reason));
	char *safe_subject = shown ? out_escape(subject, strlen(subject)) : NULL;

	fflush(stdout);
	fprintf(stderr, "plugctl: %s%s%s\n", safe_subject ? safe_subject : "",
		safe_subject ? ": " : "", safe_reason ? safe_reason : "");
	free(safe_reason);
	free(safe_subject);
}

int
ctl_tell(const struct ctl *ctl, plug_err err, const char *subject, const char *reason)
{
	const char *next = hint(ctl, err);

	print_error(subject, reason);
	if (next)
		fprintf(stderr, "plugctl: %s\n", next);
	return ctl_status(err);
}

int
ctl_fail(struct ctl *ctl, plug_err err, const char *subject, const char *reason)
{
	ctl_tell(ctl, err, subject, reason);
	if (ctl->json && !ctl->printed)
		print_error_json(ctl, plug_err_name(err), subject, reason);
	return ctl_status(err);
}

int
ctl_usage(struct ctl *ctl, const char *format, ...)
{
	char reason[512];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	print_error(ctl->verb ? ctl->verb->name : NULL, reason);
	if (ctl->verb)
		fprintf(stderr,
			"plugctl: usage: plugctl %s [options]%s%s; see `plugctl %s --help`\n",
			ctl->verb->name, ctl->verb->args ? " " : "",
			ctl->verb->args ? ctl->verb->args : "", ctl->verb->name);
	else
		fputs("plugctl: see `plugctl help`\n", stderr);
	if (ctl->json && !ctl->printed)
		print_error_json(ctl, "USAGE", NULL, reason);
	return CTL_USAGE;
}

int
ctl_connect(struct ctl *ctl)
{
	struct plug_client_config config = {.size = sizeof(config),
					    .runtime_dir = ctl->runtime_dir,
					    .name = "plugctl",
					    .spin_us = PLUG_SPIN_NEVER}; /* it asks once */
	plug_err err;

	if (ctl->client)
		return CTL_DONE;
	err = plug_client_open(&config, &ctl->client);
	if (err == PLUG_OK)
		return CTL_DONE;
	ctl_fail(ctl, err, NULL, plug_client_error_text(NULL));
	if (!ctl->runtime_dir)
		fputs("plugctl: --runtime-dir names the directory in which plugd.sock is\n",
		      stderr);
	return err == PLUG_ETIMEOUT ? CTL_NO_PLUGD : ctl_status(err);
}

void
ctl_close(struct ctl *ctl)
{
	plug_client_close(ctl->client);
	ctl->client = NULL;
}

uint64_t
ctl_timeout(const struct ctl *ctl, uint64_t fallback_ms)
{
	return ctl->timeout_ms ? ctl->timeout_ms : fallback_ms;
}

plug_err
ctl_ask(struct ctl *ctl, const Plug__Request *request, uint64_t timeout_ms,
	plug_on_response on_response, void *user)
{
	plug_err err = plug_client_request(ctl->client, request, timeout_ms, on_response, user);

	/* A request is plugd's own: what went away is plugd. */
	return err == PLUG_EGONE ? PLUG_EUNREACHABLE : err;
}

int
ctl_request(struct ctl *ctl, const Plug__Request *request, const char *subject, uint64_t timeout_ms,
	    plug_on_response on_response, void *user)
{
	int status = ctl_connect(ctl);
	plug_err err;

	if (status != CTL_DONE)
		return status;
	err = ctl_ask(ctl, request, timeout_ms, on_response, user);
	if (err == PLUG_OK)
		return CTL_DONE;
	return ctl_fail(ctl, err, subject, plug_client_error_text(ctl->client));
}
