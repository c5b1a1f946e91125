/* Answers that need no more than a client and an id.  Loop's thread only. */
#ifndef PLUGD_ANSWER_H
#define PLUGD_ANSWER_H

#include "ipc/doorman.h"
#include "plugin/registry.h"

/* REPLY to a call that never became one.  `message` NULL: the code's own text. */
void answer_call(struct client *client, uint64_t id, plug_err outcome, const char *message);

/* RESPONSE to a request, the last one. */
void answer_request(struct client *client, uint64_t id, plug_err outcome, const char *message);

/* What to say of a plugin that does not exist, with the near miss. */
void answer_no_plugin_text(const struct registry *registry, const char *name, char *text,
			   size_t size);

/* PLUG_ENOTFOUND with the near miss, to a call or a request. */
void answer_no_plugin(struct client *client, uint64_t id, const struct registry *registry,
		      const char *name, bool is_call);

#endif
