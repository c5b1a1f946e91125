/* What came of an upgrade: an event, and the operator's answer. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "serve/answer.h"
#include "serve/control.h"
#include "upgrade/identity.h"
#include "upgrade/upgrade_private.h"

/* It goes on all the same; nobody waits. */
static void
on_gone(struct ticket *ticket)
{
	(void)ticket;
}

static void
on_cancel(struct ticket *ticket)
{
	struct client *client = ticket->client;
	uint64_t id = ticket->id;

	ticket_close(ticket);
	answer_request(client, id, PLUG_ECANCELLED, "no longer waited for; it goes on");
}

const struct ticket_ops upgrade_ticket_ops = {
	.on_cancel = on_cancel,
	.on_client_gone = on_gone,
};

static void
answer(struct upgrade *upgrade, plug_err err, const char *why)
{
	struct client *client = upgrade->ticket.client;
	uint64_t id = upgrade->ticket.id;

	if (!client)
		return;
	ticket_close(&upgrade->ticket);
	answer_request(client, id, err, why);
}

void
upgrade_refuse(struct upgrade *upgrade, plug_err err, const char *format, ...)
{
	char why[UPGRADE_WHY_BYTES], text[UPGRADE_WHY_BYTES + 512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	utf8_clean(why, strlen(why));
	snprintf(text, sizeof(text), "%.255s: %s; plugd %.63s goes on, nothing was changed",
		 upgrade->binary, why, upgrade_identity.version);
	utf8_clean(text, strlen(text));
	upgrade_clear(upgrade);
	events_add(&upgrade->host->events, NULL, "upgrade-refused", 0, 0, "%s", text);
	answer(upgrade, err, text);
}

/* ---- after the execve ---- */

void
upgrade_restore(struct upgrade *upgrade, const Plugd__SavedUpgrade *saved,
		const struct serve_in *si)
{
	if (!saved) {
		state_in_fail(si->in, "nothing is said of the upgrade itself");
		return;
	}
	upgrade->count = saved->count;
	upgrade->since_ms = saved->since_ms;
	upgrade->begun_ms = saved->begun_ms;
	snprintf(upgrade->program, sizeof(upgrade->program), "%s", saved->program);
	snprintf(upgrade->binary, sizeof(upgrade->binary), "%s", saved->binary);
	ticket_restore_if_open(&upgrade->ticket, &upgrade_ticket_ops, saved->ticket, si);
}

static void
answer_upgraded(struct upgrade *upgrade, const Plugd__SavedUpgrade *saved, uint64_t pause_us)
{
	Plug__UpgradeResult result = PLUG__UPGRADE_RESULT__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;
	struct client *client = upgrade->ticket.client;
	uint64_t id = upgrade->ticket.id;

	if (!client)
		return;
	ticket_close(&upgrade->ticket);
	result.from = saved->from;
	result.to = (char *)upgrade_identity.version;
	result.took_ms = clock_mono_ms() - saved->begun_ms;
	result.pause_us = pause_us;
	result.upgrades = upgrade->count;
	response.body_case = PLUG__RESPONSE__BODY_UPGRADE;
	response.upgrade = &result;
	control_answer(client, id, &response);
}

void
upgrade_tell(struct upgrade *upgrade, const Plugd__SavedUpgrade *saved, const char *refused)
{
	uint64_t pause_us = (clock_mono_ns() - saved->paused_ns) / 1000u;

	if (*refused) {
		upgrade_refuse(upgrade, PLUG_EINVAL, "executed, it did not take over: %s", refused);
		return;
	}
	upgrade->count++;
	upgrade->since_ms = clock_mono_ms();
	events_add(&upgrade->host->events, NULL, "upgraded", 0, 0,
		   "from plugd %s to %s (%s) after a pause of %.1f ms", saved->from,
		   upgrade_identity.version, upgrade->binary, (double)pause_us / 1e3);
	answer_upgraded(upgrade, saved, pause_us);
}
