#include "os/kept_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "os/statedir.h"

#define FILE_BYTES ((size_t)1024 * 1024)

void
kept_list_fini(struct kept_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct kept_list){0};
}

bool
kept_list_has(const struct kept_list *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i], text))
			return true;
	return false;
}

plug_err
kept_list_add(struct kept_list *list, const char *text, size_t max)
{
	char **grown;

	if (!*text || strchr(text, '\n'))
		return PLUG_EINVAL;
	if (kept_list_has(list, text))
		return PLUG_OK;
	if (list->count >= max)
		return PLUG_ETOOLARGE;
	grown = realloc(list->items, (list->count + 1) * sizeof(*grown));
	if (!grown)
		return PLUG_ENOMEM;
	list->items = grown;
	grown[list->count] = strdup(text);
	if (!grown[list->count])
		return PLUG_ENOMEM;
	list->count++;
	return PLUG_OK;
}

bool
kept_list_remove(struct kept_list *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i], text))
			continue;
		free(list->items[i]);
		list->count--;
		memmove(list->items + i, list->items + i + 1,
			(list->count - i) * sizeof(*list->items));
		return true;
	}
	return false;
}

plug_err
kept_list_load(struct kept_list *list, int state_fd, const char *name, size_t max)
{
	AUTO_FREE char *text = NULL;
	char *line, *rest;
	size_t size;
	plug_err err = statedir_read(state_fd, name, FILE_BYTES, &text, &size);

	if (err == PLUG_ENOTFOUND)
		return PLUG_OK;
	if (err)
		return err;
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (kept_list_add(list, line, max) == PLUG_ENOMEM)
			return PLUG_ENOMEM;
	return PLUG_OK;
}

plug_err
kept_list_store(const struct kept_list *list, int state_fd, const char *name)
{
	AUTO_FREE char *text = NULL;
	size_t size = 0, used = 0;

	if (!list->count)
		return statedir_remove(state_fd, name);
	for (size_t i = 0; i < list->count; i++)
		size += strlen(list->items[i]) + 1;
	text = malloc(size + 1);
	if (!text)
		return PLUG_ENOMEM;
	for (size_t i = 0; i < list->count; i++)
		used += (size_t)sprintf(text + used, "%s\n", list->items[i]);
	return statedir_write(state_fd, name, text, used);
}
