/*
 * The two state machines of plugd, as data.
 *
 * Generations overlap, so a process and the slot that it fills have a table each: (state, event) ->
 * (next state, effects).  Pure: no I/O, no clock, no allocation.  Effects are bits that plugin.c
 * and instance.c perform. docs/lifecycle.md is generated from these tables.
 *
 * A cell that the table leaves out is illegal: lc_process_step() and lc_slot_step() return false
 * and change nothing.
 */
#ifndef PLUGD_LIFECYCLE_H
#define PLUGD_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* ---- one process ---- */

/* X(symbol, word that plugctl shows, meaning) */
#define LC_PROCESS_STATE_MAP(X)                                                                 \
	X(STARTING, "starting", "spawned; HELLO and READY have not come yet")                   \
	X(READY, "ready", "takes calls")                                                        \
	X(DRAINING, "draining", "takes no new calls; those in flight go on")                    \
	X(STOPPING, "stopping", "was told STOP, or said FAILED; is expected to exit by itself") \
	X(TERMINATING, "stopping", "was sent SIGTERM")                                          \
	X(KILLING, "stopping", "was sent SIGKILL, with its whole tree")                         \
	X(STUCK, "stuck", "SIGKILL did not end it: blocked in the kernel; nothing replaces it") \
	X(GONE, "gone", "exited and reaped")

#define LC_PROCESS_EVENT_MAP(X)                                                        \
	X(READY, "the plugin said READY")                                              \
	X(FAILED, "the plugin said FAILED, or its HELLO was refused")                  \
	X(STOP, "an operator, a restart or plugd's shutdown wants it to end in order") \
	X(KILL, "it broke the protocol, hung, or lost its session for good")           \
	X(DRAINED, "no call is in flight any more")                                    \
	X(TIMEOUT, "the deadline of the state passed")                                 \
	X(EXITED, "the kernel says that it exited")

#define LC_PROCESS_EFFECT_MAP(X)                                                               \
	X(ARM, "start the deadline of the new state")                                          \
	X(DISARM, "stop the deadline")                                                         \
	X(ROUTE, "give it the calls that wait")                                                \
	X(DRAIN, "send DRAIN")                                                                 \
	X(STOP, "send STOP")                                                                   \
	X(TERM, "SIGTERM and SIGCONT to its group")                                            \
	X(KILL, "SIGKILL to its tree")                                                         \
	X(STUCK, "report that SIGKILL had no effect")                                          \
	X(RELEASE, "end its calls, kill what is left of its tree, report the death, tell its " \
		   "slot")

/* ---- its slot ---- */

#define LC_SLOT_STATE_MAP(X)                                                                       \
	X(STOPPED, "stopped", "no process, and none is wanted")                                    \
	X(STARTING, "starting", "a process was spawned and is not ready yet")                      \
	X(READY, "ready", "a process takes calls")                                                 \
	X(STOPPING, "stopping", "the process is being stopped and none is wanted after it")        \
	X(RESTARTING, "restarting", "the process is being stopped and another one comes after it") \
	X(BACKOFF, "backoff", "the process died; another one is started after a pause")            \
	X(FAILED, "failed", "the plugin cannot work as it is; started again by an operator only")  \
	X(QUARANTINED, "quarantined",                                                              \
	  "it died too often in a row; started again by an operator only")

#define LC_SLOT_EVENT_MAP(X)                                                                     \
	X(START, "an operator, autostart or a dependent wants it to run")                        \
	X(STOP, "an operator or plugd's shutdown wants it stopped")                              \
	X(RESTART, "an operator wants a new process")                                            \
	X(READY, "its process became ready")                                                     \
	X(GONE_RETRY, "its process ended and the restart policy wants another one")              \
	X(GONE_DONE, "its process ended and the restart policy wants no other")                  \
	X(GONE_FAILED, "its process ended after FAILED, a refused HELLO or an exec that failed") \
	X(GONE_EXCESS, "its process ended, once more than run.max_failures allows")              \
	X(TIMEOUT, "the backoff passed")

#define LC_SLOT_EFFECT_MAP(X)                                 \
	X(SPAWN, "start a process as the next generation")    \
	X(STOP_PROCESS, "hand STOP to the process")           \
	X(ARM, "start the backoff")                           \
	X(DISARM, "stop the backoff")                         \
	X(FORGIVE, "forget earlier failures")                 \
	X(ABANDON, "end the calls that wait for an instance") \
	X(SETTLE, "tell those who wait for this start, stop or restart")

#define LC_ENUM_PS(symbol, word, text) PS_##symbol,
#define LC_ENUM_PE(symbol, text)       PE_##symbol,
#define LC_ENUM_SS(symbol, word, text) SS_##symbol,
#define LC_ENUM_SE(symbol, text)       SE_##symbol,
#define LC_BIT_PX(symbol, text)        PX_BIT_##symbol,
#define LC_BIT_SX(symbol, text)        SX_BIT_##symbol,

enum process_state { LC_PROCESS_STATE_MAP(LC_ENUM_PS) PS_COUNT };
enum process_event { LC_PROCESS_EVENT_MAP(LC_ENUM_PE) PE_COUNT };
enum process_effect_bit { LC_PROCESS_EFFECT_MAP(LC_BIT_PX) PX_BIT_COUNT };
enum slot_state { LC_SLOT_STATE_MAP(LC_ENUM_SS) SS_COUNT };
enum slot_event { LC_SLOT_EVENT_MAP(LC_ENUM_SE) SE_COUNT };
enum slot_effect_bit { LC_SLOT_EFFECT_MAP(LC_BIT_SX) SX_BIT_COUNT };

#define PX(symbol) (1u << PX_BIT_##symbol)
#define SX(symbol) (1u << SX_BIT_##symbol)

/* What happens at (state, event).  On true *ret_next and *ret_effects are set; on false untouched.
 */
bool lc_process_step(enum process_state state, enum process_event event,
		     enum process_state *ret_next, uint32_t *ret_effects);
bool lc_slot_step(enum slot_state state, enum slot_event event, enum slot_state *ret_next,
		  uint32_t *ret_effects);

/* Words for people; static memory. */
const char *lc_process_word(enum process_state state); /* as plugctl shows it */
const char *lc_process_state_name(enum process_state state);
const char *lc_process_event_name(enum process_event event);
const char *lc_slot_word(enum slot_state state);
const char *lc_slot_event_name(enum slot_event event);

/* A state that has a deadline: its TIMEOUT cell is not empty. */
bool lc_process_has_deadline(enum process_state state);

/* Both tables as Markdown. */
void lc_print_markdown(FILE *out);

#endif
