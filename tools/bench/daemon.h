/* A plugd of our own in a directory of ours, with the plugins of one directory.  Main thread; the
 * client handle may be used by others. */
#ifndef BENCH_DAEMON_H
#define BENCH_DAEMON_H

#include <plug/client.h>

#include "bench.h"
#include "process.h"

struct daemon {
	const struct bench *bench;
	pid_t guardian; /* what we started */
	pid_t pid;      /* plugd itself */
	char runtime_dir[128];
	struct plug_client *client;
};

/* Start plugd, pinned like the caller's side, and return once it says that it serves.  Ends the
 * process on failure, with what plugd printed. */
void daemon_start(const struct bench *bench, const char *plugin_dir, struct daemon *ret);

/* The same, with a plugd.yaml of this text; NULL: none. */
void daemon_start_with(const struct bench *bench, const char *plugin_dir, const char *config,
		       struct daemon *ret);

/* Orderly; whatever was started is gone afterwards. */
void daemon_stop(struct daemon *daemon);

/* Return when `count` plugins became ready since plugd started. */
void daemon_await_ready(struct daemon *daemon, size_t count);

/* Of the running process of a plugin; ends the process when there is none. */
pid_t daemon_plugin_pid(struct daemon *daemon, const char *name);

/* Pin the plugin like the other side. */
void daemon_pin_plugin(struct daemon *daemon, const char *name);

/* A new handle, for another thread.  Its calls, and those of daemon->client, go through plugd. */
struct plug_client *daemon_client(const struct daemon *daemon);

/* Reload a plugin and wait for its end; ret_detail says how it was done.  Ends the process when it
 * fails. */
#define DAEMON_DETAIL_BYTES 512
void daemon_reload(struct daemon *daemon, const char *name, char ret_detail[DAEMON_DETAIL_BYTES]);

/* Return when all active processes and all spares of a plugin are ready, and no other is left. */
void daemon_await_whole(struct daemon *daemon, const char *name);

/* Call and wait; ends the process unless the outcome is PLUG_OK and, with `expected`, the payload
 * has that many bytes. */
void daemon_call(struct plug_client *client, const char *plugin, const char *method,
		 const void *payload, size_t size, size_t expected);

/* Make dir with `count` folders, each the manifest of one plugin named `stem`-NNN that echoes;
 * `run` is the inside of its run section. */
void daemon_make_plugins(const struct bench *bench, const char *dir, const char *stem, size_t count,
			 const char *run);

#endif
