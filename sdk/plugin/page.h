/*
 * This process's side of the vitals page (proto/vitals.h).  Without PLUG_VITALS_FD, or with one
 * that is not a page, the numbers go to private memory and plugd uses PING.  Safe in any thread.
 */
#ifndef PLUG_SDK_PAGE_H
#define PLUG_SDK_PAGE_H

#include <stdint.h>

#include "vitals.h"

struct page {
	struct plug_vitals *vitals; /* never NULL after plugp_page_init() */
	struct plug_vitals own;
};

/* Maps the descriptor that the environment names and closes it. */
void plugp_page_init(struct page *page);

static inline void
page_add(uint64_t *field, uint64_t by)
{
	__atomic_fetch_add(field, by, __ATOMIC_RELAXED);
}

static inline void
page_set(uint64_t *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

/* One tick; the first also stores the magic. */
void plugp_page_tick(struct page *page);

/* A handler of a channel's call took so long; it stands for `weight` calls. */
void plugp_page_took(struct page *page, uint64_t took_ns, uint64_t weight);

/* Slot `slot` executes call `id` since `since_ns`, to be answered by `deadline_ns` (UINT64_MAX: at
 * any time); and nothing any more. */
void plugp_page_executing(struct page *page, unsigned slot, uint64_t id, uint64_t since_ns,
			  uint64_t deadline_ns);
void plugp_page_idle(struct page *page, unsigned slot);

#endif
