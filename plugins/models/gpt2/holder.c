#include "holder.h"

#include <stdlib.h>
#include <string.h>

struct held {
	struct model *model;
	unsigned users; /* the holder itself is one */
};

int
holder_init(struct holder *holder, const char *dir, struct failure *failure)
{
	*holder = (struct holder){.lock = PTHREAD_MUTEX_INITIALIZER,
				  .loading = PTHREAD_MUTEX_INITIALIZER,
				  .dir = strdup(dir)};
	return holder->dir ? 0 : fail_memory(failure, "starting");
}

void
holder_fini(struct holder *holder)
{
	holder_unload(holder);
	free(holder->dir);
	holder->dir = NULL;
}

struct held *
holder_take(struct holder *holder)
{
	struct held *held;

	pthread_mutex_lock(&holder->lock);
	held = holder->current;
	if (held)
		held->users++;
	pthread_mutex_unlock(&holder->lock);
	return held;
}

void
holder_release(struct holder *holder, struct held *held)
{
	bool last;

	if (!held)
		return;
	pthread_mutex_lock(&holder->lock);
	last = --held->users == 0;
	pthread_mutex_unlock(&holder->lock);
	if (last) {
		model_free(held->model);
		free(held);
	}
}

static int
load_new(struct holder *holder, struct failure *failure)
{
	struct held *held = calloc(1, sizeof(*held));

	if (!held)
		return fail_memory(failure, "loading a model");
	held->users = 1;
	if (model_load(holder->dir, &held->model, failure) < 0) {
		free(held);
		return -1;
	}
	pthread_mutex_lock(&holder->lock);
	holder->current = held;
	pthread_mutex_unlock(&holder->lock);
	return 0;
}

int
holder_load(struct holder *holder, struct failure *failure)
{
	struct held *held;
	int result = 0;

	pthread_mutex_lock(&holder->loading);
	held = holder_take(holder);
	if (!held)
		result = load_new(holder, failure);
	holder_release(holder, held);
	pthread_mutex_unlock(&holder->loading);
	return result;
}

bool
holder_unload(struct holder *holder)
{
	struct held *held;

	pthread_mutex_lock(&holder->lock);
	held = holder->current;
	holder->current = NULL;
	pthread_mutex_unlock(&holder->lock);
	holder_release(holder, held);
	return held != NULL;
}

const struct model *
held_model(const struct held *held)
{
	return held->model;
}
