/* Where the plugin listens: numeric addresses only, so that nobody's name server decides it. */
#ifndef METRICS_LISTEN_H
#define METRICS_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#define LISTEN_TEXT_BYTES 64
#define LISTEN_WHY_BYTES  256

/*
 * A socket that listens at "127.0.0.1:9464" or "[::1]:9464"; the caller's, closed on exec.
 * -1 after the reason, and what to do, was written to `why`.
 */
int listen_open(const char *text, char why[LISTEN_WHY_BYTES]);

/* Where the socket listens, with the port that it got. */
void listen_text(int fd, char text[LISTEN_TEXT_BYTES]);

/* Can only this machine connect to it? */
bool listen_is_loopback(int fd);

#endif
