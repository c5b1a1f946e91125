/* Names of functions, from the symbol tables of an ELF file of 64 bits.  The file may be anything.
 */
#ifndef PLUGCTL_SYMBOLS_H
#define PLUGCTL_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYMBOL_BYTES 128

/*
 * "name+0x1f" for the function at `offset`, as the file counts its addresses.  False when it has no
 * name there, cannot be read, or has been changed since `since_ms` (of the epoch): it is not what
 * ran then.
 */
bool symbols_find(const char *path, uint64_t offset, uint64_t since_ms, char text[SYMBOL_BYTES]);

#endif
