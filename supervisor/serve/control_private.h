/* Shared by the control_*.c files. */
#ifndef PLUGD_CONTROL_PRIVATE_H
#define PLUGD_CONTROL_PRIVATE_H

#include "serve/control.h"

/* One request in hand. */
struct control_ctx {
	struct control *control;
	struct client *client;
	uint64_t id;
};

/* Room that is left in a message of which `used` bytes are filled: split lists before it is 0. */
#define CONTROL_BATCH_BYTES (40u * 1024)

/* The plugin, or NULL after the client has been told that there is none. */
struct plugin *control_plugin(const struct control_ctx *ctx, const char *name);

void control_list(const struct control_ctx *ctx, const Plug__ListRequest *request);
void control_status(const struct control_ctx *ctx, const Plug__StatusRequest *request);
void control_info(const struct control_ctx *ctx, const Plug__InfoRequest *request);
void control_stats(const struct control_ctx *ctx, const Plug__StatsRequest *request);
void control_crashes(const struct control_ctx *ctx, const Plug__CrashesRequest *request);
void control_poison(const struct control_ctx *ctx, const Plug__PoisonRequest *request);
void control_config(const struct control_ctx *ctx, const Plug__ConfigRequest *request);
void control_models(const struct control_ctx *ctx, const Plug__ModelsRequest *request);
void control_act(const struct control_ctx *ctx, const Plug__ActRequest *request);
void control_logs(const struct control_ctx *ctx, const Plug__LogsRequest *request);
void control_events(const struct control_ctx *ctx, const Plug__EventsRequest *request);

void control_graph(const struct control_ctx *ctx);
void control_commands(const struct control_ctx *ctx, const Plug__CommandsRequest *request);

/* For diags_each(): another line of the `text`, of CONTROL_ERRORS_BYTES. */
void control_join_error(void *text, const char *line);

/* What came of the last one. */
void control_fill_reloaded(Plug__Response *response, Plug__ActResult *result,
			   const struct plugin *plugin);

/* Of control_list.c: the status of plugd itself. */
void control_daemon_status(const struct control_ctx *ctx);

/* scale: as many active slots from now on, also after plugd's end; 0: as the manifest says.  False
 * after the client has been told why not.  The registry is to look at it afterwards. */
bool control_scale(const struct control_ctx *ctx, struct plugin *plugin, uint32_t instances);

/* enable and disable: kept, and in force from now on.  False after the client has been told why
 * not. What runs is started or stopped by the caller. */
bool control_enable(const struct control_ctx *ctx, struct plugin *plugin, bool enable);

/* False after the client has been told that it is disabled. */
bool control_may_start(const struct control_ctx *ctx, const struct plugin *plugin);

void control_dirs(const struct control_ctx *ctx, const Plug__DirsRequest *request);
void control_load(const struct control_ctx *ctx, const Plug__LoadRequest *request);

/* False after the client has been told why not. */
bool control_unload(const struct control_ctx *ctx, struct plugin *plugin);

/* Is it among those that are asked for? */
bool control_matches(const struct control *control, const struct plugin *plugin,
		     const Plug__ListRequest *request);

/* Its category; *place: where it is.  The text is of either. */
const char *control_category(const struct control *control, const struct plugin *plugin,
			     struct place *place);

#define CONTROL_DETAIL_BYTES 64
void control_fill_scaled(Plug__ActResult *result, const struct plugin *plugin,
			 char detail[CONTROL_DETAIL_BYTES]);

/* A plugin's line, as list and status show it.  Points into the plugin and *place. */
void control_fill_line(Plug__PluginLine *line, const struct control *control,
		       const struct plugin *plugin, struct place *place);

/* Its data plane, of all its processes together. */
void control_fill_data(Plug__DataPlane *message, const struct plugin *plugin);

/* How long its calls took, and what all its processes use. */
void control_fill_took(Plug__PluginStats *message, const struct plugin *plugin,
		       struct arena *arena);

/* log-level: in force at once, for all its processes.  Answers. */
void control_log_level(const struct control_ctx *ctx, struct plugin *plugin, uint32_t level);

/* End those who follow its log. */
void control_forget_log(struct plugin *plugin);

#define CONTROL_ARENA_BYTES ((size_t)1024 * 1024)

/* Messages of a list that one Response is made of: `pointers` for protobuf-c, the messages behind
 * them. */
#define MAKE_LIST(arena, type, count, items, pointers)               \
	type *items = arena_array(arena, (count) + 1, sizeof(type)); \
	type **pointers = arena_array(arena, (count) + 1, sizeof(type *))

/* ---- requests that last: control_state.c carries them over an upgrade ---- */

/* One that is answered when its plugin has settled. */
struct waiter {
	struct list node; /* of plugin->waiters */
	struct ticket ticket;
	struct plugin *plugin;
	Plug__Action action;
	bool in_place;
	char version[160];      /* of the store, to which a reload goes; "": none */
	bool begun;             /* a reload waits for the one before */
	struct config_ask *ask; /* a change of configuration; else NULL */
	uint64_t since_ms;
};

struct config_edit {
	char *key, *value; /* value NULL: unset */
};

/* What an operator wants to be changed. */
struct config_ask {
	Plug__ConfigVerb verb; /* SET, UNSET, ROLLBACK */
	uint32_t uid;
	struct config_edit *edits;
	size_t count;
	bool has_number;
	uint32_t number;
};

/* NULL when memory is short. */
struct config_ask *config_ask_new(size_t count);
void config_ask_free(struct config_ask *ask); /* NULL is allowed */

/* Begin what it asks.  False: it is answered. */
bool control_begin_config(struct control *control, struct waiter *waiter);

/* A waiter whose ticket is open, at the end of the plugin's list; NULL after the client was told.
 */
struct waiter *control_wait(const struct control_ctx *ctx, struct plugin *plugin);
void control_waiter_free(struct waiter *waiter);

/* What waits next for its plugin. */
void control_begin_next(struct control *control, struct plugin *plugin);

struct log_follower {
	struct ticket ticket;
	struct output_follower follower;
	uint64_t dropped;
};

struct event_follower {
	struct ticket ticket;
	struct events_follower follower;
};

extern const struct ticket_ops control_waiter_ops, control_log_ops, control_event_ops;

/* They follow from now on; their tickets are the caller's to open.  NULL when memory is short. */
struct log_follower *control_follow_log(struct plugin *plugin);
struct event_follower *control_follow_events(struct events *events);

#endif
