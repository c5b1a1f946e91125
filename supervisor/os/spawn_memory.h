/*
 * The memory of a child between fork and exec; for spawn.c only.
 *
 * A fork copies the page tables of all that the parent has, and both pay for each page that is
 * written afterwards: with a thousand plugins that was more than all else that plugd does to start
 * one.  So the child gets a copy of what it reads, and nothing of the heap.
 */
#ifndef PLUGD_SPAWN_MEMORY_H
#define PLUGD_SPAWN_MEMORY_H

#include "os/spawn_child.h"

/* A copy of all that `child` points to, outside the heap.  NULL with errno when memory is short. */
struct spawn_memory *spawn_memory_new(const struct spawn_child *child);
void spawn_memory_free(struct spawn_memory *memory);

/* Its `child`, for spawn_child_run(); may be changed. */
struct spawn_child *spawn_memory_child(struct spawn_memory *memory);

/* Processes that are made between the two have no heap, if spawn_heap_starts() was called. */
void spawn_memory_hide_heap(void);
void spawn_memory_show_heap(void);

#endif
