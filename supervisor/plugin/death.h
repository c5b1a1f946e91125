/* The end of a process, as it is told: in events, and as a crash report.  Loop's thread only. */
#ifndef PLUGD_DEATH_H
#define PLUGD_DEATH_H

#include "plugin/crash.h"
#include "plugin/plugin.h"

/* "segmentation fault (SIGSEGV)", "hung: no sign of life for 9000 ms (SIGKILL)" … */
void death_text(const struct instance *in, char *text, size_t size);

/* What it executes now, for the report: before its calls are ended, or moved to another process.
 * The first time counts. */
void death_note_calls(struct instance *in);

/* May what it executes be the reason that it dies?  Never after a signal that somebody else sent.
 * Before its end that is a guess: its own word, or that it is being killed because it hung. */
bool death_may_be_by_request(const struct instance *in);
/* After its end: a fault signal that its own fault raised, as it said itself; out of memory; hung.
 */
bool death_is_by_request(const struct instance *in);
/* And is it known which?  It was killed for the handlers that hung, and not for what went on beside
 * them. */
bool death_is_by_handlers(const struct instance *in);

/* An end that nobody asked for, whose calls have been noted: the event, and a new entry of the
 * plugin's crashes, which is returned; NULL when memory is short. */
struct crash *death_report(struct instance *in, const char *reason);

#endif
