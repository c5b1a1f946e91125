#include "install/tell.h"

#include <stdio.h>
#include <string.h>

#include "act.h"
#include "codec.h"
#include "progress.h"

#define REREAD_MS 30000

static bool
ignore(const Plug__Response *response, void *user)
{
	(void)response;
	(void)user;
	return true;
}

int
tell_reread(struct ctl *ctl)
{
	return act_on_daemon(ctl, PLUG__ACTION__ACTION_REREAD, ctl_timeout(ctl, REREAD_MS), ignore,
			     NULL);
}

/* ---- status ---- */

static bool
on_status(const Plug__Response *response, void *user)
{
	struct tell_state *state = user;
	const Plug__PluginStatus *plugin = response->plugin;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_PLUGIN ||
	    !plugin->line)
		return true;
	snprintf(state->state, sizeof(state->state), "%s", plug_str(plugin->line->state));
	snprintf(state->version, sizeof(state->version), "%s", plug_str(plugin->line->version));
	snprintf(state->path, sizeof(state->path), "%s", plug_str(plugin->path));
	snprintf(state->why, sizeof(state->why), "%s", plug_str(plugin->why));
	state->autostart = plugin->autostart;
	return true;
}

int
tell_find(struct ctl *ctl, const char *name, struct tell_state *ret)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatusRequest ask = PLUG__STATUS_REQUEST__INIT;
	int status = ctl_connect(ctl);
	plug_err err;

	if (status != CTL_DONE)
		return status;
	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &ask;
	ask.name = (char *)name;
	*ret = (struct tell_state){""};
	err = ctl_ask(ctl, &request, ctl_timeout(ctl, CTL_ANSWER_MS), on_status, ret);
	if (err == PLUG_ENOTFOUND) {
		snprintf(ret->why, sizeof(ret->why), "%s", plug_client_error_text(ctl->client));
		return CTL_DONE;
	}
	return err ? ctl_fail(ctl, err, name, plug_client_error_text(ctl->client)) : CTL_DONE;
}

/* ---- start, stop ---- */

static plug_err
act(struct ctl *ctl, Plug__Action action, const char *name)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ActRequest ask = PLUG__ACT_REQUEST__INIT;
	struct progress *progress = progress_begin(name, 0, ctl, name);
	plug_err err;

	request.body_case = PLUG__REQUEST__BODY_ACT;
	request.act = &ask;
	ask.action = action;
	ask.name = (char *)name;
	err = ctl_ask(ctl, &request, ctl->timeout_ms, ignore, NULL);
	progress_end(progress);
	return err;
}

int
tell_settle(struct ctl *ctl, const char *name, bool is_new, struct tell_state *state)
{
	bool begins = is_new && state->autostart && !strcmp(state->state, "stopped");

	if (!begins && strcmp(state->state, "starting"))
		return CTL_DONE;
	act(ctl, PLUG__ACTION__ACTION_START, name); /* what came of it is in its state */
	return tell_find(ctl, name, state);
}

int
tell_stop(struct ctl *ctl, const char *name)
{
	plug_err err = act(ctl, PLUG__ACTION__ACTION_STOP, name);

	return err ? ctl_fail(ctl, err, name, plug_client_error_text(ctl->client)) : CTL_DONE;
}

/* ---- dependents ---- */

struct text {
	char *at;
	size_t size;
};

static bool
on_info(const Plug__Response *response, void *user)
{
	struct text *text = user;
	size_t used = 0;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_INFO)
		return true;
	for (size_t i = 0; i < response->info->n_required_by && used < text->size; i++)
		used += (size_t)snprintf(text->at + used, text->size - used, "%s%s", i ? ", " : "",
					 plug_str(response->info->required_by[i]));
	return true;
}

int
tell_dependents(struct ctl *ctl, const char *name, char *text, size_t size)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__InfoRequest ask = PLUG__INFO_REQUEST__INIT;
	struct text into = {text, size};
	int status = ctl_connect(ctl);
	plug_err err;

	if (status != CTL_DONE)
		return status;
	*text = '\0';
	request.body_case = PLUG__REQUEST__BODY_INFO;
	request.info = &ask;
	ask.name = (char *)name;
	err = ctl_ask(ctl, &request, ctl_timeout(ctl, CTL_ANSWER_MS), on_info, &into);
	if (!err || err == PLUG_ENOTFOUND)
		return CTL_DONE;
	return ctl_fail(ctl, err, name, plug_client_error_text(ctl->client));
}
