/* What an operator asks plugd to do. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin.h"
#include "daemon.h"

#define ACT_MS 60000

static bool
on_acted(const Plug__Response *response, void *user)
{
	char *detail = user;

	if (response->body_case == PLUG__RESPONSE__BODY_ACT)
		snprintf(detail, DAEMON_DETAIL_BYTES, "%s", response->act->detail);
	return true;
}

void
daemon_reload(struct daemon *daemon, const char *name, char ret_detail[DAEMON_DETAIL_BYTES])
{
	Plug__Request ask = PLUG__REQUEST__INIT;
	Plug__ActRequest act = PLUG__ACT_REQUEST__INIT;

	act.action = PLUG__ACTION__ACTION_RELOAD;
	act.name = (char *)name;
	ask.body_case = PLUG__REQUEST__BODY_ACT;
	ask.act = &act;
	*ret_detail = '\0';
	if (plug_client_request(daemon->client, &ask, ACT_MS, on_acted, ret_detail))
		bench_die("%s cannot be reloaded: %s", name,
			  plug_client_error_text(daemon->client));
}

/* ---- waiting for its end ---- */

#define WHOLE_MS 60000

static bool
on_plugin(const Plug__Response *response, void *user)
{
	bool *whole = user;
	const Plug__PluginLine *line;

	if (response->body_case != PLUG__RESPONSE__BODY_PLUGIN)
		return true;
	line = response->plugin->line;
	*whole = line->ready == line->instances && line->standby_ready == line->standby &&
		 response->plugin->n_instances == line->instances + line->standby;
	return true;
}

void
daemon_await_whole(struct daemon *daemon, const char *name)
{
	const struct timespec step = {.tv_nsec = 1000000};
	double limit_us = bench_now_us() + WHOLE_MS * 1e3;
	Plug__Request ask = PLUG__REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;
	bool whole = false;

	status.name = (char *)name;
	ask.body_case = PLUG__REQUEST__BODY_STATUS;
	ask.status = &status;
	for (;;) {
		if (plug_client_request(daemon->client, &ask, ACT_MS, on_plugin, &whole))
			bench_die("status of %s: %s", name, plug_client_error_text(daemon->client));
		if (whole)
			return;
		if (bench_now_us() > limit_us)
			bench_die("%s: not all of its processes became ready", name);
		nanosleep(&step, NULL);
	}
}
