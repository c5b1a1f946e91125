/*
 * A manifest that is inside the file that is executed: in a section of an ELF program, or in the
 * comment at the head of a script.
 *
 * Nothing is executed, nothing of the file is trusted: every offset and length is checked against
 * the size of the file, and what is read is bounded, whatever the file says.  Pure; any thread.
 *
 * Both functions: *ret_text is malloc'ed, NUL behind its *ret_size bytes, and not validated.
 *
 * PLUG_ENOTFOUND  no manifest in it: it is something else, and no plugin
 * PLUG_EINVAL     it is damaged, or what marks the manifest is; `why` says what and where
 * PLUG_ETOOLARGE  the manifest is; `why` says so
 * PLUG_ESYS       the file could not be read; errno
 * PLUG_ENOMEM
 */
#ifndef PLUGD_EMBEDDED_H
#define PLUGD_EMBEDDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plug/error.h>

#define EMBEDDED_BYTES     (256u * 1024) /* of a manifest */
#define EMBEDDED_WHY_BYTES 256
#define EMBEDDED_SECTION   ".plug.manifest" /* as of PLUG_MANIFEST() */
#define EMBEDDED_BEGIN     "---plugin---"
#define EMBEDDED_END       "---end---"

/* A file that is read in pieces.  read: all of these bytes, which are inside `size`; false with
 * errno. */
struct embedded_file {
	uint64_t size;
	bool (*read)(void *context, uint64_t offset, void *buffer, size_t bytes);
	void *context;
};

/*
 * 32 and 64 bits, of either byte order, programs and position-independent ones.  The text is that
 * of the section without the NULs at its end.
 */
plug_err elf_manifest(const struct embedded_file *file, char **ret_text, size_t *ret_size,
		      char why[EMBEDDED_WHY_BYTES]);

/*
 * `text` is the beginning of a file, which may go on (`more`).  What is returned has each line of
 * the manifest where it is in the file, line and column: what is before and around it are empty
 * lines and spaces.
 */
plug_err script_manifest(const char *text, size_t size, bool more, char **ret_text,
			 size_t *ret_size, char why[EMBEDDED_WHY_BYTES]);

#endif
