/*
 * The three state machines of plugd, as data.
 *
 * Generations overlap, so a process, the slot that it fills, and the way of a slot from one version
 * to another have a table each: (state, event) -> (next state, effects).  Pure: no I/O, no clock,
 * no allocation.  Effects are bits that instance.c, slot.c and reload.c perform.  The tables of
 * docs/lifecycle.md are generated from these.
 *
 * A cell that a table leaves out is illegal: the step functions return false and change nothing.
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
	X(TESTING, "probing", "said READY; has to pass its probe before it takes calls")        \
	X(READY, "ready", "takes calls")                                                        \
	X(DRAINING, "draining", "takes no new calls; those in flight go on")                    \
	X(STOPPING, "stopping", "was told STOP, or said FAILED; is expected to exit by itself") \
	X(TERMINATING, "stopping", "was sent SIGTERM")                                          \
	X(KILLING, "stopping", "was sent SIGKILL, with its whole tree")                         \
	X(STUCK, "stuck", "SIGKILL did not end it: blocked in the kernel; nothing replaces it") \
	X(GONE, "gone", "exited and reaped")

#define LC_PROCESS_EVENT_MAP(X)                                                        \
	X(TEST, "the plugin said READY, and is to be probed first")                    \
	X(READY, "the plugin said READY, or has passed its probe")                     \
	X(FAILED, "the plugin said FAILED, or its HELLO was refused")                  \
	X(STOP, "an operator, a restart or plugd's shutdown wants it to end in order") \
	X(KILL, "it broke the protocol, hung, or lost its session for good")           \
	X(DYING, "the first sign that it dies: its own word, or the kernel's")         \
	X(DRAINED, "no call is in flight any more")                                    \
	X(TIMEOUT, "the deadline of the state passed")                                 \
	X(EXITED, "it has exited, and its memory has been given back (5 s at most)")

#define LC_PROCESS_EFFECT_MAP(X)                                                               \
	X(ARM, "start the deadline of the new state")                                          \
	X(DISARM, "stop the deadline")                                                         \
	X(ROUTE, "give it the calls that wait")                                                \
	X(DRAIN, "send DRAIN")                                                                 \
	X(STOP, "send STOP")                                                                   \
	X(TERM, "SIGTERM and SIGCONT to its group")                                            \
	X(KILL, "SIGKILL to its tree")                                                         \
	X(PROBE, "look whether it is well")                                                    \
	X(VACATE, "let a spare have its place")                                                \
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
	X(TAKEN, "a process that is ready takes it: a spare, or the new one of a reload")        \
	X(LENT, "its process, a spare, has taken another slot")                                  \
	X(GONE_RETRY, "its process ended and the restart policy wants another one")              \
	X(GONE_DONE, "its process ended and the restart policy wants no other")                  \
	X(GONE_FAILED, "its process ended after FAILED, a refused HELLO or an exec that failed") \
	X(GONE_BACK, "its process ended soon after a reload: back to the version before")        \
	X(GONE_EXCESS, "its process ended, once more than run.max_failures allows")              \
	X(TIMEOUT, "the backoff passed")

#define LC_SLOT_EFFECT_MAP(X)                                 \
	X(SPAWN, "start a process as the next generation")    \
	X(STOP_PROCESS, "hand STOP to the process")           \
	X(ARM, "start the backoff")                           \
	X(DISARM, "stop the backoff")                         \
	X(FORGIVE, "forget earlier failures")                 \
	X(REOPEN, "from now on what is on disk is started")   \
	X(ABANDON, "end the calls that wait for an instance") \
	X(SETTLE, "tell those who wait for this start, stop or restart")

/* ---- its way from one version to another ---- */

#define LC_RELOAD_STATE_MAP(X)                                                                  \
	X(IDLE, "none is under way")                                                            \
	X(BESIDE, "the new process starts and is probed; the old one serves")                   \
	X(VACATING, "there is no room for both: the old process ends; calls wait")              \
	X(ALONE, "the new process starts and is probed where the old one was; calls wait")      \
	X(DRAINING, "the new process takes the calls; the old one finishes its own and ends")   \
	X(SETTLING, "the new process is alone, and has been for less than the time in which a " \
		    "failure is put down to the reload")

