/*
 * The dying byte, and after it the backtrace (proto/trace.h).  The kernel tells of a death only
 * after it has torn the memory down: 28 ms later for 1 GiB, 105 ms for 4 GiB.  So a process that a
 * fault signal hits says so first, and plugd lets a spare have its place meanwhile.  Then it hangs
 * up on the callers that have channels, who would else wait as long, and send again what may be
 * executed twice.
 *
 * Nothing else changes: the process dies by the same signal, with the same core.  A signal for
 * which the program, or a library, has a handler of its own is left to that.
 */
#ifndef PLUG_SDK_DYING_H
#define PLUG_SDK_DYING_H

/* Main thread, once.  `broker_fd` is duplicated; -1: plugd gave none, nothing is done. */
void plugp_dying_init(int broker_fd);
void plugp_dying_fini(void);

/* A thread of libplug's begins or ends: the handler gets a stack of its own on it, so that an
 * overflow of the thread's can be told, too. */
void plugp_dying_thread_init(void);
void plugp_dying_thread_fini(void);

/* A caller's wake socket: from here on, and, before it is closed, no longer.  Any thread.  Those
 * for which there is no room hear of the death from the kernel. */
void plugp_dying_watch(int wake_fd);
void plugp_dying_forget(int wake_fd);

#endif
