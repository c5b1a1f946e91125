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

/* Send a Response whose body is set.  PLUG_ETOOLARGE: too much for one message. */
plug_err control_send(struct client *client, uint64_t id, Plug__Response *response);

/* Room that is left in a message of which `used` bytes are filled: split lists before it is 0. */
#define CONTROL_BATCH_BYTES (40u * 1024)

/* The plugin, or NULL after the client has been told that there is none. */
struct plugin *control_plugin(const struct control_ctx *ctx, const char *name);

void control_list(const struct control_ctx *ctx, const Plug__ListRequest *request);
void control_status(const struct control_ctx *ctx, const Plug__StatusRequest *request);
void control_info(const struct control_ctx *ctx, const Plug__InfoRequest *request);
void control_stats(const struct control_ctx *ctx, const Plug__StatsRequest *request);
void control_crashes(const struct control_ctx *ctx, const Plug__CrashesRequest *request);
void control_act(const struct control_ctx *ctx, const Plug__ActRequest *request);
void control_logs(const struct control_ctx *ctx, const Plug__LogsRequest *request);
void control_events(const struct control_ctx *ctx, const Plug__EventsRequest *request);

/* A plugin's line, as list and status show it.  Points into the plugin. */
void control_fill_line(Plug__PluginLine *line, const struct plugin *plugin);

/* End those who follow its log. */
void control_forget_log(struct plugin *plugin);

#endif
