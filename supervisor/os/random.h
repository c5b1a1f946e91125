/* Random bytes of the kernel, for names and tokens.  Any thread. */
#ifndef PLUGD_RANDOM_H
#define PLUGD_RANDOM_H

#include <stddef.h>

#include <plug/error.h>

/* PLUG_ESYS: errno says why; nothing of `bytes` may be used then. */
plug_err random_bytes(void *bytes, size_t size);

/* `digits` lower-case hex digits and a NUL. */
plug_err random_hex(char *text, size_t digits);

/* 2 * size digits and a NUL. */
void hex_encode(char *text, const void *bytes, size_t size);

#endif
