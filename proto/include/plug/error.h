/*
 * Error codes of plugd, libplug and the wire.
 *
 * One table makes the enum, the names and the texts.  The numbers are wire contract (Reply.outcome,
 * Response.outcome, Refused.code): append, never renumber, never reuse.
 */
#ifndef PLUG_ERROR_H
#define PLUG_ERROR_H

#include <plug/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLUG_ERR_MAP(X)                                                                \
	X(PLUG_OK, 0, "success")                                                       \
	X(PLUG_ESYS, 1, "system call failed")                                          \
	X(PLUG_EINVAL, 2, "invalid argument")                                          \
	X(PLUG_ENOMEM, 3, "out of memory")                                             \
	X(PLUG_ESTATE, 4, "not possible in this state")                                \
	X(PLUG_EPROTO, 5, "protocol violation")                                        \
	X(PLUG_EGONE, 6, "plugin process is gone; the call may have been executed")    \
	X(PLUG_EUNAVAILABLE, 7, "plugin is not available; the call was never started") \
	X(PLUG_ETIMEOUT, 8, "deadline passed")                                         \
	X(PLUG_ECANCELLED, 9, "cancelled")                                             \
	X(PLUG_EOVERLOADED, 10, "too many calls are waiting")                          \
	X(PLUG_ETOOLARGE, 11, "larger than the limit")                                 \
	X(PLUG_ENOTFOUND, 12, "no such plugin")                                        \
	X(PLUG_ENOMETHOD, 13, "no such method")                                        \
	X(PLUG_EDENIED, 14, "not permitted")                                           \
	X(PLUG_EPLUGIN, 15, "the plugin reports an error")                             \
	X(PLUG_EUNREACHABLE, 16, "plugd cannot be reached")                            \
	X(PLUG_EVERSION, 17, "no protocol version in common")                          \
	X(PLUG_EAGAIN, 18, "nothing to do now")                                        \
	X(PLUG_EBUSY, 19, "already in use")                                            \
	X(PLUG_EPOISON, 20, "processes died of this request; it is refused for a while")

typedef enum plug_err {
#define PLUG_ERR_ENUM(name, number, text) name = number,
	PLUG_ERR_MAP(PLUG_ERR_ENUM)
#undef PLUG_ERR_ENUM
} plug_err;

/* "PLUG_EGONE"; "PLUG_E?" for a number that is not in the table.  Static memory, any thread. */
PLUG_API const char *plug_err_name(plug_err err);

/* The text of the table in English.  Static memory, any thread, never NULL. */
PLUG_API const char *plug_err_text(plug_err err);

#ifdef __cplusplus
}
#endif

#endif
