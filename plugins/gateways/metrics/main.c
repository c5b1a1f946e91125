/*
 * metrics: what `plugctl metrics` prints, over HTTP.
 *
 * It asks plugctl, as an operator would, and not plugd: so HTTP and its faults are outside plugd,
 * and what is served is what is printed.
 */
#include <errno.h>
#include <jansson.h>
#include <plug/plugin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "gather.h"
#include "listen.h"
#include "serve.h"

#define TIMEOUT_NS 5000000000ull
#define NS_PER_MS  1000000u

struct metrics {
	struct plug_plugin *plugin;
	struct server *server;
	char listen[LISTEN_TEXT_BYTES];
	int stopping_fd; /* readable once the plugin is being stopped */
	/* Below: `lock`. */
	pthread_mutex_t lock;
	pthread_cond_t turn; /* `asks` became false; of CLOCK_MONOTONIC */
	bool asks;           /* plugctl is run once at a time */
	uint64_t scrapes, failures, last_bytes;
	char last_error[GATHER_WHY_BYTES]; /* "": the last one was answered */
};

/* ---- asking plugctl ---- */

static bool
wait_for_turn(struct metrics *metrics, uint64_t timeout_ns)
{
	struct timespec until;
	bool mine;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(timeout_ns / 1000000000u);
	until.tv_nsec += (long)(timeout_ns % 1000000000u);
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&metrics->lock);
	while (metrics->asks && pthread_cond_timedwait(&metrics->turn, &metrics->lock, &until) == 0)
		;
	mine = !metrics->asks;
	metrics->asks = true;
	pthread_mutex_unlock(&metrics->lock);
	return mine;
}

static void
end_turn(struct metrics *metrics)
{
	pthread_mutex_lock(&metrics->lock);
	metrics->asks = false;
	pthread_cond_signal(&metrics->turn);
	pthread_mutex_unlock(&metrics->lock);
}

static void
turn_init(struct metrics *metrics)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&metrics->turn, &attr);
	pthread_condattr_destroy(&attr);
}

static bool
ask(struct metrics *metrics, struct gathered *ret, char why[GATHER_WHY_BYTES])
{
	uint64_t timeout_ns = plug_config_duration_ns(metrics->plugin, "timeout", TIMEOUT_NS);
	char plugctl[GATHER_PATH_BYTES];
	bool done;

	if (!wait_for_turn(metrics, timeout_ns)) {
		snprintf(why, GATHER_WHY_BYTES, "another request is being answered for too long");
		return false;
	}
	gather_find(plug_config_string(metrics->plugin, "plugctl", NULL), plugctl);
	done = gather(plugctl, timeout_ns / NS_PER_MS, metrics->stopping_fd, ret, why);
	end_turn(metrics);
	return done;
}

/* One that lasts is logged once, and so is its end. */
static void
note(struct metrics *metrics, size_t bytes, const char *why)
{
	bool news;

	pthread_mutex_lock(&metrics->lock);
	news = strcmp(metrics->last_error, why) != 0;
	metrics->scrapes++;
	metrics->failures += *why != '\0';
	metrics->last_bytes = bytes;
	snprintf(metrics->last_error, sizeof(metrics->last_error), "%s", why);
	pthread_mutex_unlock(&metrics->lock);
	if (news && *why)
		plug_log(metrics->plugin, PLUG_LOG_WARNING, "answered with 503: %s", why);
	else if (news)
		plug_log(metrics->plugin, PLUG_LOG_INFO, "plugctl answers again");
}

static bool
on_scrape(void *user, struct gathered *ret, char why[GATHER_WHY_BYTES])
{
	struct metrics *metrics = user;
	bool done = ask(metrics, ret, why);

	note(metrics, done ? ret->size : 0, done ? "" : why);
	return done;
}

/* ---- methods ---- */

