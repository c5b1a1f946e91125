#include "core/hang.h"

#define TICK_STALL_MS 3000  /* of a process that writes its vitals */
#define SILENCE_MS    10000 /* of one that does not */

bool
hang_is_quiet(const struct hang_signs *signs)
{
	return signs->quiet_ms >= (signs->has_vitals ? TICK_STALL_MS : SILENCE_MS);
}

enum hang_kind
hang_judge(const struct hang_signs *signs, const struct hang_policy *policy)
{
	if (!hang_is_quiet(signs))
		return HANG_WELL;
	if (signs->traced || signs->state == 't')
		return HANG_TRACED;
	if (signs->state == 'T')
		return HANG_SUSPENDED;
	return signs->pinged && signs->pinged_ms >= policy->ping_timeout_ms ? HANG_SILENT
									    : HANG_SUSPECT;
}

static enum hang_action
about_stopped(uint64_t kind_ms, bool continued, const struct hang_policy *policy)
{
	if (policy->stopped == HANG_STOPPED_WAIT)
		return HANG_LEAVE;
	if (policy->stopped == HANG_STOPPED_CONTINUE && !continued)
		return HANG_CONTINUE;
	return kind_ms >= policy->ping_timeout_ms ? HANG_KILL : HANG_LEAVE;
}

enum hang_action
hang_decide(enum hang_kind kind, uint64_t kind_ms, bool continued, const struct hang_policy *policy)
{
	switch (kind) {
	case HANG_SILENT:
		return policy->ping == HANG_PING_KILL ? HANG_KILL : HANG_LEAVE;
	case HANG_SUSPENDED:
		return about_stopped(kind_ms, continued, policy);
	case HANG_TRACED:
		return policy->traced == HANG_TRACED_KILL && kind_ms >= policy->ping_timeout_ms
			       ? HANG_KILL
			       : HANG_LEAVE;
	default:
		return HANG_LEAVE;
	}
}

#define HANG_WORD(symbol, word, event)  word,
#define HANG_EVENT(symbol, word, event) event,

const char *
hang_word(enum hang_kind kind)
{
	static const char *const words[] = {HANG_KIND_MAP(HANG_WORD)};

	return words[kind];
}

const char *
hang_event(enum hang_kind kind)
{
	static const char *const events[] = {HANG_KIND_MAP(HANG_EVENT)};

	return events[kind];
}
