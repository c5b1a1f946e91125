/* Shared by the instance's own files: instance.c, instance_start.c, instance_session.c. */
#ifndef PLUGD_INSTANCE_PRIVATE_H
#define PLUGD_INSTANCE_PRIVATE_H

#include "plugin/instance.h"

extern const struct session_ops instance_session_ops;

void instance_init_watchers(struct instance *in);
/* The process exists: watch its end, and the deadline of its start. */
void instance_watch(struct instance *in);

void instance_on_hello(struct instance *in, const Plug__Hello *hello);
void instance_on_message(struct instance *in, const Plug__Envelope *env);

/* Everything it holds, in any stage of being built; frees it. */
void instance_free(struct instance *in);

/* The process is dead: tell everybody, free it. */
void instance_release(struct instance *in);

#endif
