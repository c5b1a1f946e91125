#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/lull.h"
#include "plugin/output.h"

#define READ_BYTES  (4u * 1024)
#define LARGE_BYTES (16u * 1024) /* where lines are long: every read wakes the writer */
#define PIECE_BYTES 1024u        /* of a read, before others have their turn … */
#define PIECE_LONG  (4u * 1024)  /* … or, where lines are long, so much: some 20 us of work */
#define DRAIN_BYTES (64u * 1024) /* of a dead process's pipe, in one read … */
#define DRAIN_READS 64           /* … at most 4 MiB, … */
#define DRAIN_WORTH (16u * 1024 * 1024) /* … and of short lines what they count for */

static void
on_line(void *context, const char *text, size_t length, bool continues)
{
	struct output_pipe *pipe = context;

	if (length + 1 < OUTPUT_LINE_BYTES) {
		pipe->taken += OUTPUT_LINE_BYTES - length - 1;
		pipe->short_lines++;
	}
	output_put(pipe->output, (struct logring_line){
					 .time_ms = pipe->read_ms,
					 .pid = pipe->pid,
					 .generation = pipe->generation,
					 .stream = (uint8_t)pipe->stream,
					 .level = pipe->stream == OUTPUT_ERR ? 2 : 1,
					 .continues = continues,
					 .length = output_clipped(length),
					 .text = text,
				 });
}

static void
feed(struct output_pipe *pipe, const char *bytes, size_t size)
{
	logpipe_feed(&pipe->splitter, bytes, size, on_line, pipe);
}

/* A piece now; the rest when others have had their turn.  Without memory to keep it in, all now. */
static void
feed_first(struct output_pipe *pipe, const char *bytes, size_t size)
{
	size_t piece = pipe->long_lines ? PIECE_LONG : PIECE_BYTES;
	char *kept = size > piece ? malloc(size - piece) : NULL;

	if (kept) {
		memcpy(kept, bytes + piece, size - piece);
		pipe->kept = kept;
		pipe->kept_size = size - piece;
		pipe->kept_at = 0;
		size = piece;
	}
	feed(pipe, bytes, size);
}

static void
feed_kept(struct output_pipe *pipe, size_t most)
{
	size_t left = pipe->kept_size - pipe->kept_at, size = left < most ? left : most;

	feed(pipe, pipe->kept + pipe->kept_at, size);
	pipe->kept_at += size;
	if (size < left)
		return;
	free(pipe->kept);
	pipe->kept = NULL;
}

void
output_pipe_settle(struct output_pipe *pipe)
{
	if (pipe->kept)
		feed_kept(pipe, SIZE_MAX);
}

/* How much was read; 0: nothing for now; -1: nothing comes any more. */
static ssize_t
read_some(struct output_pipe *pipe, char *buffer, size_t most)
{
	ssize_t size = read(pipe->fd, buffer, most);

	if (size > 0) {
		/* once: asked for each line it is a tenth of all work */
		pipe->read_ms = clock_wall_ms();
		pipe->taken += (size_t)size;
		return size;
	}
	return size < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
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
	uint64_t ns = seconds > 0. ? (uint64_t)(seconds * 1e9) : 0;

	ev_io_stop(pipe->output->loop, &pipe->w);
	lull_await(pipe->output->lull, &pipe->task, clock_mono_ns() + ns);
}

/* A piece of what was read has been handed out. */
static void
go_on(struct output_pipe *pipe)
{
	struct ev_loop *loop = pipe->output->loop;
	ev_tstamp since = ev_now(loop) - pipe->begin;

	if (pipe->kept) {
		ev_io_stop(loop, &pipe->w);
		lull_await_rest(pipe->output->lull, &pipe->task);
		return;
	}
	pipe->long_lines = pipe->short_lines < READ_BYTES / OUTPUT_LINE_BYTES;
	if (pipe->taken >= OUTPUT_STRETCH_BYTES)
		rest(pipe, seconds_of(pipe->taken) - (since > 0. ? since : 0.)); /* clocks jump */
	else
		ev_io_start(loop, &pipe->w);
}

/* They are large while that makes no more lines of one than a small one may have, and while the
 * stretch has room for it. */
static size_t
next_read(const struct output_pipe *pipe)
{
	size_t room = pipe->taken < OUTPUT_STRETCH_BYTES ? OUTPUT_STRETCH_BYTES - pipe->taken : 0;

	if (!pipe->long_lines || room < READ_BYTES)
		return READ_BYTES;
	return room < LARGE_BYTES ? room : LARGE_BYTES;
}

/* One read: a flood must not keep the others waiting. */
static void
take(struct output_pipe *pipe)
{
	static char buffer[LARGE_BYTES]; /* one thread */
	ssize_t size;

	pipe->short_lines = 0;
	size = read_some(pipe, buffer, next_read(pipe));
	if (size > 0) {
		feed_first(pipe, buffer, (size_t)size);
		go_on(pipe);
		return;
	}
	pipe->long_lines = false;
	if (size < 0)
		ev_io_stop(pipe->output->loop, &pipe->w);
	else
		ev_io_start(pipe->output->loop, &pipe->w);
}

static void
begin_stretch(struct output_pipe *pipe)
{
	pipe->begin = ev_now(pipe->output->loop);
	pipe->taken = 0;
}

/* It has rested, or the others have had their turn.  (Of what an upgrade has settled meanwhile
 * nothing is kept: then the rest is not waited for.) */
static void
on_lull(struct lull_task *task)
{
	struct output_pipe *pipe = CONTAINER_OF(task, struct output_pipe, task);

	if (pipe->kept) {
		feed_kept(pipe, pipe->long_lines ? PIECE_LONG : PIECE_BYTES);
		go_on(pipe);
	} else {
		begin_stretch(pipe);
		take(pipe);
	}
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct output_pipe *pipe = w->data;
	ev_tstamp since = ev_now(loop) - pipe->begin;

	(void)revents;
	if (since < 0. || since >= OUTPUT_STRETCH_SECONDS)
		begin_stretch(pipe);
	/* The time that a whole stretch may wait, in proportion. */
	pipe->task.latest_ns = clock_mono_ns() + LULL_MOST_NS * next_read(pipe) / LARGE_BYTES;
	take(pipe);
}

void
output_pipe_init(struct output_pipe *pipe, struct output *output, enum output_stream stream, int fd)
{
	*pipe = (struct output_pipe){
		.output = output, .stream = stream, .fd = fd, .splitter = LOGPIPE_INIT};
	ev_io_init(&pipe->w, on_readable, fd, EV_READ);
	ev_set_priority(&pipe->w, EV_MINPRI); /* calls and deaths that came meanwhile go first */
	pipe->w.data = pipe;
	lull_task_init(&pipe->task, on_lull);
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
	static char buffer[DRAIN_BYTES]; /* one thread */
	ssize_t size;

	pipe->taken = 0;
	for (int i = 0; i < DRAIN_READS && pipe->taken < DRAIN_WORTH; i++) {
		size = read_some(pipe, buffer, sizeof(buffer));
		if (size <= 0)
			return;
		feed(pipe, buffer, (size_t)size);
	}
}

void
output_pipe_close(struct output_pipe *pipe)
{
	if (pipe->fd < 0)
		return;
	output_pipe_settle(pipe);
	drain(pipe);
	pipe->read_ms = clock_wall_ms();
	logpipe_flush(&pipe->splitter, on_line, pipe);
	logpipe_fini(&pipe->splitter);
	ev_io_stop(pipe->output->loop, &pipe->w);
	lull_cancel(&pipe->task);
	close(pipe->fd);
	pipe->fd = -1;
}
