/* Text that is safe to put into a protobuf string. */
#ifndef PLUGD_UTF8_H
#define PLUGD_UTF8_H

#include <stddef.h>

/*
 * Replace, in place, what is not valid UTF-8 (RFC 3629: no surrogates, nothing overlong, nothing
 * above U+10FFFF), and NUL, by '?', byte by byte.
 */
void utf8_clean(char *text, size_t length);

#endif
