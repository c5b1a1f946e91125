#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "format.h"
#include "logs.h"
#include "out.h"
#include "plugin_json.h"
#include "verb.h"

#define CATCH_UP_SECONDS 2
#define FOLLOW_LINES     10 /* shown before following, unless -n says otherwise */

struct reader {
	struct ctl *ctl;
	const char *name;
	bool follow, any;
	uint32_t generation; /* of the last line shown */
	int64_t pid;
	uint64_t dropped;
	json_t *lines;
};

static const char *
level_name(uint32_t level)
{
	static const char *const names[] = {"debug", "info", "warning", "error"};

	return names[level < 4 ? level : 3];
}

static json_t *
line_json(const Plug__LogLine *line)
{
	return json_pack("{s:o, s:o, s:s, s:o, s:i, s:I}", "time_ms", number_json(line->time_ms),
			 "stream", out_json_text(plug_str(line->stream)), "level",
			 level_name(line->level), "text", out_json_text(plug_str(line->text)),
			 "generation", (int)line->generation, "pid", (json_int_t)line->pid);
}

static enum out_color
line_color(const Plug__LogLine *line)
{
	bool own = strcmp(plug_str(line->stream), "plugd") == 0;

	if (line->level >= 3)
		return OUT_RED;
	if (line->level == 2)
		return OUT_YELLOW;
	return own || line->level == 0 ? OUT_DIM : OUT_PLAIN;
}

/* A structured log call shows its level, everything else where it came from. */
static const char *
source(const Plug__LogLine *line)
{
	return strcmp(plug_str(line->stream), "log") == 0 ? level_name(line->level)
							  : plug_str(line->stream);
}

static void
show_line(struct reader *reader, const Plug__LogLine *line)
{
	char when[FORMAT_BYTES];
	bool other = line->generation != reader->generation || line->pid != reader->pid;

	if (line->pid && (other || !reader->any)) {
		out_start(OUT_DIM);
		printf("-- generation %" PRIu32 ", process %" PRId64 "\n", line->generation,
		       line->pid);
		out_end(OUT_DIM);
		reader->generation = line->generation;
		reader->pid = line->pid;
		reader->any = true;
	}
	out_start(OUT_DIM);
	printf("%s %-7s ", format_time(line->time_ms, when), source(line));
	out_end(OUT_DIM);
	out_start(line_color(line));
	out_text(plug_str(line->text), strlen(plug_str(line->text)));
	out_end(line_color(line));
	putchar('\n');
}

static void
show_lines(struct reader *reader, const Plug__LogLines *logs)
{
	if (logs->dropped)
		printf("-- %" PRIu64 " lines before these are no longer kept\n", logs->dropped);
	for (size_t i = 0; i < logs->n_lines; i++)
		show_line(reader, logs->lines[i]);
	fflush(stdout);
}

static bool
on_logs(const Plug__Response *response, void *user)
{
	struct reader *reader = user;
	const Plug__LogLines *logs = response->logs;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_LOGS)
		return true;
	reader->dropped += logs->dropped;
	if (!reader->ctl->json) {
		show_lines(reader, logs);
		return true;
	}
	for (size_t i = 0; i < logs->n_lines; i++) {
		if (reader->follow)
			out_json_line(line_json(logs->lines[i]));
		else
			json_array_append_new(reader->lines, line_json(logs->lines[i]));
	}
	return true;
}

/* ---- on a thread ---- */

static bool
on_followed(const Plug__Response *response, void *user)
{
	struct reader *reader = user;
	struct logs_follower *follower = CONTAINER_OF(reader->ctl, struct logs_follower, ctl);

	on_logs(response, user);
	pthread_mutex_lock(&follower->lock);
	if (response->outcome == PLUG_OK && response->body_case == PLUG__RESPONSE__BODY_LOGS)
		follower->shown += response->logs->n_lines + response->logs->dropped;
	pthread_cond_broadcast(&follower->news);
	pthread_mutex_unlock(&follower->lock);
	return true;
}

