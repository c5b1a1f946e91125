#include "plugin/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

#define DETAIL_BYTES 1024

void
events_init(struct events *events)
{
	*events = (struct events){0};
	list_init(&events->ring);
	list_init(&events->followers);
}

static void
drop_oldest(struct events *events)
{
	struct event *event = LIST_FIRST(&events->ring, struct event, node);

	list_remove(&event->node);
	events->count--;
	free(event);
}

void
events_fini(struct events *events)
{
	while (events->count)
		drop_oldest(events);
}

static enum log_level
level_of(const char *kind)
{
	static const char *const troubles[] = {
		"crashed",  "failed", "quarantined", "hung",   "killed", "stuck", "violation",
		"violated", "lost",   "suspended",   "traced", "poison", "denied"};

	for (size_t i = 0; i < ARRAY_SIZE(troubles); i++)
		if (!strcmp(kind, troubles[i]))
			return LOG_WARN;
	return LOG_INFO;
}

void
events_add(struct events *events, const char *plugin, const char *kind, uint32_t generation,
	   int64_t pid, const char *format, ...)
{
	char detail[DETAIL_BYTES];
	struct event *event;
	va_list ap;

	va_start(ap, format);
	vsnprintf(detail, sizeof(detail), format, ap);
	va_end(ap);
	utf8_clean(detail, strlen(detail));
	log_line(level_of(kind), plugin, pid, "%s%s%s", kind, *detail ? ": " : "", detail);

	event = malloc(sizeof(*event) + strlen(detail) + 1);
	if (!event)
		return; /* it is in the log */
	event->seq = ++events->last_seq;
	event->time_ms = clock_wall_ms();
	snprintf(event->plugin, sizeof(event->plugin), "%s", plugin ? plugin : "");
	snprintf(event->kind, sizeof(event->kind), "%s", kind);
	event->generation = generation;
	event->pid = pid;
	strcpy(event->detail, detail);
	list_append(&events->ring, &event->node);
	if (++events->count > EVENTS_KEPT)
		drop_oldest(events);
	LIST_FOREACH_SAFE (follower, &events->followers, struct events_follower, node)
		follower->on_event(follower, event);
}

void
events_follow(struct events *events, struct events_follower *follower)
{
	list_append(&events->followers, &follower->node);
}

void
events_unfollow(struct events_follower *follower)
{
	list_remove(&follower->node);
}
