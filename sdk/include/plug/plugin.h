/*
 * libplug, the plugin half: what a plugin author writes against.
 *
 * A plugin is a table of methods and a main() that hands it to plug_main().  plugd starts the
 * process; libplug says hello, receives calls, runs their handlers on worker threads, answers,
 * ticks the vitals page and shuts down. Anything may be printed to stdout and stderr at any time:
 * it is captured as logs, never protocol.
 *
 * Threads: on_start, on_config, on_drain and on_stop run on the thread that called plug_main(), one
 * at a time. Handlers run on worker threads, several at once, and the last of them has returned
 * before on_stop runs.  Functions that take a `struct plug_call *` belong to that call's handler
 * until it returns (see plug_call_cancelled for the exception); functions that take a `struct
 * plug_plugin *` may be called from any thread.
 */
#ifndef PLUG_PLUGIN_H
#define PLUG_PLUGIN_H

#include <plug/error.h>
#include <plug/export.h>
#include <plug/manifest.h>
#include <plug/tensor.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plug_plugin; /* this process as a plugin */
struct plug_call;   /* one call being handled */

/*
 * Handle one call.  Answer with plug_reply() at most once, after any number of plug_reply_piece(),
 * and return PLUG_OK; returning PLUG_OK without plug_reply() answers with an empty payload.
 * Returning anything else answers with that code; plug_fail() does so with a message.  (One that
 * gives up with PLUG_ECANCELLED because the plugin is being stopped answers with PLUG_EGONE: its
 * caller has cancelled nothing.)  May block:
 * nothing else of the plugin waits for it, but only `workers` of them run at once.  Its stack has
 * 1 MiB.
 */
typedef plug_err (*plug_handler)(struct plug_call *call, void *user);

enum plug_method_flags {
	PLUG_METHOD_STREAM = 1 << 0, /* may send pieces before its reply */
	PLUG_METHOD_IDEMPOTENT =
		1 << 1, /* may be executed twice: plugd may replay it once after a death */
};

struct plug_method {
	const char *name; /* [a-z0-9_-], at most 63 bytes */
	plug_handler handler;
	uint32_t flags;      /* enum plug_method_flags */
	uint32_t timeout_ms; /* deadline of calls that name none; 0: plugd's default */
	const char *description;
};

/*
 * Everything plug_main() needs.  Set size to sizeof(struct plug_plugin_config) and name what you
 * change; the rest is zero and means the default.  The strings and the table must outlive
 * plug_main().
 */
struct plug_plugin_config {
	size_t size;
	const char *name;     /* as in the manifest */
	const char *version;  /* semantic version, as in the manifest */
	const char *contract; /* model, device, interface, provider, optimization, feature, memory,
				 gateway */
	const struct plug_method *methods; /* ends with an entry whose name is NULL */
	void *user;                        /* handed to every function below and every handler */
	unsigned workers;                  /* handlers that may run at once, 1..64; 0: 8 */

	/*
	 * The config is there, calls are not yet.  Load what takes long here: the plugin is
	 * `starting` until it returns. Anything but PLUG_OK makes the plugin `failed` (it is not
	 * restarted); say why with plug_start_failed().
	 */
	plug_err (*on_start)(struct plug_plugin *plugin, void *user);

	/* No new calls will come; those in flight go on. */
	void (*on_drain)(struct plug_plugin *plugin, void *user);

	/* Every handler has returned; release what you hold.  Bounded by run.stop_timeout, then
	 * SIGTERM, then SIGKILL. */
	void (*on_stop)(struct plug_plugin *plugin, void *user);

	/* Memory for the tensors of replies that one caller may hold at a time; 0: 64 MiB.
	 * $PLUG_TENSOR_BYTES, which a manifest sets with run.env, wins. */
	uint64_t tensor_bytes;

	/*
	 * An operator has other values for keys that the manifest declares `live: true`
	 * (`plugctl config set`); plugd has checked them.  On this thread, until it returns, the
	 * functions plug_config_…() tell the new values, and plug_config_changed() which of them
	 * differ; every other thread sees the old ones.  PLUG_OK takes all of them over, at once
	 * for every thread.  Anything else refuses all of them: say why with plug_config_refused(),
	 * and undo here what was done already.  It has ten seconds.  Handlers go on meanwhile.
	 *
	 * With several instances all take a change over, or none: one that accepted what another
	 * refused is called again with the values from before, which it cannot refuse.
	 *
	 * NULL: new values are taken over as they come, which is right where every use of a key
	 * reads it with plug_config_…().
	 */
	plug_err (*on_config)(struct plug_plugin *plugin, void *user);
};

