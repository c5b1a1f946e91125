/*
 * What changes on disk: plugins that come and go (discovery.live), and reloads because files
 * changed (watch of plugd.yaml, run.watch of a manifest).  Loop's thread only.
 *
 * Whatever inotify tells, nothing is done before it has been quiet for watch_delay, or a
 * share of it.  Then plugin
 * directories are searched, in steps (daemon_discover.h), and what is on disk is compared with what
 * is in force: plugd.yaml by its text, a plugin by its version's digest.  What has been tried and
 * refused is not tried again before it changes.
 *
 * Where inotify cannot tell, all of it is looked at every discovery.rescan.
 */
#ifndef PLUGD_DAEMON_WATCH_H
#define PLUGD_DAEMON_WATCH_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "os/watch.h"

struct daemon;

struct daemon_watch {
	struct watch *watch; /* NULL: nothing is to be watched, or nothing can be */
	ev_io news_w;
	ev_timer quiet_w, tree_w;         /* until files, until plugin directories are looked at */
	uint64_t since_ms, tree_since_ms; /* the first change of these not looked at; 0: none */
	ev_timer rescan_w;
	uint64_t refused_yaml; /* fingerprint of a plugd.yaml that was not accepted */
	uint64_t specs_seen;
	char text[448]; /* for status */
};

void daemon_watch_init(struct daemon *d);
void daemon_watch_fini(struct daemon *d);

/* What is to be watched may have changed: settings, or the plugins that there are. */
void daemon_watch_sync(struct daemon *d);

/* Nothing was watched for a while: everything is looked at, soon. */
void daemon_watch_look(struct daemon *d);

/* A plugin has settled: if its files are others now, watch them. */
void daemon_watch_settled(struct daemon *d);

#endif
