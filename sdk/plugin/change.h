/* CONFIG: other values while the plugin runs, shown to its author's on_config. */
#ifndef PLUG_SDK_CHANGE_H
#define PLUG_SDK_CHANGE_H

#include <plug/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "plug.pb-c.h"

struct plug_plugin;
struct settings_table;

#define CHANGE_REASON_BYTES 1024

/* What came, and waits for the thread that called plug_main(). */
struct change {
	struct change *next;
	uint64_t number;
	bool back;
	struct settings_table *table;
};

/* Copies what CONFIG says.  NULL: no memory. */
struct change *plugp_change_new(struct plug_plugin *plugin, const Plug__Config *config);
void plugp_change_free(struct change *change);

/* Ask on_config, take the values over or not, and tell plugd.  Takes `change`.  On the thread that
 * called plug_main(). */
void plugp_change_decide(struct plug_plugin *plugin, struct change *change);

#endif
