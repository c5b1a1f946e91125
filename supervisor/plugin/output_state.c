/* Captured output over an upgrade of plugd. */
#include <string.h>

#include "plugin/saved.h"

/* ---- pipes ---- */

Plugd__SavedPipe *
output_pipe_save(struct output_pipe *pipe, struct state_out *out)
{
	Plugd__SavedPipe *saved = state_out_message(out, &plugd__saved_pipe__descriptor);

	output_pipe_settle(pipe);
	saved->fd = state_out_fd(out, pipe->fd);
	saved->held = state_out_bytes(pipe->splitter.held, pipe->splitter.used);
	saved->in_pieces = pipe->splitter.in_pieces;
	return saved;
}

static void
no_line(void *context, const char *text, size_t length, bool continues)
{
	(void)text;
	(void)length;
	(void)continues;
	state_in_fail(context, "a line of output that is not the beginning of one");
}

void
output_pipe_restore(struct output_pipe *pipe, struct instance *instance, enum output_stream stream,
		    const Plugd__SavedPipe *saved, struct state_in *in)
{
	int fd = saved ? state_in_fd(in, saved->fd) : -1;

	output_pipe_init(pipe, &instance->plugin->output, stream, fd);
	if (fd < 0)
		return;
	if (saved->held.len)
		logpipe_feed(&pipe->splitter, saved->held.data, saved->held.len, no_line, in);
	pipe->splitter.in_pieces = saved->in_pieces;
	output_pipe_start(pipe, instance->generation, instance->pid);
}

/* ---- what was said ---- */

/* See state.proto. */
struct line_head {
	uint64_t time_ms;
	int64_t pid;
	uint32_t generation, length;
	uint8_t stream, level, continues, zero;
} __attribute__((packed));

static size_t
bytes_of(const struct logring *ring)
{
	struct logring_cursor cursor = {0};
	struct logring_line line;
	size_t bytes = 0;

	while (logring_next(ring, &cursor, &line))
		bytes += sizeof(struct line_head) + line.length;
	return bytes;
}

static size_t
put_line(uint8_t *at, const struct logring_line *line)
{
	const struct line_head head = {
		.time_ms = line->time_ms,
		.pid = line->pid,
		.generation = line->generation,
		.length = line->length,
		.stream = line->stream,
		.level = line->level,
		.continues = line->continues,
	};

	memcpy(at, &head, sizeof(head));
	if (line->length)
		memcpy(at + sizeof(head), line->text, line->length);
	return sizeof(head) + line->length;
}

static ProtobufCBinaryData
save_lines(const struct logring *ring, struct state_out *out)
{
	struct logring_cursor cursor = {0};
	struct logring_line line;
	size_t used = 0;
	uint8_t *bytes = state_out_array(out, bytes_of(ring), 1);

	while (bytes && logring_next(ring, &cursor, &line))
		used += put_line(bytes + used, &line);
	return state_out_bytes(bytes, used);
}

Plugd__SavedOutput *
output_save(struct output *output, struct state_out *out)
{
	Plugd__SavedOutput *saved = state_out_message(out, &plugd__saved_output__descriptor);

	logfile_reopen(&output->file); /* what is collected is written */
	saved->first_seq = output->ring.first_seq;
	saved->lost = output->ring.lost;
	saved->count = output->lines;
	saved->file_dropped = output->file.dropped;
	saved->file_announced = output->file.announced;
	saved->lines = save_lines(&output->ring, out);
	return saved;
}

/* The bytes that one line has taken; 0: it is not whole. */
static size_t
take_line(struct logring *ring, const uint8_t *at, size_t left)
{
	struct line_head head;
	struct logring_line line;

	if (left < sizeof(head))
		return 0;
	memcpy(&head, at, sizeof(head));
	if (head.length > left - sizeof(head))
		return 0;
	line = (struct logring_line){
		.time_ms = head.time_ms,
		.pid = head.pid,
		.generation = head.generation,
		.stream = head.stream,
		.level = head.level,
		.continues = head.continues,
		.length = head.length,
		.text = (const char *)at + sizeof(head),
	};
	logring_append(ring, &line);
	return sizeof(head) + head.length;
}

void
output_restore(struct output *output, const Plugd__SavedOutput *saved, struct state_in *in)
{
	if (!saved) {
		state_in_fail(in, "a plugin without output");
		return;
	}
	output->ring.first_seq = output->ring.next_seq = saved->first_seq;
	for (size_t at = 0, taken; at < saved->lines.len; at += taken) {
		taken = take_line(&output->ring, saved->lines.data + at, saved->lines.len - at);
		if (!taken) {
			state_in_fail(in, "a line of output that is cut off");
			return;
		}
	}
	output->ring.lost += saved->lost;
	output->lines = saved->count;
	output->file.dropped = saved->file_dropped;
	output->file.announced = saved->file_announced;
}
