/*
 * A change of a plugin's runtime configuration: by asking its processes where all keys are live,
 * else by a hot reload.  At most one a plugin, and none beside a reload.  Loop's thread only.
 *
 * The values are in force, and kept, for all processes or for none: who accepted what another
 * refused is given the values from before.
 */
#ifndef PLUGD_CHANGE_H
#define PLUGD_CHANGE_H

#include <ev.h>

#include "core/runtime.h"
#include "serve/control.h"

#define CHANGE_ANSWER_MS 10000 /* for a process to say whether it takes new values */

/* X(symbol, name): of the state over an upgrade, too. */
#define CHANGE_PHASES(X)          \
	X(ASKING, "asking")       \
	X(RETURNING, "returning") \
	X(RELOADING, "reloading")

#define X(symbol, name) CHANGE_##symbol,
enum change_phase { CHANGE_PHASES(X) CHANGE_PHASE_COUNT };
#undef X

struct change {
	struct plugin *plugin;
	struct control *control;
	enum change_phase phase;
	struct runtime *runtime; /* as it is kept once the change is done */
	struct spec *spec;       /* in force then; NULL in RELOADING */
	plug_err outcome;        /* of what was refused; PLUG_OK so far */
	char why[768];
	char detail[256]; /* how it was applied */
	ev_timer deadline_w;
	uint64_t since_ms;
};

/*
 * Begin: `runtime` is what is to be kept.  Takes it.  Ends with control_change_done(), in the same
 * call at the earliest.  PLUG_EINVAL, with `text`: the values are refused, and nothing was begun.
 * PLUG_ENOMEM.
 */
plug_err change_begin(struct control *control, struct plugin *plugin, struct runtime *runtime,
		      char text[CONTROL_ERRORS_BYTES]);

/* host_ops */
void change_on_result(struct control *control, struct instance *in,
		      const Plug__ConfigResult *result);
void change_on_gone(struct control *control, struct instance *in);
void change_on_gone_back(struct plugin *plugin, const char *why);

/* A reload has come to its end, if one was under way. */
void change_on_settled(struct plugin *plugin);

/* The plugin is forgotten, or plugd ends. */
void change_free(struct change *change); /* NULL is allowed */

/* "change 3 (batch): asking its processes", in `arena`; "" for NULL. */
char *change_text(const struct change *change, struct arena *arena);

/* Over an upgrade: one without effects. */
struct change *change_alloc(struct control *control, struct plugin *plugin);
/* The spec of `runtime` over that of `base`.  NULL after an error was added. */
struct spec *change_spec(const struct spec *base, const struct runtime *runtime,
			 struct diags *diags);

#endif
