/* May a second process of a plugin be started beside the first?  Pure. */
#ifndef PLUGD_ROOM_H
#define PLUGD_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROOM_TEXT_BYTES 128

struct room {
	uint64_t available; /* memory that can be had without swapping; 0: not known */
	uint64_t resident;  /* of the process that runs */
	uint64_t declared;  /* resources.memory_mb of the new one, in bytes; 0: not declared */
};

/*
 * The new process is taken to need what the old one has, or what its manifest declares if that is
 * more, and an eighth of it is left over.  What is not known forbids nothing.  `text` gets the
 * reason, for people.
 */
bool room_for_both(const struct room *room, char text[ROOM_TEXT_BYTES]);

#endif