#define LC_RELOAD_EVENT_MAP(X)                                                  \
	X(BESIDE, "a new version is wanted, and there is room for both")        \
	X(INSTEAD, "a new version is wanted, and there is not")                 \
	X(READY, "the new process is ready, and passed its probe")              \
	X(NEW_GONE, "the new process could not be started, or ended by itself") \
	X(OLD_GONE, "the old process has ended")                                \
	X(CANCEL, "an operator or plugd's shutdown wants something else")       \
	X(TIMEOUT, "the time for settling has passed")                          \
	X(PAUSED, "a new version is wanted, and the slot waits in BACKOFF")

#define LC_RELOAD_EFFECT_MAP(X)                                                \
	X(SPAWN, "start the new version beside the old one")                   \
	X(VACATE, "let the old process end, and the new version follow it")    \
	X(SWITCH, "give the slot to the new process, and STOP to the old one") \
	X(END_NEW, "hand STOP to the new process")                             \
	X(RETURN, "the version before is in force again")                      \
	X(DONE, "tell that the new version is in force")                       \
	X(ROLLED_BACK, "tell that it is not, and why")                         \
	X(TAKE_UP, "start the new version now, in the place of the next start")

#define LC_ENUM_PS(symbol, word, text) PS_##symbol,
#define LC_ENUM_PE(symbol, text)       PE_##symbol,
#define LC_ENUM_SS(symbol, word, text) SS_##symbol,
#define LC_ENUM_SE(symbol, text)       SE_##symbol,
#define LC_ENUM_RS(symbol, text)       RS_##symbol,
#define LC_ENUM_RE(symbol, text)       RE_##symbol,
#define LC_BIT_PX(symbol, text)        PX_BIT_##symbol,
#define LC_BIT_SX(symbol, text)        SX_BIT_##symbol,
#define LC_BIT_RX(symbol, text)        RX_BIT_##symbol,

enum process_state { LC_PROCESS_STATE_MAP(LC_ENUM_PS) PS_COUNT };
enum process_event { LC_PROCESS_EVENT_MAP(LC_ENUM_PE) PE_COUNT };
enum process_effect_bit { LC_PROCESS_EFFECT_MAP(LC_BIT_PX) PX_BIT_COUNT };
enum slot_state { LC_SLOT_STATE_MAP(LC_ENUM_SS) SS_COUNT };
enum slot_event { LC_SLOT_EVENT_MAP(LC_ENUM_SE) SE_COUNT };
enum slot_effect_bit { LC_SLOT_EFFECT_MAP(LC_BIT_SX) SX_BIT_COUNT };
enum reload_state { LC_RELOAD_STATE_MAP(LC_ENUM_RS) RS_COUNT };
enum reload_event { LC_RELOAD_EVENT_MAP(LC_ENUM_RE) RE_COUNT };
enum reload_effect_bit { LC_RELOAD_EFFECT_MAP(LC_BIT_RX) RX_BIT_COUNT };

#define PX(symbol) (1u << PX_BIT_##symbol)
#define SX(symbol) (1u << SX_BIT_##symbol)
#define RX(symbol) (1u << RX_BIT_##symbol)

/* What happens at (state, event).  On true *ret_next and *ret_effects are set; on false untouched.
 */
bool lc_process_step(enum process_state state, enum process_event event,
		     enum process_state *ret_next, uint32_t *ret_effects);
bool lc_slot_step(enum slot_state state, enum slot_event event, enum slot_state *ret_next,
		  uint32_t *ret_effects);
bool lc_reload_step(enum reload_state state, enum reload_event event, enum reload_state *ret_next,
		    uint32_t *ret_effects);

/* Words for people; static memory. */
const char *lc_process_word(enum process_state state); /* as plugctl shows it */
const char *lc_process_state_name(enum process_state state);
const char *lc_process_event_name(enum process_event event);
const char *lc_slot_word(enum slot_state state);
const char *lc_slot_event_name(enum slot_event event);
const char *lc_reload_state_name(enum reload_state state);
const char *lc_reload_event_name(enum reload_event event);

/* A state that has a deadline: its TIMEOUT cell is not empty. */
bool lc_process_has_deadline(enum process_state state);

/* All tables as Markdown. */
void lc_print_markdown(FILE *out);

#endif
