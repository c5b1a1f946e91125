#include "plugin/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"

#define FLUSH_SECONDS 0.2
#define READ_BYTES    (64u * 1024)
#define DRAIN_READS   64 /* of a dead process's pipe: at most 4 MiB */

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

static void
append_to_file(struct output *output, const struct logring_line *line)
{
	char text[LOGRING_LINE_BYTES + 128];
	time_t seconds = (time_t)(line->time_ms / 1000);
	struct tm utc;
	size_t used;

	gmtime_r(&seconds, &utc);
	used = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	used += (size_t)snprintf(text + used, sizeof(text) - used, ".%03uZ %lld/%u %s %.*s%s",
				 (unsigned)(line->time_ms % 1000), (long long)line->pid,
				 line->generation, output_stream_name(line->stream),
				 (int)line->length, line->text, line->continues ? "\\" : "");
	logfile_append(&output->file, text, used < sizeof(text) ? used : sizeof(text) - 1);
	if (!ev_is_active(&output->flush_w)) {
		ev_timer_set(&output->flush_w, FLUSH_SECONDS, 0.);
		ev_timer_start(output->loop, &output->flush_w);
	}
}

void
output_line(struct output *output, enum output_stream stream, unsigned level, uint32_t generation,
	    int64_t pid, const char *text, size_t length, bool continues)
{
	static char clean[LOGRING_LINE_BYTES]; /* one thread */
	struct logring_line line = {
		.time_ms = clock_wall_ms(),
		.pid = pid,
		.generation = generation,
		.stream = (uint8_t)stream,
		.level = (uint8_t)level,
		.continues = continues,
		.length = (uint32_t)(length < LOGRING_LINE_BYTES ? length : LOGRING_LINE_BYTES),
		.text = clean,
	};

	memcpy(clean, text, line.length);
	utf8_clean(clean, line.length);
	output->lines++;
	line.seq = logring_append(&output->ring, &line);
	if (output->to_file)
		append_to_file(output, &line);
	LIST_FOREACH_SAFE (follower, &output->followers, struct output_follower, node)
		follower->on_line(follower, &line);
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

	output_line(pipe->output, pipe->stream, pipe->stream == OUTPUT_ERR ? 2 : 1,
		    pipe->generation, pipe->pid, text, length, continues);
}

/* False when there is no more for now, or for ever. */
static bool
read_some(struct output_pipe *pipe)
{
	static char buffer[READ_BYTES]; /* one thread */
	ssize_t size = read(pipe->fd, buffer, sizeof(buffer));

	if (size > 0) {
		logpipe_feed(&pipe->splitter, buffer, (size_t)size, on_line, pipe);
		return true;
	}
	if (size == 0 || (errno != EAGAIN && errno != EINTR))
		ev_io_stop(pipe->output->loop,
			   &pipe->w); /* closed on the other side: nothing comes any more */
	return false;
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	read_some(w->data); /* once: a flood must not keep the others waiting */
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
	*pipe = (struct output_pipe){
		.output = output, .stream = stream, .fd = fds[0], .splitter = LOGPIPE_INIT};
	ev_io_init(&pipe->w, on_readable, fds[0], EV_READ);
	pipe->w.data = pipe;
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

void
output_pipe_close(struct output_pipe *pipe)
{
	if (pipe->fd < 0)
		return;
	for (int i = 0; i < DRAIN_READS && read_some(pipe); i++)
		;
	logpipe_flush(&pipe->splitter, on_line, pipe);
	logpipe_fini(&pipe->splitter);
	ev_io_stop(pipe->output->loop, &pipe->w);
	close(pipe->fd);
	pipe->fd = -1;
}
