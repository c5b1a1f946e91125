/*
 * Commands that a plugin adds to plugctl: what its manifest declares under commands: is typed as
 * `plugctl COMMAND …` and comes as a call of the command's method.
 *
 *   static plug_err
 *   greet(struct plug_call *call, void *user)
 *   {
 *           struct plug_command *command;
 *           plug_err err = plug_command_open(call, &command);
 *
 *           if (err)
 *                   return err;
 *           plug_command_print(command, "hello, %s\n", plug_command_string(command, "name", ""));
 *           return plug_command_end(command, 0);
 *   }
 *
 * What is written arrives at once when the method is a stream (PLUG_METHOD_STREAM); of another
 * nothing can be written.  plugctl has checked every value against the manifest.  All of it is for
 * the thread of the call's handler.
 */
#ifndef PLUG_COMMAND_H
#define PLUG_COMMAND_H

#include <plug/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plug_command; /* one run of a command */

/*
 * Read what plugctl sent.  On success *ret is the caller's, given to plug_command_end() or
 * plug_command_free() before the handler returns.  On failure the message of the call is set, so
 * that the handler can return the error.
 *
 * PLUG_EINVAL PLUG_ETOOLARGE  the call does not come from a command
 * PLUG_ENOMEM
 */
PLUG_API plug_err plug_command_open(struct plug_call *call, struct plug_command **ret);

/* NULL is allowed. */
PLUG_API void plug_command_free(struct plug_command *command);

/* Its name, also where an alias was typed.  Never NULL. */
PLUG_API const char *plug_command_name(const struct plug_command *command);

/* Was the option or argument given?  Else it has its default, or none. */
PLUG_API bool plug_command_given(const struct plug_command *command, const char *name);

/*
 * Values of options and arguments; the fallback where there is none, or it is of another type.
 * Paths are absolute: relative ones are below the directory in which plugctl was started.
 */
PLUG_API const char *plug_command_string(const struct plug_command *command, const char *name,
					 const char *fallback);
PLUG_API int64_t plug_command_int(const struct plug_command *command, const char *name,
				  int64_t fallback);
PLUG_API double plug_command_float(const struct plug_command *command, const char *name,
				   double fallback);
PLUG_API bool plug_command_bool(const struct plug_command *command, const char *name);
PLUG_API uint64_t plug_command_duration_ns(const struct plug_command *command, const char *name,
					   uint64_t fallback);
PLUG_API uint64_t plug_command_bytes(const struct plug_command *command, const char *name,
				     uint64_t fallback);

/* How many values it has: of a list, of an argument that is many; of others 0 or 1. */
PLUG_API size_t plug_command_count(const struct plug_command *command, const char *name);
/* As text; NULL when there are not so many. */
PLUG_API const char *plug_command_item(const struct plug_command *command, const char *name,
				       size_t index);

/* The standard input, all of it, when the manifest says stdin: true.  A NUL, not counted, follows.
 */
PLUG_API const void *plug_command_input(const struct plug_command *command, size_t *ret_size);

/* In which plugctl was started. */
PLUG_API const char *plug_command_directory(const struct plug_command *command);

/* The width of the terminal that the output goes to; 0: it goes to none. */
PLUG_API unsigned plug_command_columns(const struct plug_command *command);

enum plug_command_stream { PLUG_COMMAND_STDOUT = 1, PLUG_COMMAND_STDERR = 2 };

/*
 * Write to plugctl's output.  Errors as of plug_reply_piece(): once there is one, nobody reads any
 * more.  Whoever ignores it learns it from plug_command_end().
 */
PLUG_API plug_err plug_command_write(struct plug_command *command, enum plug_command_stream stream,
				     const void *data, size_t size);
PLUG_API plug_err plug_command_print(struct plug_command *command, const char *format, ...)
	PLUG_PRINTF(2, 3);
PLUG_API plug_err plug_command_complain(struct plug_command *command, const char *format, ...)
	PLUG_PRINTF(2, 3);

/* The end, with plugctl's exit status (0..255).  Frees it.  For `return plug_command_end(…)`. */
PLUG_API plug_err plug_command_end(struct plug_command *command, unsigned status);

#ifdef __cplusplus
}
#endif

#endif
