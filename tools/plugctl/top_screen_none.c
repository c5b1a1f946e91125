/* Built where ncurses was not found. */
#include "top.h"

int
top_screen(struct ctl *ctl, struct top_view view, uint64_t every_ms, bool colors)
{
	(void)view;
	(void)every_ms;
	(void)colors;
	return ctl_fail(
		ctl, PLUG_ESTATE, NULL,
		"this plugctl was built without ncurses (libncurses-dev) and has no screen; "
		"use plugctl top --count N, or plugctl list --watch");
}
