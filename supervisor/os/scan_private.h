/* Shared by scan.c (the walk) and scan_found.c (what it finds). */
#ifndef PLUGD_SCAN_PRIVATE_H
#define PLUGD_SCAN_PRIVATE_H

#include <sys/stat.h>

#include "os/scan.h"

/* Another item of an array whose room is doubled at every power of two.  False: no memory. */
bool scan_grow(void **items, size_t count, size_t item_size);

/* Takes `text`.  False: no memory. */
bool scan_add_plugin(struct scan *scan, const struct scan_plugin *plugin, const char *folder,
		     const char *name);

/* False: no memory.  With PLUG_ESYS errno is looked at. */
bool scan_report(struct scan *scan, const char *path, plug_err code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Folders that were visited, by device and inode.  All zero is none. */
struct scan_visited {
	struct scan_identity *table; /* open addressing; an inode of 0 is a free place */
	size_t size, count;
};

/* 1: the first time; 0: again; -1: no memory. */
int scan_visit(struct scan_visited *visited, const struct stat *info);

#endif
