/*
 * What the tests of sockets share: a directory of their own, a loop that runs until something is
 * true, and the far end of an nng wire spoken byte by byte.  Everything fails the test itself.
 */
#ifndef WIRE_SUPPORT_H
#define WIRE_SUPPORT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_GREETING_BYTES 8
#define WIRE_HEAD_BYTES     13 /* 1, length, hops */

extern const uint8_t wire_greeting[WIRE_GREETING_BYTES];

/* A new directory; `wire_path` is a path in it that does not exist.  For setup and teardown. */
int wire_setup(void **state);
int wire_teardown(void **state);
extern char wire_path[108];
extern struct ev_loop *wire_loop;

/* Run the loop until done(context); fails after 20 s of nothing. */
void wire_run_until(bool (*done)(void *context), void *context);

/* Handle what is there now, without waiting. */
void wire_run_pending(void);

/* Open descriptors of this process. */
int wire_count_fds(void);

/* Connect to wire_path; `type` is SOCK_STREAM or SOCK_SEQPACKET; does not block. */
int wire_dial(int type);

/* Send all of it, running the loop while the socket is full. */
void wire_send(int fd, const void *bytes, size_t size);

/* A frame around `body` into `out` of size + WIRE_HEAD_BYTES; returns its size. */
size_t wire_frame(const void *body, size_t size, uint8_t *out);

/* Run the loop until something, or the end, can be received. */
void wire_wait_readable(int fd);

/* Receive exactly `size` bytes while the loop runs. */
void wire_expect(int fd, void *bytes, size_t size);

/* Receive plugd's greeting; then its end. */
void wire_expect_greeting(int fd);
void wire_expect_end(int fd);

/* Nothing but silence is there after everything pending was handled. */
void wire_expect_silence(int fd);

#endif
