/*
 * The one model of the process, which calls use while load and unload come and go.  An unloaded
 * model lives until its last user lets go.  Any thread.
 */
#ifndef GPT2_HOLDER_H
#define GPT2_HOLDER_H

#include "failure.h"
#include "model.h"

#include <pthread.h>
#include <stdbool.h>

struct held; /* a model and the number of its users */

struct holder {
	pthread_mutex_t lock;    /* over all below */
	pthread_mutex_t loading; /* one load at a time; taken before `lock` */
	struct held *current;    /* NULL: unloaded */
	char *dir;
};

int holder_init(struct holder *holder, const char *dir, struct failure *failure);
void holder_fini(struct holder *holder);

/* Load unless it is loaded.  Blocks while it reads. */
int holder_load(struct holder *holder, struct failure *failure);

/* False when nothing was loaded. */
bool holder_unload(struct holder *holder);

/* NULL while unloaded; otherwise to be given back with holder_release(). */
struct held *holder_take(struct holder *holder);
void holder_release(struct holder *holder, struct held *held); /* NULL is fine */
const struct model *held_model(const struct held *held);

#endif
