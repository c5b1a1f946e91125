/* The name that was probably meant. */
#ifndef PLUGD_SUGGEST_H
#define PLUGD_SUGGEST_H

#include <stddef.h>

#define SUGGEST_NAME_BYTES 64 /* longer words have no near miss */

/*
 * How many edits (insert, delete, replace, swap of neighbours) lead from one word to the other;
 * letter case and '-' for '_' do not count.  Words longer than SUGGEST_NAME_BYTES are far from
 * everything.
 */
unsigned suggest_distance(const char *left, const char *right);

/* A search over names that are not in one array: start, offer each, look at `best`. */
struct suggest {
	const char *word;
	const char *best; /* NULL: nothing is near enough; else one of the offered pointers */
	unsigned distance;
};

void suggest_start(struct suggest *suggest, const char *word);
void suggest_offer(struct suggest *suggest, const char *name);

/* The nearest of a NULL-terminated array, or NULL. */
const char *suggest_from(const char *word, const char *const *names);

#endif
