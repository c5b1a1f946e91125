#include "os/logpipe.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 256

static void
hand_out(struct logpipe *pipe, const char *text, size_t length, bool continues,
	 logpipe_on_line on_line, void *context)
{
	pipe->in_pieces = continues;
	on_line(context, text, length, continues);
}

static void
let_go(struct logpipe *pipe)
{
	free(pipe->held);
	pipe->held = NULL;
	pipe->used = pipe->capacity = 0;
}

static bool
reserve(struct logpipe *pipe, size_t size)
{
	size_t capacity = pipe->capacity ? pipe->capacity : FIRST_BYTES;
	char *grown;

	while (capacity < size)
		capacity *= 2;
	if (capacity == pipe->capacity)
		return true;
	grown = realloc(pipe->held, capacity);
	if (!grown)
		return false;
	pipe->held = grown;
	pipe->capacity = (uint32_t)capacity;
	return true;
}

/* Out of memory splits the line here: nothing is lost. */
static void
hold(struct logpipe *pipe, const char *text, size_t length, logpipe_on_line on_line, void *context)
{
	if (!length)
		return;
	if (reserve(pipe, pipe->used + length)) {
		memcpy(pipe->held + pipe->used, text, length);
		pipe->used += (uint32_t)length;
		return;
	}
	if (pipe->used)
		hand_out(pipe, pipe->held, pipe->used, true, on_line, context);
	let_go(pipe);
	hand_out(pipe, text, length, true, on_line, context);
}

static size_t
without_cr(const char *text, size_t length)
{
	return length && text[length - 1] == '\r' ? length - 1 : length;
}

/* The rest of a line has come: `text` up to its LF. */
static void
complete(struct logpipe *pipe, const char *text, size_t length, logpipe_on_line on_line,
	 void *context)
{
	if (pipe->used) {
		hold(pipe, text, length, on_line, context);
		text = pipe->held;
		length = pipe->used;
	}
	hand_out(pipe, text, without_cr(text, length), false, on_line, context);
	let_go(pipe);
}

/* Hands out full pieces, so that what stays together with `held` is less than one. */
static void
cut(struct logpipe *pipe, const char **text, size_t *length, logpipe_on_line on_line, void *context)
{
	while (pipe->used + *length > LOGPIPE_LINE_BYTES) {
		size_t taken = LOGPIPE_LINE_BYTES - pipe->used;

		if (pipe->used) {
			hold(pipe, *text, taken, on_line, context);
			if (pipe->used)
				hand_out(pipe, pipe->held, pipe->used, true, on_line, context);
			let_go(pipe);
		} else {
			hand_out(pipe, *text, taken, true, on_line, context);
		}
		*text += taken;
		*length -= taken;
	}
}

void
logpipe_feed(struct logpipe *pipe, const void *data, size_t size, logpipe_on_line on_line,
	     void *context)
{
	const char *text = data;

	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t length = end ? (size_t)(end - text) : size;

		size -= length + (end != NULL);
		cut(pipe, &text, &length, on_line, context);
		if (!end) {
			hold(pipe, text, length, on_line, context);
			return;
		}
		complete(pipe, text, length, on_line, context);
		text = end + 1;
	}
}

void
logpipe_flush(struct logpipe *pipe, logpipe_on_line on_line, void *context)
{
	if (pipe->used || pipe->in_pieces)
		hand_out(pipe, pipe->held ? pipe->held : "", pipe->used, false, on_line, context);
	let_go(pipe);
}

void
logpipe_fini(struct logpipe *pipe)
{
	let_go(pipe);
	pipe->in_pieces = false;
}
