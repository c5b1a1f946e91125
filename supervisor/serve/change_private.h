/* Shared by change.c (beginning and end) and change_ask.c (the processes). */
#ifndef PLUGD_CHANGE_PRIVATE_H
#define PLUGD_CHANGE_PRIVATE_H

#include "serve/change.h"
#include "serve/control_private.h"

/* Keep change->runtime.  On failure outcome and why are set. */
plug_err change_store(struct change *change);

/* change->spec is in force for all who share what was; then it is over, well. */
void change_apply(struct change *change);

/* It is over, and outcome and why say what came in between.  Frees it, as the one above. */
void change_done_badly(struct change *change);

/* This process has values, and is not on its way out. */
bool change_concerns(const struct instance *in);

/* In ASKING and RETURNING: on, if nobody is waited for.  `change` may be gone afterwards. */
void change_step(struct change *change);
void change_on_deadline(struct ev_loop *loop, ev_timer *w, int revents);

#endif
