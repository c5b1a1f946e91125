/*
 * Changes of files and folders, as inotify tells of them.  One thread at a time; nothing blocks.
 *
 * What is watched are directories: a file may be written in place, renamed over, removed and made
 * anew, or be reached through a symbolic link that is swapped.  So for a file these are the
 * directory that it is in, those that hold a symbolic link on its path, and the parents of both, by
 * the names that matter in them; where one is missing, the nearest that is there.  A change is only
 * a reason to look: what changed is for the owner to find out, when it has been quiet for a while.
 *
 * An ancestor further up that is renamed is not noticed.
 */
#ifndef PLUGD_WATCH_H
#define PLUGD_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <plug/error.h>

#include "os/reason.h"

enum watch_kind {
	WATCH_FILE, /* a file that is wanted, or a name on the way to it */
	WATCH_TREE, /* folders, or a name that is wanted in one, below a tree */
	WATCH_LOST, /* the kernel's queue was full: anything may have changed */
	WATCH_BUSY, /* a file that nobody knows is being written: wait with a look, if any */
};

struct watch_ops {
	void (*on_change)(void *user, enum watch_kind kind);
};

struct watch;

/* PLUG_ENOMEM.  PLUG_ESYS: there are no more inotify instances; `why` says so. */
plug_err watch_open(const struct watch_ops *ops, void *user, struct watch **ret,
		    struct reason *why);
void watch_close(struct watch *watch); /* NULL is allowed */

/* Readable when there is news; then watch_read() calls on_change, any number of times. */
int watch_fd(const struct watch *watch);
void watch_read(struct watch *watch);

/*
 * Say anew what is wanted: begin, any number of wants, end.  What was wanted before and is not any
 * more is forgotten at the end; what stays is not interrupted.
 */
void watch_begin(struct watch *watch);
void watch_want_file(struct watch *watch, const char *path);

/* Every folder below `path` but hidden ones and what is below a folder with a file `name`: folders
 * that come and go, files of this name, and where there is none of it, any file. */
void watch_want_tree(struct watch *watch, const char *path, const char *name);

/* Any file that comes, goes or was written in this folder, and in those directly below it. */
void watch_want_folder(struct watch *watch, const char *path);

/* The first reason why not all of it is watched, or false. */
bool watch_end(struct watch *watch, struct reason *why);

size_t watch_count(const struct watch *watch); /* directories */

#endif