/*
 * Be a plugin until plugd says stop.  Returns the process's exit status, for `return
 * plug_main(&config);`. Blocks for the life of the plugin.  Started by hand (no PLUG_ADDRESS in the
 * environment) it prints what the program is and how to run it under plugd, and returns 2.
 *
 * SIGTERM is handled as a stop; once a stop has begun, it ends the process at once if handlers or
 * on_start are still running.  SIGPIPE is ignored, other signals are left alone.  When plugd dies,
 * or the session stays lost for 6 seconds, the calls are cancelled and the process ends within 2
 * seconds with status 1.
 */
PLUG_API int plug_main(const struct plug_plugin_config *config);

/* ---- the call ---- */

/* Static for the call's life.  Never NULL. */
PLUG_API const char *plug_call_method(const struct plug_call *call);
PLUG_API const char *plug_call_content_type(
	const struct plug_call *call); /* "application/json", … or "" */

/* The request's bytes and their number in *ret_size (ret_size may be NULL).  Valid until the
 * handler returns.  A NUL, not counted, follows them, so that text can be used as a C string. */
PLUG_API const void *plug_call_payload(const struct plug_call *call, size_t *ret_size);

/* The number of this call in logs: plugd's; of a call that came straight from its caller, the
 * number of their channel in the upper 32 bits and the caller's in the lower. */
PLUG_API uint64_t plug_call_id(const struct plug_call *call);

PLUG_API struct plug_plugin *plug_call_plugin(const struct plug_call *call);

/*
 * True once nobody waits for the answer: the caller cancelled or vanished, the deadline passed, or
 * the plugin is being stopped.  Cheap enough for an inner loop.  The only function of a call that
 * other threads of the plugin may use too, while the handler has not returned.
 */
PLUG_API bool plug_call_cancelled(const struct plug_call *call);

/* Milliseconds until the deadline: 0 when it has passed, UINT64_MAX when there is none. */
PLUG_API uint64_t plug_call_remaining_ms(const struct plug_call *call);

/*
 * Sleep for `ms` milliseconds, or less when the call is cancelled.
 * PLUG_OK slept that long; PLUG_ECANCELLED or PLUG_ETIMEOUT as plug_call_status() says.
 */
PLUG_API plug_err plug_call_sleep(struct plug_call *call, uint64_t ms);

/* Why plug_call_cancelled() is true: PLUG_ECANCELLED or PLUG_ETIMEOUT; PLUG_OK while it is not. */
PLUG_API plug_err plug_call_status(const struct plug_call *call);

/*
 * The answer.  `data` is copied or sent before the function returns.  content_type NULL means that
 * of the request.
 *
 * PLUG_ESTATE      answered already
 * PLUG_EINVAL      the content type is longer than 1 KiB
 * PLUG_ETOOLARGE   longer than limits.call_bytes; the outcome of the call unless answered otherwise
 * PLUG_ECANCELLED  the caller does not wait any more, or the plugin is being stopped: stop working
 * PLUG_ETIMEOUT    the deadline passed: the same
 * PLUG_EGONE       plugd is gone: the same
 *
 * May block while the caller's window is full (it reads slower than the plugin writes), never past
 * the deadline; once a payload of more than 48 KiB (over a channel 40 KiB) has begun, until plugd
 * cancels the call, which it does at the deadline.
 */
PLUG_API plug_err plug_reply(struct plug_call *call, const char *content_type, const void *data,
			     size_t size);

/*
 * A piece of a stream, before the answer; errors as plug_reply(), and
 *
 * PLUG_ESTATE  the method is not declared PLUG_METHOD_STREAM, or the call is answered already
 */
PLUG_API plug_err plug_reply_piece(struct plug_call *call, const char *content_type,
				   const void *data, size_t size);

/*
 * Set the message of a failure and return its code: `return plug_fail(call, PLUG_EINVAL, "ms is %s,
 * expected …", s);`. Messages longer than 1 KiB are cut.
 */
PLUG_API plug_err plug_fail(struct plug_call *call, plug_err err, const char *format, ...)
	PLUG_PRINTF(3, 4);

/* ---- tensors (plug/tensor.h) ---- */

/* The request's tensors and their number (ret_count may be NULL).  They belong to the call, and
 * their contents stay until it is answered.  NULL when there are none. */
PLUG_API const struct plug_tensor *plug_call_tensors(const struct plug_call *call,
						     size_t *ret_count);

/* The request's first tensor of this name; NULL: there is none. */
PLUG_API const struct plug_tensor *plug_call_tensor(const struct plug_call *call, const char *name);

/*
 * Memory that the caller can read, for a tensor of the reply; not cleared.  It belongs to the call:
 * plug_tensor_ref() keeps it for longer.  Errors set the message of the call, so that the handler
 * can return them.
 *
 * PLUG_EUNAVAILABLE the call came without a channel (the caller did not ask for one)
 * PLUG_EOVERLOADED  the caller holds so many tensors that there is no room
 * PLUG_ETOOLARGE    larger than tensor_bytes
 * PLUG_EINVAL PLUG_ENOMEM
 */
