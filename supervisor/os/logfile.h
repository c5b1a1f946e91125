/*
 * A log file with rotation: NAME.log, NAME.log.1 (younger) … NAME.log.N.
 *
 * Lines are collected and written by logfile_flush(), once a loop iteration.  Nothing here fails
 * the caller: what cannot be written is dropped and counted, and the next flush tries again; when
 * one succeeds, a line in the file says how many are missing and why.  Regular files do not report
 * "would block": a flush takes as long as the disk's cache does.  The file is opened at the first
 * line, 0600.  One thread.
 */
#ifndef PLUGD_LOGFILE_H
#define PLUGD_LOGFILE_H

#include <stddef.h>
#include <stdint.h>

#define LOGFILE_BUFFER_BYTES (16u * 1024) /* collected at most before a flush is made at once */

struct logfile {
	int dir_fd; /* the caller's; has to outlive this */
	int fd;
	char name[128]; /* "NAME.log" */
	uint64_t size, max_bytes;
	unsigned files; /* rotated ones kept */
	char *buffer;
	size_t used, capacity;
	uint64_t dropped;   /* lines since the start */
	uint64_t announced; /* of these, told in the file */
	int error;          /* errno of the last failure; 0 when the last flush succeeded */
};

/* `name` without a slash.  max_bytes 0: no rotation.  files 0: the full file is truncated. */
void logfile_init(struct logfile *file, int dir_fd, const char *name, uint64_t max_bytes,
		  unsigned files);

/* Flushes and closes. */
void logfile_fini(struct logfile *file);

/* One formatted line, without its LF. */
void logfile_append(struct logfile *file, const char *line, size_t length);

void logfile_flush(struct logfile *file);

/* Open it anew at the next line: someone else may have moved it (SIGHUP). */
void logfile_reopen(struct logfile *file);

#endif
