/* Walking and ending trees of processes; for tree.c and stranger.c only. */
#ifndef PLUGD_TREE_WALK_H
#define PLUGD_TREE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TREE_WALK_MAX 8192 /* processes in one walk; what is beyond is found by the next */

/*
 * Breadth first, so that parents come before their children.  Too large for a stack: one static one
 * in tree.c serves all, which is why nothing there is re-entrant.
 */
struct tree_walk {
	pid_t pids[TREE_WALK_MAX];
	pid_t parents[TREE_WALK_MAX];
	size_t count;
	size_t roots; /* the first so many were given */
};

/* The shared walk, emptied. */
struct tree_walk *tree_walk_begin(void);

/* false when it is full. */
bool tree_walk_add_root(struct tree_walk *walk, pid_t pid, pid_t parent);

/* All children of `parent` become roots. */
void tree_walk_add_children(struct tree_walk *walk, pid_t parent);

/* Freeze the roots and their descendants, then kill them.  Returns how many were alive. */
unsigned tree_walk_kill(struct tree_walk *walk);

#endif