PLUG_API plug_err plug_call_tensor_alloc(struct plug_call *call, struct plug_dtype dtype, int ndim,
					 const int64_t *shape, struct plug_tensor *ret);

/*
 * The answer, with tensors: any that this process has, of the request too, or that another plugin
 * sent.  None is copied.  Those of plug_call_tensor_alloc() are the caller's then, and not to be
 * touched any more without a reference of one's own.  Errors as plug_reply(), and
 *
 * PLUG_EUNAVAILABLE as above
 * PLUG_EINVAL       a tensor is wrong, or in no arena, or there are more than PLUG_TENSORS
 */
PLUG_API plug_err plug_reply_tensors(struct plug_call *call, const char *content_type,
				     const void *data, size_t size,
				     const struct plug_tensor *tensors, size_t count);

/* ---- config ---- */

/*
 * The effective config, validated by plugd against the manifest's schema before the plugin sees it.
 * A key that the schema does not name, or of another type, yields the fallback.  A key that is
 * `live` may have another value at the next call; strings stay valid until plug_main() returns,
 * also those of a value that was replaced.
 */
PLUG_API const char *plug_config_string(const struct plug_plugin *plugin, const char *key,
					const char *fallback);
PLUG_API int64_t plug_config_int(const struct plug_plugin *plugin, const char *key,
				 int64_t fallback);
PLUG_API double plug_config_float(const struct plug_plugin *plugin, const char *key,
				  double fallback);
PLUG_API bool plug_config_bool(const struct plug_plugin *plugin, const char *key, bool fallback);
PLUG_API uint64_t plug_config_duration_ns(const struct plug_plugin *plugin, const char *key,
					  uint64_t fallback);
PLUG_API uint64_t plug_config_bytes(const struct plug_plugin *plugin, const char *key,
				    uint64_t fallback);
PLUG_API size_t plug_config_list_size(const struct plug_plugin *plugin, const char *key);
PLUG_API const char *plug_config_list_item(const struct plug_plugin *plugin, const char *key,
					   size_t index);

/* Was the key given a value by anybody, default included? */
PLUG_API bool plug_config_has(const struct plug_plugin *plugin, const char *key);

/* In on_config: has this key another value than before, or none any more?  Elsewhere false. */
PLUG_API bool plug_config_changed(const struct plug_plugin *plugin, const char *key);

/* From on_config: why it refuses; returns `err` for `return plug_config_refused(…)`.  Cut at 1 KiB.
 */
PLUG_API plug_err plug_config_refused(struct plug_plugin *plugin, plug_err err, const char *format,
				      ...) PLUG_PRINTF(3, 4);

/* ---- logs and state ---- */

enum plug_log_level {
	PLUG_LOG_DEBUG = 0,
	PLUG_LOG_INFO = 1,
	PLUG_LOG_WARNING = 2,
	PLUG_LOG_ERROR = 3
};

struct plug_field {
	const char *key, *value;
};

/* One line in the plugin's log, cut at 4 KiB.  Never blocks for more than 100 ms: when plugd does
 * not take it, it is written to stderr, which plugd captures.  The call, if any, is named by
 * plug_call_log(). */
PLUG_API void plug_log(struct plug_plugin *plugin, enum plug_log_level level, const char *format,
		       ...) PLUG_PRINTF(3, 4);
PLUG_API void plug_call_log(struct plug_call *call, enum plug_log_level level, const char *format,
			    ...) PLUG_PRINTF(3, 4);

/* Is a line of this level kept?  run.log_level of the manifest and `plugctl debug NAME --log-level`
 * decide; others are dropped before they are formatted. */
PLUG_API bool plug_log_enabled(const struct plug_plugin *plugin, enum plug_log_level level);

/* The same with fields: `fields` ends with an entry whose key is NULL. */
PLUG_API void plug_log_fields(struct plug_plugin *plugin, enum plug_log_level level,
			      const char *message, const struct plug_field *fields);

/* From on_start: the message of its failure; returns `err` for `return plug_start_failed(…)`. */
PLUG_API plug_err plug_start_failed(struct plug_plugin *plugin, plug_err err, const char *format,
				    ...) PLUG_PRINTF(3, 4);

/* From any thread: this process cannot go on (a lost device, a corrupt context).  plugd takes it
 * out of routing at once and replaces it by run.restart. */
PLUG_API void plug_unhealthy(struct plug_plugin *plugin, const char *format, ...) PLUG_PRINTF(2, 3);

PLUG_API const char *plug_instance_name(const struct plug_plugin *plugin);
PLUG_API uint32_t plug_generation(const struct plug_plugin *plugin);

/* "0.1.0", of the library in use. */
PLUG_API const char *plug_version(void);

#ifdef __cplusplus
}
#endif

#endif
