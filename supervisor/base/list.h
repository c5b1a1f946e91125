/* Intrusive doubly linked list.  A head and every node not on a list point to themselves. */
#ifndef PLUGD_LIST_H
#define PLUGD_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(head)          \
	{                        \
		&(head), &(head) \
	}

static inline void
list_init(struct list *node)
{
	node->next = node->prev = node;
}

static inline bool
list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void
list_append(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Safe on a node that is on no list. */
static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Move all of `from` to the end of `to`. */
static inline void
list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

#define LIST_FIRST(head, type, member) \
	(list_empty(head) ? NULL : LIST_ENTRY((head)->next, type, member))

#define LIST_FOREACH(var, head, type, member)                                            \
	for (type *var = LIST_ENTRY((head)->next, type, member); &var->member != (head); \
	     var = LIST_ENTRY(var->member.next, type, member))

/* The body may remove and free `var`, and nothing else of the list. */
#define LIST_FOREACH_SAFE(var, head, type, member)                          \
	for (type *var = LIST_ENTRY((head)->next, type, member),            \
		  *var##_next = LIST_ENTRY(var->member.next, type, member); \
	     &var->member != (head);                                        \
	     var = var##_next, var##_next = LIST_ENTRY(var->member.next, type, member))

#endif
