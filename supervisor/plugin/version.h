/*
 * What a process is started from: a spec, and the program that was opened for it.  Shared by the
 * slots and processes that use it; immutable, but for the values of its configuration.  Loop's
 * thread only.
 *
 * A program is executed by its descriptor: what was opened is what runs, also when another file has
 * taken its path meanwhile.  A script cannot be (its interpreter opens it by a name, and it would
 * not find its neighbours); it is executed by its path as long as that still leads to the file that
 * was opened, and by /dev/fd/N afterwards.
 */
#ifndef PLUGD_VERSION_H
#define PLUGD_VERSION_H

#include <sys/types.h>

#include "plugin/spec.h"

/* Two that are equal are the same file with the same content. */
struct version_file {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
};

struct version {
	struct spec *spec;
	int program_fd; /* -1: the program could not be opened; executing its path will tell why */
	bool is_script;
	struct version_file file;
	uint64_t digest; /* as of version_digest() */
	unsigned refs;
};

/* Opens spec->program.  Keeps a reference of its own to `spec`.  NULL when memory is short. */
struct version *version_new(struct spec *spec);

/* The same program with another spec.  NULL when memory or descriptors are short. */
struct version *version_with(const struct version *version, struct spec *spec);

/* New values, for all who share it: `spec` is of the same manifest. */
void version_set_spec(struct version *version, struct spec *spec);

struct version *version_ref(struct version *version);
void version_unref(struct version *version); /* NULL is allowed */

/*
 * Of a spec's texts and of the files that it executes, as they are on disk now: the program, and
 * arguments that are files.  Another one means another version.  0: the program is not there.
 */
uint64_t version_digest(const struct spec *spec, uint64_t fingerprint);

/* Call for every file of these. */
void version_each_file(const struct spec *spec, void (*file)(void *context, const char *path),
		       void *context);

/* Does its program's path lead to what was opened? */
bool version_is_on_disk(const struct version *version);

#endif
