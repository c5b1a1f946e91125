/*
 * A change whose keys are all live: the processes are asked, and all take it over or none.
 *
 * Whoever has values when the last answer has come was asked: one that said HELLO meanwhile got the
 * old values with its WELCOME.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "serve/change_private.h"

static bool
is_asked(const struct instance *in)
{
	return in->config_asked != 0;
}

bool
change_concerns(const struct instance *in)
{
	return session_welcomed(in->session) && !in->exited &&
	       (in->state == PS_STARTING || in->state == PS_TESTING || in->state == PS_READY);
}

static bool
somebody_is_asked(const struct plugin *plugin)
{
	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		if (is_asked(in))
			return true;
	return false;
}

/* One that loads something answers when it has done so. */
static uint64_t
patience_ms(const struct plugin *plugin)
{
	const struct spec *spec = plugin->spec;
	uint64_t ms = spec->debug ? SPEC_DEBUG_MS : CHANGE_ANSWER_MS;

	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		if (is_asked(in) && in->state == PS_STARTING)
			return ms + spec->start_timeout_ms;
	return ms;
}

static void
arm(struct change *change)
{
	struct ev_loop *loop = change->control->host->loop;

	ev_timer_stop(loop, &change->deadline_w);
	ev_now_update(loop);
	ev_timer_set(&change->deadline_w, (double)patience_ms(change->plugin) / 1e3, 0.);
	ev_timer_start(loop, &change->deadline_w);
}

static plug_err
ask(struct change *change, struct instance *in, bool back)
{
	uint64_t number = ++change->control->last_config;
	plug_err err = instance_tell_config(in, back ? in->spec : change->spec, number, back);

	in->config_asked = err ? 0 : number;
	return err;
}

/* Its values are not known any more: the next process has the right ones. */
static void
replace(struct instance *in, const char *why)
{
	log_line(LOG_WARN, plugin_name(in->plugin), in->pid,
		 "it does not take its values from before back: %s; it is replaced", why);
	in->config_asked = 0;
	instance_end(in, PE_KILL, "it did not take its configuration from before back: %s", why);
}

static void
give_back(struct change *change)
{
	change->phase = CHANGE_RETURNING;
	LIST_FOREACH_SAFE (in, &change->plugin->instances, struct instance, node) {
		if (!in->config_accepted && !is_asked(in))
			continue;
		in->config_accepted = false;
		if (ask(change, in, true))
			replace(in, "it cannot be told");
	}
	arm(change);
}

static void fail(struct change *change, plug_err outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The first reason counts. */
static void
fail(struct change *change, plug_err outcome, const char *format, ...)
{
	va_list ap;

	if (change->phase != CHANGE_ASKING)
		return;
	change->outcome = outcome;
	va_start(ap, format);
	vsnprintf(change->why, sizeof(change->why), format, ap);
	va_end(ap);
	utf8_clean(change->why, strlen(change->why)); /* some of it is a plugin's word */
	give_back(change);
}

/* True when somebody was asked who had been given values since, or it failed. */
static bool
ask_the_others(struct change *change)
{
	bool asked = false;

	LIST_FOREACH (in, &change->plugin->instances, struct instance, node) {
		if (!change_concerns(in) || in->config_accepted || is_asked(in))
			continue;
		asked = true;
		if (ask(change, in, false)) {
			fail(change, PLUG_EOVERLOADED, "a process of it cannot be told");
			return true;
		}
	}
	if (asked)
		arm(change);
	return asked;
}

static unsigned
accepted(const struct plugin *plugin)
{
	unsigned count = 0;

	LIST_FOREACH (in, &plugin->instances, struct instance, node)
		count += in->config_accepted;
	return count;
}

static void
commit(struct change *change)
{
	unsigned count = accepted(change->plugin);

	if (change_store(change)) {
		give_back(change);
		change_step(change);
		return;
	}
	snprintf(change->detail, sizeof(change->detail), "applied live, in %u process%s", count,
		 count == 1 ? "" : "es");
	change_apply(change);
}

void
change_step(struct change *change)
{
	if (somebody_is_asked(change->plugin))
		return;
	if (change->phase == CHANGE_RETURNING)
		change_done_badly(change);
	else if (!ask_the_others(change))
		commit(change);
	else
		change_step(change); /* when nobody could be asked */
}

void
change_on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct change *change = w->data;
	struct plugin *plugin = change->plugin;
	char label[SLOT_LABEL_BYTES] = "a process";

	(void)loop;
	(void)revents;
	LIST_FOREACH_SAFE (in, &plugin->instances, struct instance, node) {
		if (!is_asked(in))
			continue;
		slot_label(in->slot, label);
		if (change->phase == CHANGE_RETURNING)
			replace(in, "it did not answer in time");
	}
	fail(change, PLUG_ETIMEOUT, "%s did not answer within %.0f s", label,
	     (double)patience_ms(plugin) / 1e3);
	change_step(change);
}

void
change_on_result(struct control *control, struct instance *in, const Plug__ConfigResult *result)
{
	struct change *change = in->plugin->change;
	const char *message = plug_str(result->message);
	char label[SLOT_LABEL_BYTES];

	(void)control;
	if (!change || !is_asked(in) || result->number != in->config_asked)
		return; /* it comes too late */
	in->config_asked = 0;
	if (!*message)
		message = plug_err_text((plug_err)result->outcome);
	slot_label(in->slot, label);
	if (change->phase == CHANGE_RETURNING && result->outcome)
		replace(in, message);
	else if (result->outcome)
		fail(change, PLUG_EPLUGIN, "%s says: %s", label, message);
	else
		in->config_accepted = change->phase == CHANGE_ASKING;
	change_step(change);
}

void
change_on_gone(struct control *control, struct instance *in)
{
	struct change *change = in->plugin->change;
	bool asked = is_asked(in);
	char label[SLOT_LABEL_BYTES];

	(void)control;
	in->config_asked = 0;
	in->config_accepted = false;
	if (!change || change->phase == CHANGE_RELOADING || !asked)
		return;
	if (change->control->host->shutting_down) {
		change->outcome = PLUG_ESTATE;
		snprintf(change->why, sizeof(change->why), "plugd ends");
		change_done_badly(change);
		return;
	}
	slot_label(in->slot, label);
	if (!in->asked)
		fail(change, PLUG_EPLUGIN, "%s died before it had taken the new values", label);
	change_step(change);
}
