#include "core/room.h"

#include <stdio.h>

#define MIB (1024. * 1024.)

bool
room_for_both(const struct room *room, char text[ROOM_TEXT_BYTES])
{
	uint64_t needed = room->resident > room->declared ? room->resident : room->declared;
	bool fits;

	if (!room->available) {
		snprintf(text, ROOM_TEXT_BYTES, "how much memory is available is not known");
		return true;
	}
	/* Without overflow: needed + needed / 8 <= available. */
	fits = needed <= room->available && needed / 8 <= room->available - needed;
	snprintf(text, ROOM_TEXT_BYTES, "%.0f MiB are available, %.0f MiB are needed%s",
		 (double)room->available / MIB, (double)needed / MIB,
		 fits ? "" : " and an eighth more");
	return fits;
}
