/*
 * A channel's calls are used again and again, with the memory that their records lie in: the short
 * path allocates nothing.  The holder has a list of its own; other threads give back to another.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "state.h"

static uint8_t *
inside(struct plug_call *call)
{
	return (uint8_t *)(call + 1);
}

static struct plug_call *
new_spare(struct plug_plugin *plugin)
{
	struct plug_call *call = malloc(sizeof(*call) + PLANE_RECORD_BYTES);

	if (!call)
		return NULL;
	memset(call, 0, sizeof(*call));
	call->plugin = plugin;
	call->record = inside(call);
	call->record_bytes = PLANE_RECORD_BYTES;
	clock_cond_init(&call->wake);
	return call;
}

static void
free_spare(struct plug_call *call)
{
	if (call->record != inside(call))
		free(call->record);
	pthread_cond_destroy(&call->wake);
	free(call);
}

static bool
enlarge(struct plug_call *call)
{
	uint8_t *record = malloc(PLUG_RECORD_BYTES_MAX + 1);

	if (!record)
		return false;
	call->record = record; /* the one inside stays unused */
	call->record_bytes = PLUG_RECORD_BYTES_MAX + 1;
	return true;
}

/* What other threads gave back becomes the holder's. */
static void
collect(struct plane *plane)
{
	struct plug_call *call;

	pthread_mutex_lock(&plane->spare_lock);
	call = plane->given;
	plane->given = NULL;
	pthread_mutex_unlock(&plane->spare_lock);
	while (call) {
		struct plug_call *next = call->spare_next;

		plugp_spare_put(plane, call);
		call = next;
	}
}

struct plug_call *
plugp_spare_take(struct plug_plugin *plugin, size_t size)
{
	struct plane *plane = &plugin->plane;
	struct plug_call *call;

	if (!plane->spares)
		collect(plane);
	call = plane->spares;
	if (call) {
		plane->spares = call->spare_next;
		plane->spare_count--;
	} else {
		call = new_spare(plugin);
	}
	if (call && size >= call->record_bytes && !enlarge(call)) {
		plugp_spare_put(plane, call);
		return NULL;
	}
	return call;
}

void
plugp_spare_put(struct plane *plane, struct plug_call *call)
{
	if (plane->spare_count >= PLANE_SPARES) {
		free_spare(call);
		return;
	}
	call->spare_next = plane->spares;
	plane->spares = call;
	plane->spare_count++;
}

void
plugp_spare_give(struct plane *plane, struct plug_call *call)
{
	pthread_mutex_lock(&plane->spare_lock);
	call->spare_next = plane->given;
	plane->given = call;
	pthread_mutex_unlock(&plane->spare_lock);
}

void
plugp_spares_fini(struct plane *plane)
{
	struct plug_call *call;

	collect(plane);
	while ((call = plane->spares) != NULL) {
		plane->spares = call->spare_next;
		plane->spare_count--;
		free_spare(call);
	}
}
