/*
 * The effective config: as WELCOME brought it, and what CONFIG has changed since.
 *
 * Read by any thread.  Written before on_start, and then by the thread that called plug_main()
 * only.  Texts that were handed out stay until the end, whatever came after them.
 */
#ifndef PLUG_SDK_SETTINGS_H
#define PLUG_SDK_SETTINGS_H

#include <plug/error.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "plug.pb-c.h"

struct settings_table;

struct settings {
	pthread_rwlock_t lock;
	struct settings_table *now;     /* in force */
	struct settings_table *offered; /* in the hands of on_config; NULL: nothing is */
	pthread_t hands;                /* the thread that sees what is offered */
	void *texts;                    /* a tree of all that ever were */
	pthread_mutex_t texts_lock;
};

void plugp_settings_init(struct settings *settings);
void plugp_settings_fini(struct settings *settings);

/* What is in force from the beginning.  Copies everything.  PLUG_ENOMEM. */
plug_err plugp_settings_load(struct settings *settings, Plug__ConfigEntry *const *entries,
			     size_t count);

/* A copy of what CONFIG says, for the next two.  Any thread.  NULL: no memory. */
struct settings_table *plugp_settings_table(struct settings *settings,
					    Plug__ConfigEntry *const *entries, size_t count);
void plugp_settings_drop(struct settings_table *table); /* NULL is allowed */

/* From here on this thread, and no other, sees `table`; then all do, or none.  Takes `table`. */
void plugp_settings_offer(struct settings *settings, struct settings_table *table);
void plugp_settings_decide(struct settings *settings, bool take);

#endif
