/* config get, history, diff: what is set of a plugin, and how that came to be. */
#ifndef PLUGD_CONFIG_SHOW_H
#define PLUGD_CONFIG_SHOW_H

#include "serve/control_private.h"

/* Answers.  `plugin` NULL: it is not registered, and only its history is known. */
void config_show(const struct control_ctx *ctx, const struct plugin *plugin,
		 const struct runtime *runtime, const Plug__ConfigRequest *request);

#endif
