#include "plugin/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"

#define FLUSH_SECONDS 0.2
#define READ_BYTES    (4u * 1024)  /* before others have their turn: some 10 us of work … */
#define LARGE_BYTES   (16u * 1024) /* … or, where lines are long, some 30 us */
#define DRAIN_BYTES   (64u * 1024) /* of a dead process's pipe, in one read … */
#define DRAIN_READS   64           /* … at most 4 MiB, … */
#define DRAIN_WORTH   (16u * 1024 * 1024) /* … and of short lines what they count for */

static void
on_flush(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct output *output = w->data;

	(void)revents;
	ev_timer_stop(loop, w);
	logfile_flush(&output->file);
}

void
output_init(struct output *output, struct ev_loop *loop, int dir_fd, const char *name,
	    size_t ring_bytes, uint64_t file_bytes, unsigned files)
{
	*output = (struct output){.loop = loop, .to_file = dir_fd >= 0};
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

/* The line's text is not clean yet. */
static void
put_line(struct output *output, struct logring_line line)
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

static uint32_t
line_length(size_t length)
{
	return (uint32_t)(length < LOGRING_LINE_BYTES ? length : LOGRING_LINE_BYTES);
}

void
output_line(struct output *output, enum output_stream stream, unsigned level, uint32_t generation,
	    int64_t pid, const char *text, size_t length, bool continues)
{
	put_line(output, (struct logring_line){
				 .time_ms = clock_wall_ms(),
				 .pid = pid,
				 .generation = generation,
				 .stream = (uint8_t)stream,
				 .level = (uint8_t)level,
				 .continues = continues,
				 .length = line_length(length),
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

/* ---- pipes ---- */

static void
on_line(void *context, const char *text, size_t length, bool continues)
{
	struct output_pipe *pipe = context;

	if (length + 1 < OUTPUT_LINE_BYTES) {
		pipe->taken += OUTPUT_LINE_BYTES - length - 1;
		pipe->short_lines++;
	}
	put_line(pipe->output, (struct logring_line){
				       .time_ms = pipe->read_ms,
				       .pid = pipe->pid,
				       .generation = pipe->generation,
				       .stream = (uint8_t)pipe->stream,
				       .level = pipe->stream == OUTPUT_ERR ? 2 : 1,
				       .continues = continues,
				       .length = line_length(length),
				       .text = text,
			       });
}

/* False when there is no more for now, or for ever. */
static bool
read_some(struct output_pipe *pipe, size_t most)
{
	static char buffer[DRAIN_BYTES]; /* one thread */
	ssize_t size = read(pipe->fd, buffer, most);

	if (size > 0) {
		/* once: asked for each line it is a tenth of all work */
		pipe->read_ms = clock_wall_ms();
		pipe->taken += (size_t)size;
		logpipe_feed(&pipe->splitter, buffer, (size_t)size, on_line, pipe);
		return true;
	}
	if (size == 0 || (errno != EAGAIN && errno != EINTR))
		ev_io_stop(pipe->output->loop,
			   &pipe->w); /* closed on the other side: nothing comes any more */
	return false;
}

static void
on_rested(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct output_pipe *pipe = w->data;

	(void)revents;
	pipe->begin = ev_now(loop);
	pipe->taken = 0;
	ev_io_start(loop, &pipe->w);
}

/* One read may bring many short lines, and so be worth several stretches. */
static ev_tstamp
seconds_of(size_t taken)
{
	return (ev_tstamp)taken / OUTPUT_STRETCH_BYTES * OUTPUT_STRETCH_SECONDS;
}

static void
rest(struct output_pipe *pipe, ev_tstamp seconds)
{
	struct ev_loop *loop = pipe->output->loop;

	ev_io_stop(loop, &pipe->w);
	ev_timer_set(&pipe->rest_w, seconds, 0.);
	ev_timer_start(loop, &pipe->rest_w);
}

/* Every read wakes the writer, so they are large while that makes no more lines of one than a small
 * one may have, and while the stretch has room for it. */
static size_t
next_read(const struct output_pipe *pipe)
{
	size_t room = pipe->taken < OUTPUT_STRETCH_BYTES ? OUTPUT_STRETCH_BYTES - pipe->taken : 0;

	if (!pipe->long_lines || room < READ_BYTES)
		return READ_BYTES;
	return room < LARGE_BYTES ? room : LARGE_BYTES;
}

/* Once: a flood must not keep the others waiting. */
static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct output_pipe *pipe = w->data;
	ev_tstamp since = ev_now(loop) - pipe->begin;
	bool is_read;

	(void)revents;
	if (since < 0. || since >= OUTPUT_STRETCH_SECONDS) {
		pipe->begin = ev_now(loop);
		pipe->taken = 0;
		since = 0.;
	}
	pipe->short_lines = 0;
	is_read = read_some(pipe, next_read(pipe));
	pipe->long_lines = is_read && pipe->short_lines < READ_BYTES / OUTPUT_LINE_BYTES;
	if (is_read && pipe->taken >= OUTPUT_STRETCH_BYTES)
		rest(pipe, seconds_of(pipe->taken) - since);
}

void
output_pipe_init(struct output_pipe *pipe, struct output *output, enum output_stream stream, int fd)
{
	*pipe = (struct output_pipe){
		.output = output, .stream = stream, .fd = fd, .splitter = LOGPIPE_INIT};
	ev_io_init(&pipe->w, on_readable, fd, EV_READ);
	ev_set_priority(&pipe->w, EV_MINPRI); /* calls and deaths that came meanwhile go first */
	ev_timer_init(&pipe->rest_w, on_rested, 0., 0.);
	ev_set_priority(&pipe->rest_w, EV_MINPRI);
	pipe->w.data = pipe->rest_w.data = pipe;
}

plug_err
output_pipe_open(struct output_pipe *pipe, struct output *output, enum output_stream stream,
		 int *ret_theirs)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return PLUG_ESYS;
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) { /* theirs stays blocking */
		close(fds[0]);
		close(fds[1]);
		return PLUG_ESYS;
	}
	output_pipe_init(pipe, output, stream, fds[0]);
	*ret_theirs = fds[1];
	return PLUG_OK;
}

void
output_pipe_start(struct output_pipe *pipe, uint32_t generation, int64_t pid)
{
	pipe->generation = generation;
	pipe->pid = pid;
	ev_io_start(pipe->output->loop, &pipe->w);
}

/* What a dead process had printed.  Its pipe may hold a MiB, or somebody that it started may go on
 * writing to it: of lines of nothing that were a second of work. */
static void
drain(struct output_pipe *pipe)
{
	pipe->taken = 0;
	for (int i = 0; i < DRAIN_READS && pipe->taken < DRAIN_WORTH; i++)
		if (!read_some(pipe, DRAIN_BYTES))
			return;
}

void
output_pipe_close(struct output_pipe *pipe)
{
	if (pipe->fd < 0)
		return;
	drain(pipe);
	pipe->read_ms = clock_wall_ms();
	logpipe_flush(&pipe->splitter, on_line, pipe);
	logpipe_fini(&pipe->splitter);
	ev_io_stop(pipe->output->loop, &pipe->w);
	ev_timer_stop(pipe->output->loop, &pipe->rest_w);
	close(pipe->fd);
	pipe->fd = -1;
}
