#include <stdlib.h>

#include "../fuzz/hostile.h"
#include "plugin.h"

void
chaos_begin(void)
{
	const char *seed = getenv("CHAOS_HOSTILE");

	hostile_start(seed ? strtoull(seed, NULL, 0) : 1);
}
