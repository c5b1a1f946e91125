#include "plugin.h"

void
chaos_begin(void)
{
}
