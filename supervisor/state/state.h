/*
 * plugd's state as it goes from one plugd to the next over an execve: state.proto, its versions,
 * and the descriptors that go with it.  Loop's thread only; nothing here logs.
 *
 * Each module writes what is its own into a message made with state_out_message(), and makes itself
 * anew from one.  Making anew has no effect outside plugd's memory before the new one takes over:
 * nothing is sent, written, killed, created or removed, so that the old one can still go on.
 *
 * A dry run is the same with descriptors that are not there: a new plugd proves by it that it
 * understands the state.
 */
#ifndef PLUGD_STATE_H
#define PLUGD_STATE_H

#include <plug/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "state.pb-c.h"

/* state.proto says when they are raised. */
#define STATE_VERSION 1
#define STATE_NEEDS   1

/* What is written, and the least that has to be known to read it. */
struct state_versions {
	uint32_t version, needs;
};

/* ---- writing ---- */

struct state_out {
	struct arena arena; /* of the messages; they point at what is alive besides */
	int *fds;
	size_t fd_count;
	bool failed; /* out of memory: state_seal() says so */
	_Alignas(16) unsigned char scratch[4096];
};

void state_out_init(struct state_out *out);
void state_out_fini(struct state_out *out);

/* A new message, never NULL: when memory is short, one that is thrown away. */
void *state_out_message(struct state_out *out, const ProtobufCMessageDescriptor *descriptor);

/* Append to a repeated field: its count, the address of its array, and the message or text. */
void state_out_append(struct state_out *out, size_t *count, void *items, void *item);

/* An array of numbers for a repeated field, zeroed; NULL when memory is short. */
void *state_out_array(struct state_out *out, size_t count, size_t bytes);

/* What is not changed: the packer only reads. */
static inline char *
state_out_text(const char *text)
{
	return (char *)(uintptr_t)(text ? text : "");
}

static inline ProtobufCBinaryData
state_out_bytes(const void *data, size_t size)
{
	return (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)data};
}

/* The descriptor is to be handed over; -1 is none. */
uint32_t state_out_fd(struct state_out *out, int fd);

/*
 * The whole as a sealed memfd, close-on-exec.  PLUG_ENOMEM, PLUG_ESYS: errno says why.
 */
plug_err state_seal(struct state_out *out, Plugd__Saved *saved,
		    const struct state_versions *versions, int *ret_fd);

/* ---- reading ---- */

/*
 * The state in `bytes`, whoever wrote them; its messages are the arena's.  On failure `why` says
 * what was found and what was expected.
 *
 * PLUG_EVERSION  it needs a version above `known`
 * PLUG_EPROTO    it is no state, or damaged
 * PLUG_ENOMEM
 */
plug_err state_decode(const void *bytes, size_t size, uint32_t known, struct arena *arena,
		      Plugd__Saved **ret, char *why, size_t why_size);

struct state_in {
	struct arena arena;
	Plugd__Saved *saved;
	int stand_in; /* of a dry run: every descriptor is a copy of it; else -1 */
	int *fds;     /* taken so far */
	size_t fd_count;
	bool failed;
	char why[640]; /* the first reason */
};

/* Read the memfd; see state_decode(), whose reason is in `in->why`.  state_in_fini() in any case.
 */
plug_err state_in_init(struct state_in *in, int memfd, uint32_t known, bool dry);
void state_in_fini(struct state_in *in);

/* It cannot be made anew; the first reason counts, and is a line of UTF-8 whatever it names. */
void state_in_fail(struct state_in *in, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The descriptor, the caller's from now on, or -1.  One that is not open is a failure. */
int state_in_fd(struct state_in *in, uint32_t saved);

/*
 * The index of the name in an enum of `count`, whose names `name_of` tells; a name that is not
 * there is a failure, and 0.
 */
unsigned state_in_name(struct state_in *in, const char *what, const char *name, unsigned count,
		       const char *(*name_of)(unsigned value));

/* An index into a table of `count`: -1 for none; one beyond it is a failure, and -1. */
int state_in_index(struct state_in *in, const char *what, uint32_t saved, size_t count);

/* Copies `size` bytes; another number of them is a failure. */
void state_in_copy(struct state_in *in, const char *what, void *to, size_t size,
		   const ProtobufCBinaryData *from);

/* It was taken over: what was handed over is close-on-exec again, and what nobody took is closed.
 */
void state_in_commit(struct state_in *in);

#endif
