/*
 * A list of short texts, each once, that is kept in the state directory: a file with a line for
 * each.  Writing waits for the disk.  One thread at a time.
 */
#ifndef PLUGD_KEPT_LIST_H
#define PLUGD_KEPT_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include <plug/error.h>

/* All zero is an empty one. */
struct kept_list {
	char **items;
	size_t count;
};

void kept_list_fini(struct kept_list *list);

bool kept_list_has(const struct kept_list *list, const char *text);

/* Once; a text with a newline, an empty one and one more than `max` are not kept: PLUG_EINVAL,
 * PLUG_ETOOLARGE.  PLUG_ENOMEM. */
plug_err kept_list_add(struct kept_list *list, const char *text, size_t max);

/* False: it was not there. */
bool kept_list_remove(struct kept_list *list, const char *text);

/* PLUG_OK also when there is no such file.  What is too much or no text is left out. */
plug_err kept_list_load(struct kept_list *list, int state_fd, const char *name, size_t max);

/* PLUG_ESYS: it is not kept; errno says why. */
plug_err kept_list_store(const struct kept_list *list, int state_fd, const char *name);

#endif
