/*
 * Is a process well?  What is seen of it, told apart, and what its manifest wants done about it.
 * Pure.
 *
 * Suspicion comes when it has given no sign of life for a while; whoever is under suspicion gets no
 * new calls and is sent a PING.  Only when a PING is not answered in time is it hung.  A process
 * that is stopped, or in the hands of a debugger, cannot answer, and is no hung one.
 */
#ifndef PLUGD_HANG_H
#define PLUGD_HANG_H

#include <stdbool.h>
#include <stdint.h>

/* X(symbol, the word that plugctl shows of a process that would be ready, the kind of event) */
#define HANG_KIND_MAP(X)                       \
	X(WELL, "ready", "recovered")          \
	X(SUSPECT, "ready", "")                \
	X(SILENT, "hung", "hung")              \
	X(SUSPENDED, "suspended", "suspended") \
	X(TRACED, "traced", "traced")

#define HANG_ENUM(symbol, word, event) HANG_##symbol,
enum hang_kind { HANG_KIND_MAP(HANG_ENUM) HANG_KIND_COUNT };

/* The words of manifest.yaml's `hang`. */
enum hang_call { HANG_CALL_REPORT, HANG_CALL_KILL };
enum hang_ping { HANG_PING_KILL, HANG_PING_REPORT };
enum hang_stopped { HANG_STOPPED_CONTINUE, HANG_STOPPED_WAIT, HANG_STOPPED_KILL };
enum hang_traced { HANG_TRACED_WAIT, HANG_TRACED_KILL };

struct hang_policy {
	int call, ping, stopped, traced; /* of the enums above */
	uint64_t grace_ms;               /* of a handler, past its call's deadline */
	uint64_t ping_timeout_ms;
};

struct hang_signs {
	bool has_vitals;
	uint64_t quiet_ms;  /* since the last sign of life */
	bool pinged;        /* a PING is unanswered */
	uint64_t pinged_ms; /* for so long */
	char state;         /* of proc(5); read only when hang_is_quiet() */
	bool traced;        /* a debugger or tracer has it, or valgrind runs it */
};

/* Long enough to look closer. */
bool hang_is_quiet(const struct hang_signs *signs);

enum hang_kind hang_judge(const struct hang_signs *signs, const struct hang_policy *policy);

/* What is to be done about a process that has been of this kind for `kind_ms`. */
enum hang_action { HANG_LEAVE, HANG_CONTINUE, HANG_KILL };
enum hang_action hang_decide(enum hang_kind kind, uint64_t kind_ms, bool continued,
			     const struct hang_policy *policy);

/* Static memory. */
const char *hang_word(enum hang_kind kind);
const char *hang_event(enum hang_kind kind);

#endif
