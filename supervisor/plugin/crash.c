#include "plugin/crash.h"

#include <stdlib.h>

void
crashes_init(struct crashes *crashes)
{
	list_init(&crashes->list);
	crashes->count = 0;
}

static void
drop_oldest(struct crashes *crashes)
{
	struct crash *crash = LIST_FIRST(&crashes->list, struct crash, node);

	for (size_t i = 0; i < crash->log_count; i++)
		free(crash->log[i]);
	free(crash->trace);
	list_remove(&crash->node);
	crashes->count--;
	free(crash);
}

void
crashes_fini(struct crashes *crashes)
{
	while (crashes->count)
		drop_oldest(crashes);
}

struct crash *
crashes_add(struct crashes *crashes)
{
	struct crash *crash = calloc(1, sizeof(*crash));

	if (!crash)
		return NULL;
	list_append(&crashes->list, &crash->node);
	if (++crashes->count > CRASHES_KEPT)
		drop_oldest(crashes);
	return crash;
}
