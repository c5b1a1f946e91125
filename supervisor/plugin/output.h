/*
 * What a plugin says: its stdout, its stderr and its LOG messages, in one ring and one rotated
 * file, and to those who follow.  Loop's thread only.
 */
#ifndef PLUGD_OUTPUT_H
#define PLUGD_OUTPUT_H

#include <ev.h>
#include <plug/error.h>
#include <stdint.h>

#include "base/list.h"
#include "os/logfile.h"
#include "os/logpipe.h"
#include "os/logring.h"
#include "plugin/lull.h"

enum output_stream { OUTPUT_OUT, OUTPUT_ERR, OUTPUT_LOG, OUTPUT_PLUGD };

struct output_follower {
	struct list node;
	void (*on_line)(struct output_follower *follower, const struct logring_line *line);
};

/* One a plugin; outlives its processes. */
struct output {
	struct ev_loop *loop;
	struct lull *lull;
	struct logring ring;
	struct logfile file;
	bool to_file;
	ev_timer flush_w;
	struct list followers;
	uint64_t lines;
	struct output_head {
		uint64_t time_ms;
		int64_t pid;
		uint32_t generation;
		uint8_t stream;
		uint8_t length; /* 0: none */
		char text[80];
	} head; /* of the last line in the file: floods have many that begin alike */
};

/* dir_fd -1: no file.  `name` is the plugin's. */
void output_init(struct output *output, struct lull *lull, int dir_fd, const char *name,
		 size_t ring_bytes, uint64_t file_bytes, unsigned files);
void output_fini(struct output *output);

/* Copies the text; what is not UTF-8 in it is kept as '?'. */
void output_line(struct output *output, enum output_stream stream, unsigned level,
		 uint32_t generation, int64_t pid, const char *text, size_t length, bool continues);

/* The same of a line of which more is known; its text is at most output_clipped() long. */
void output_put(struct output *output, struct logring_line line);
uint32_t output_clipped(size_t length);

void output_follow(struct output *output, struct output_follower *follower);
void output_unfollow(struct output_follower *follower);

const char *output_stream_name(unsigned stream); /* "out" "err" "log" "plugd" */

/* One captured pipe of one process.  What is printed faster than OUTPUT_STRETCH_BYTES in
 * OUTPUT_STRETCH_SECONDS waits in the pipe, and then its writer does: a flood costs the machine no
 * more than that.  A shorter line counts as OUTPUT_LINE_BYTES, for it is as much work. */
#define OUTPUT_STRETCH_BYTES   (16u * 1024)
#define OUTPUT_LINE_BYTES      100u
#define OUTPUT_STRETCH_SECONDS 0.001

struct output_pipe {
	struct output *output;
	enum output_stream stream;
	uint32_t generation;
	int64_t pid;
	int fd;
	ev_io w;
	struct lull_task task; /* while it rests, or something is kept */
	char *kept;            /* read and not handed out yet: others have their turn; or NULL */
	size_t kept_at, kept_size;
	ev_tstamp begin;      /* of the stretch in which */
	size_t taken;         /* so many bytes were read, as they count */
	unsigned short_lines; /* in the last read */
	bool long_lines;      /* there were few of them: the next may be large */
	uint64_t read_ms;     /* when what is handed out was read */
	struct logpipe splitter;
};

/* Our end of one is `fd`; -1: none. */
void output_pipe_init(struct output_pipe *pipe, struct output *output, enum output_stream stream,
		      int fd);
/* Makes the pipe; *ret_theirs, the end for the child, is the caller's to close after the spawn.
 * PLUG_ESYS */
plug_err output_pipe_open(struct output_pipe *pipe, struct output *output,
			  enum output_stream stream, int *ret_theirs);
/* The process exists: lines carry its pid from now on. */
void output_pipe_start(struct output_pipe *pipe, uint32_t generation, int64_t pid);
/* Hands out what has been read. */
void output_pipe_settle(struct output_pipe *pipe);
/* Takes what is still in the pipe, without blocking, and closes it.  Safe when it was never opened
 * (fd -1). */
void output_pipe_close(struct output_pipe *pipe);

#endif