static void *
follow(void *user)
{
	struct logs_follower *follower = user;
	struct reader reader = {.ctl = &follower->ctl, .name = follower->name, .follow = true};
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__LogsRequest logs = PLUG__LOGS_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_LOGS;
	request.logs = &logs;
	logs.name = (char *)follower->name;
	logs.follow = true;
	ctl_ask(&follower->ctl, &request, 0, on_followed, &reader);
	pthread_mutex_lock(&follower->lock);
	follower->ended = true;
	pthread_cond_broadcast(&follower->news);
	pthread_mutex_unlock(&follower->lock);
	return NULL;
}

bool
logs_follow(struct logs_follower *follower, const struct ctl *ctl, const char *name)
{
	*follower = (struct logs_follower){
		.ctl = {.verb = ctl->verb, .runtime_dir = ctl->runtime_dir, .json = ctl->json},
		.name = name,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.news = PTHREAD_COND_INITIALIZER,
	};
	if (ctl_connect(&follower->ctl) != CTL_DONE)
		return false;
	if (pthread_create(&follower->thread, NULL, follow, follower) == 0)
		return true;
	ctl_close(&follower->ctl);
	return false;
}

static bool
on_counted(const Plug__Response *response, void *user)
{
	uint64_t *count = user;

	if (response->outcome == PLUG_OK && response->body_case == PLUG__RESPONSE__BODY_LOGS)
		*count += response->logs->n_lines + response->logs->dropped;
	return true;
}

void
logs_catch_up(struct logs_follower *follower, struct ctl *ctl)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__LogsRequest logs = PLUG__LOGS_REQUEST__INIT;
	struct timespec until;
	uint64_t count = 0;

	request.body_case = PLUG__REQUEST__BODY_LOGS;
	request.logs = &logs;
	logs.name = (char *)follower->name;
	if (ctl_ask(ctl, &request, CTL_ANSWER_MS, on_counted, &count))
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CATCH_UP_SECONDS;
	pthread_mutex_lock(&follower->lock);
	while (follower->shown < count && !follower->ended &&
	       pthread_cond_timedwait(&follower->news, &follower->lock, &until) == 0)
		;
	pthread_mutex_unlock(&follower->lock);
}

void
logs_unfollow(struct logs_follower *follower)
{
	pthread_join(follower->thread, NULL);
	ctl_close(&follower->ctl);
}

/* ---- the verb ---- */

static int
run(struct ctl *ctl, const struct args *args)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__LogsRequest logs = PLUG__LOGS_REQUEST__INIT;
	struct reader reader = {
		.ctl = ctl, .name = args->words[0], .follow = args_flag(args, "follow")};
	int status;

	request.body_case = PLUG__REQUEST__BODY_LOGS;
	request.logs = &logs;
	logs.name = (char *)reader.name;
	logs.follow = reader.follow;
	logs.lines = (uint32_t)args_number(args, "lines", reader.follow ? FOLLOW_LINES : 0);
	reader.lines = json_array();
	status = ctl_request(ctl, &request, reader.name,
			     reader.follow ? ctl->timeout_ms : ctl_timeout(ctl, CTL_ANSWER_MS),
			     on_logs, &reader);
	if (status == CTL_DONE && ctl->json && !reader.follow)
		out_json(json_pack("{s:o, s:O, s:o}", "name", out_json_text(reader.name), "lines",
				   reader.lines, "dropped", number_json(reader.dropped)));
	json_decref(reader.lines);
	return status;
}

const struct verb verb_logs = {
	.name = "logs",
	.args = "NAME",
	.summary = "show what a plugin printed and logged",
	.help = "Prints the lines that plugd holds in memory of the plugin's stdout, stderr and "
		"log "
		"calls, across its restarts, with the time and where each came from.  Older lines "
		"are "
		"in the files of the state directory.",
	.options =
		(const struct option_spec[]){
			{"follow", 'f', NULL, "go on with new lines until interrupted"},
			{"lines", 'n', "N", "the last N lines (all; with -f 10)", COMPLETE_NOTHING,
			 ARGS_COUNT},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl logs gpt2 -f", "follow"},
			{"plugctl logs gpt2 -n 100 | grep -i error",
			 "search the last hundred lines"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.min_args = 1,
	.max_args = 1,
	.paged = true,
	.run = run,
};
