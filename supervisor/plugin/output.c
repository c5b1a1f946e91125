#include "plugin/output.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"

#define FLUSH_SECONDS 0.2

static void
on_flush(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct output *output = w->data;

	(void)revents;
	ev_timer_stop(loop, w);
	logfile_flush(&output->file);
}

void
output_init(struct output *output, struct lull *lull, int dir_fd, const char *name,
	    size_t ring_bytes, uint64_t file_bytes, unsigned files)
{
	*output = (struct output){.loop = lull->loop, .lull = lull, .to_file = dir_fd >= 0};
	logring_init(&output->ring, ring_bytes);
	logfile_init(&output->file, dir_fd, name, file_bytes, files);
	list_init(&output->followers);
	ev_timer_init(&output->flush_w, on_flush, FLUSH_SECONDS, 0.);
	output->flush_w.data = output;
}

void
output_fini(struct output *output)
{
	ev_timer_stop(output->loop, &output->flush_w);
	logfile_fini(&output->file);
	logring_fini(&output->ring);
}

const char *
output_stream_name(unsigned stream)
{
	static const char *const names[] = {"out", "err", "log", "plugd"};

	return stream < ARRAY_SIZE(names) ? names[stream] : "?";
}

static bool
begins_alike(const struct output_head *head, const struct logring_line *line)
{
	return head->length && head->time_ms == line->time_ms && head->pid == line->pid &&
	       head->generation == line->generation && head->stream == line->stream;
}

static void
make_head(struct output_head *head, const struct logring_line *line)
{
	time_t seconds = (time_t)(line->time_ms / 1000);
	size_t used, size = sizeof(head->text);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	used = strftime(head->text, size, "%Y-%m-%dT%H:%M:%S", &utc);
	used += (size_t)snprintf(head->text + used, size - used, ".%03uZ %lld/%u %s ",
				 (unsigned)(line->time_ms % 1000), (long long)line->pid,
				 line->generation, output_stream_name(line->stream));
	head->length = (uint8_t)(used < size ? used : size - 1);
	head->time_ms = line->time_ms;
	head->pid = line->pid;
	head->generation = line->generation;
	head->stream = line->stream;
}

static void
append_to_file(struct output *output, const struct logring_line *line)
{
	char text[sizeof(output->head.text) + LOGRING_LINE_BYTES + 1];
	size_t used;

	if (!begins_alike(&output->head, line))
		make_head(&output->head, line);
	used = output->head.length;
	memcpy(text, output->head.text, used);
	memcpy(text + used, line->text, line->length);
	used += line->length;
	if (line->continues)
		text[used++] = '\\';
	logfile_append(&output->file, text, used);
	if (!ev_is_active(&output->flush_w)) {
		ev_timer_set(&output->flush_w, FLUSH_SECONDS, 0.);
		ev_timer_start(output->loop, &output->flush_w);
	}
}

uint32_t
output_clipped(size_t length)
{
	return (uint32_t)(length < LOGRING_LINE_BYTES ? length : LOGRING_LINE_BYTES);
}

void
output_put(struct output *output, struct logring_line line)
{
	static char clean[LOGRING_LINE_BYTES]; /* one thread */

	memcpy(clean, line.text, line.length);
	utf8_clean(clean, line.length);
	line.text = clean;
	output->lines++;
	line.seq = logring_append(&output->ring, &line);
	if (output->to_file)
		append_to_file(output, &line);
	LIST_FOREACH_SAFE (follower, &output->followers, struct output_follower, node)
		follower->on_line(follower, &line);
}

void
output_line(struct output *output, enum output_stream stream, unsigned level, uint32_t generation,
	    int64_t pid, const char *text, size_t length, bool continues)
{
	output_put(output, (struct logring_line){
				   .time_ms = clock_wall_ms(),
				   .pid = pid,
				   .generation = generation,
				   .stream = (uint8_t)stream,
				   .level = (uint8_t)level,
				   .continues = continues,
				   .length = output_clipped(length),
				   .text = text,
			   });
}

void
output_follow(struct output *output, struct output_follower *follower)
{
	list_append(&output->followers, &follower->node);
}

void
output_unfollow(struct output_follower *follower)
{
	list_remove(&follower->node);
}
