#include "install/choose.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "codec.h"
#include "progress.h"

static bool
on_result(const Plug__Response *response, void *user)
{
	struct chosen *chosen = user;

	if (response->outcome == PLUG_OK && response->body_case == PLUG__RESPONSE__BODY_ACT)
		snprintf(chosen->detail, sizeof(chosen->detail), "%s",
			 plug_str(response->act->detail));
	return true;
}

static int
reload_to(struct ctl *ctl, const char *name, const char *version, struct chosen *chosen)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ActRequest act = PLUG__ACT_REQUEST__INIT;
	struct progress *progress;
	plug_err err;

	request.body_case = PLUG__REQUEST__BODY_ACT;
	request.act = &act;
	act.action = PLUG__ACTION__ACTION_RELOAD;
	act.name = (char *)name;
	act.version = (char *)version;
	progress = progress_begin(name, 0, ctl, name);
	err = ctl_ask(ctl, &request, ctl->timeout_ms, on_result, chosen);
	progress_end(progress);
	return err ? ctl_fail(ctl, err, name, plug_client_error_text(ctl->client)) : CTL_DONE;
}

static int
change_link(struct ctl *ctl, struct where *where, const char *name, const char *version)
{
	plug_err err = store_choose(where->store.fd, name, version);
	char text[256];

	if (!err)
		return CTL_DONE;
	snprintf(text, sizeof(text), "version %s could not be chosen: %s; the one before stays",
		 version, err == PLUG_ESYS ? strerrordesc_np(errno) : plug_err_text(err));
	return ctl_fail(ctl, err, name, text);
}

static bool
runs_already(const struct where *where, const char *name, const char *version,
	     const struct tell_state *state)
{
	char chosen[STORE_VERSION_BYTES];

	return !store_current(where->store.fd, name, chosen) && !strcmp(chosen, version) &&
	       !strcmp(state->version, version) && !strcmp(state->state, "ready");
}

/* Without a process there is nothing to roll back: the link is. */
static int
choose_link(struct ctl *ctl, struct where *where, const char *name, const char *version,
	    struct chosen *ret)
{
	char before[STORE_VERSION_BYTES] = "";
	int status;

	store_current(where->store.fd, name, before);
	status = change_link(ctl, where, name, version);
	if (status == CTL_DONE && where->has_plugd)
		status = tell_reread(ctl);
	if (status == CTL_DONE && where->has_plugd)
		status = tell_find(ctl, name, &ret->state);
	if (status != CTL_DONE || !where->has_plugd || *ret->state.state)
		return status;
	if (*before && strcmp(before, version) && !store_choose(where->store.fd, name, before))
		tell_reread(ctl);
	return ctl_fail(ctl, PLUG_EINVAL, name, ret->state.why);
}

int
choose_version(struct ctl *ctl, struct where *where, const char *name, const char *version,
	       struct chosen *ret)
{
	int status = where->has_plugd ? tell_find(ctl, name, &ret->state) : CTL_DONE;

	*ret->detail = '\0';
	if (status != CTL_DONE)
		return status;
	if (*ret->state.state && where_holds(where, ret->state.path)) {
		if (runs_already(where, name, version, &ret->state))
			return CTL_DONE;
		where_unlock(where);
		status = reload_to(ctl, name, version, ret);
		return status == CTL_DONE ? tell_find(ctl, name, &ret->state) : status;
	}
	status = choose_link(ctl, where, name, version, ret);
	where_unlock(where);
	if (status != CTL_DONE || !where->has_plugd)
		return status;
	return tell_settle(ctl, name, true, &ret->state);
}
