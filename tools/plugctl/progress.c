#include "progress.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "format.h"
#include "out.h"
#include "plugin_json.h"

#define FIRST_MS 500
#define NEXT_MS  100
#define ASK_MS   500
#define BAR      24
#define COLUMNS  80

struct progress {
	char what[128], plugin[64];
	char runtime_dir[128];
	uint64_t total, began_ms;
	atomic_ullong done;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool over;
	struct plug_client *client; /* NULL: not connected */
	char state[160];
	char note[160]; /* of progress_say(); under the lock */
};

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the plugin's state ---- */

static bool
on_status(const Plug__Response *response, void *user)
{
	struct progress *progress = user;

	if (response->outcome == PLUG_OK && response->body_case == PLUG__RESPONSE__BODY_PLUGIN &&
	    response->plugin->line)
		snprintf(progress->state, sizeof(progress->state), "%s%s%s",
			 plug_str(response->plugin->line->state),
			 *plug_str(response->plugin->why) ? ": " : "",
			 plug_str(response->plugin->why));
	return true;
}

static void
ask_state(struct progress *progress)
{
	struct plug_client_config config = {
		.size = sizeof(config),
		.runtime_dir = *progress->runtime_dir ? progress->runtime_dir : NULL,
		.name = "plugctl",
		.data_plane = PLUG_DATA_PLANE_OFF};
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;

	if (!*progress->plugin ||
	    (!progress->client && plug_client_open(&config, &progress->client)))
		return;
	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &status;
	status.name = progress->plugin;
	plug_client_request(progress->client, &request, ASK_MS, on_status, progress);
}

/* ---- the line ---- */

static size_t
columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : COLUMNS;
}

static void
write_bar(const struct progress *progress, char *ret, size_t size)
{
	uint64_t done = atomic_load(&progress->done), filled;
	char bar[BAR + 1];

	done = done < progress->total ? done : progress->total;
	filled = done * BAR / progress->total;
	for (uint64_t i = 0; i < BAR; i++)
		bar[i] = i < filled ? '#' : '-';
	bar[BAR] = '\0';
	snprintf(ret, size, " [%s] %3" PRIu64 "%%", bar, done * 100 / progress->total);
}

static void
draw(struct progress *progress, unsigned turn)
{
	static const char spinner[] = "|/-\\";
	char bar[64] = "", took[FORMAT_BYTES], line[512], note[sizeof(progress->note)];
	char *safe;

	pthread_mutex_lock(&progress->lock);
	memcpy(note, progress->note, sizeof(note));
	pthread_mutex_unlock(&progress->lock);
	if (progress->total)
		write_bar(progress, bar, sizeof(bar));
	snprintf(line, sizeof(line), "%c %s%s %s%s%s%s%s", spinner[turn % 4], progress->what, bar,
		 format_duration(now_ms() - progress->began_ms, took), *progress->state ? "  " : "",
		 progress->state, *note ? "  " : "", note);
	safe = out_escape(line, strlen(line));
	fprintf(stderr, "\r%.*s\033[K", (int)columns() - 1, safe ? safe : "");
	fflush(stderr);
	free(safe);
}

/* False when it is over. */
static bool
wait_ms(struct progress *progress, uint64_t ms)
{
	struct timespec until;
	bool over;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&progress->lock);
	while (!progress->over &&
	       pthread_cond_timedwait(&progress->news, &progress->lock, &until) != ETIMEDOUT)
		;
	over = progress->over;
	pthread_mutex_unlock(&progress->lock);
	return !over;
}

static void *
show(void *user)
{
	struct progress *progress = user;

	if (!wait_ms(progress, FIRST_MS))
		return NULL;
	for (unsigned turn = 0;; turn++) {
		if (turn % (ASK_MS / NEXT_MS) == 0)
			ask_state(progress);
		draw(progress, turn);
		if (!wait_ms(progress, NEXT_MS))
			break;
	}
	fputs("\r\033[K", stderr);
	fflush(stderr);
	return NULL;
}

struct progress *
progress_begin(const char *what, uint64_t total, const struct ctl *ctl, const char *plugin)
{
	const char *term = getenv("TERM");
	struct progress *progress;
	pthread_condattr_t attributes;

	if (!isatty(STDERR_FILENO) || (term && strcmp(term, "dumb") == 0) ||
	    !(progress = calloc(1, sizeof(*progress))))
		return NULL;
	snprintf(progress->what, sizeof(progress->what), "%s", what);
	snprintf(progress->plugin, sizeof(progress->plugin), "%s", plugin ? plugin : "");
	snprintf(progress->runtime_dir, sizeof(progress->runtime_dir), "%s",
		 ctl && ctl->runtime_dir ? ctl->runtime_dir : "");
	progress->total = total;
	progress->began_ms = now_ms();
	pthread_mutex_init(&progress->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&progress->news, &attributes);
	pthread_condattr_destroy(&attributes);
	if (pthread_create(&progress->thread, NULL, show, progress) == 0)
		return progress;
	free(progress);
	return NULL;
}

void
progress_step(struct progress *progress, uint64_t done)
{
	if (progress)
		atomic_store(&progress->done, done);
}

void
progress_say(struct progress *progress, const char *text)
{
	if (!progress)
		return;
	pthread_mutex_lock(&progress->lock);
	snprintf(progress->note, sizeof(progress->note), "%s", text);
	pthread_mutex_unlock(&progress->lock);
}

void
progress_end(struct progress *progress)
{
	if (!progress)
		return;
	pthread_mutex_lock(&progress->lock);
	progress->over = true;
	pthread_cond_signal(&progress->news);
	pthread_mutex_unlock(&progress->lock);
	pthread_join(progress->thread, NULL);
	plug_client_close(progress->client);
	pthread_cond_destroy(&progress->news);
	pthread_mutex_destroy(&progress->lock);
	free(progress);
}