/* Takes `json`; NULL: there is no memory. */
static plug_err
reply_json(struct plug_call *call, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	plug_err err = text ? plug_reply(call, "application/json", text, strlen(text))
			    : plug_fail(call, PLUG_ENOMEM, "out of memory");

	free(text);
	json_decref(json);
	return err;
}

static plug_err
on_status(struct plug_call *call, void *user)
{
	struct metrics *metrics = user;
	char url[LISTEN_TEXT_BYTES + 32];
	json_t *json;

	snprintf(url, sizeof(url), "http://%s/metrics", metrics->listen);
	pthread_mutex_lock(&metrics->lock);
	json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "listen", metrics->listen, "url", url,
			 "scrapes", (json_int_t)metrics->scrapes, "failures",
			 (json_int_t)metrics->failures, "last_bytes",
			 (json_int_t)metrics->last_bytes, "last_error", metrics->last_error);
	pthread_mutex_unlock(&metrics->lock);
	return reply_json(call, json);
}

static plug_err
on_self_test(struct plug_call *call, void *user)
{
	struct metrics *metrics = user;
	char detail[GATHER_WHY_BYTES];
	struct gathered gathered = {NULL, 0};
	bool done = ask(metrics, &gathered, detail);

	free(gathered.text);
	if (!done)
		return plug_fail(call, PLUG_EUNAVAILABLE, "%s", detail);
	snprintf(detail, sizeof(detail), "%zu bytes for http://%s/metrics", gathered.size,
		 metrics->listen);
	return reply_json(call, json_pack("{s:[{s:s, s:b, s:s}]}", "checks", "name",
					  "plugctl metrics", "ok", 1, "detail", detail));
}

/* ---- life ---- */

static plug_err
on_start(struct plug_plugin *plugin, void *user)
{
	struct metrics *metrics = user;
	struct serve_ops ops = {.gather = on_scrape, .user = metrics};
	char why[LISTEN_WHY_BYTES];
	bool loopback;
	int fd;

	metrics->plugin = plugin;
	turn_init(metrics);
	metrics->stopping_fd = eventfd(0, EFD_CLOEXEC);
	if (metrics->stopping_fd < 0)
		return plug_start_failed(plugin, PLUG_ESYS, "eventfd: %s", strerrordesc_np(errno));
	fd = listen_open(plug_config_string(plugin, "listen", ""), why);
	if (fd < 0)
		return plug_start_failed(plugin, PLUG_EINVAL, "%s", why);
	listen_text(fd, metrics->listen);
	loopback = listen_is_loopback(fd);
	metrics->server = serve_start(fd, &ops);
	if (!metrics->server)
		return plug_start_failed(plugin, PLUG_ENOMEM, "no memory or no thread for HTTP");
	plug_log(plugin, PLUG_LOG_INFO, "serves http://%s/metrics", metrics->listen);
	if (!loopback)
		plug_log(
			plugin, PLUG_LOG_WARNING,
			"other machines may connect to %s, and nobody is asked who he is: see that "
			"a firewall lets in the right ones only",
			metrics->listen);
	return PLUG_OK;
}

static void
on_stop(struct plug_plugin *plugin, void *user)
{
	struct metrics *metrics = user;

	(void)plugin;
	eventfd_write(metrics->stopping_fd, 1);
	serve_stop(metrics->server);
	close(metrics->stopping_fd);
}

int
main(void)
{
	static const struct plug_method methods[] = {
		{"status", on_status, PLUG_METHOD_IDEMPOTENT, 0,
		 "where it listens and what it has done"},
		{"self_test", on_self_test, PLUG_METHOD_IDEMPOTENT, 0,
		 "asks plugctl as a scrape does"},
		{0},
	};
	static struct metrics metrics = {.stopping_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = "metrics",
		.version = "0.1.0",
		.contract = "gateway",
		.methods = methods,
		.user = &metrics,
		.workers = 2,
		.on_start = on_start,
		.on_stop = on_stop,
	};

	return plug_main(&config);
}
