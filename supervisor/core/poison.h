/*
 * Requests that processes died of.  Pure: the time is the caller's.
 *
 *   SUSPECTED --executing at the next death--> CONFIRMED --asked for again--> REFUSED
 *       |                                          |                            |
 *       +--answered, or ten minutes----------------+--ten minutes, or an operator--> CLEARED
 *
 * A death here is one that a request may have brought about; which those are is the caller's
 * to know.  A request is named by a digest and belongs to the user that sent it: what one user
 * sends is never refused because of another's.
 */
#ifndef PLUGD_POISON_H
#define PLUGD_POISON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define POISON_MS      (10ull * 60 * 1000)
#define POISON_ENTRIES 256 /* remembered; cleared ones make room first, then suspected ones */
#define POISON_NAME    64
#define POISON_DIGEST  32 /* bytes of SHA-256 */

enum poison_state { POISON_SUSPECTED, POISON_CONFIRMED, POISON_REFUSED, POISON_CLEARED };

struct poison_key {
	char plugin[POISON_NAME], method[POISON_NAME];
	uint32_t uid;
	uint64_t bytes; /* of the payload */
	uint8_t digest[POISON_DIGEST];
};

struct poison_entry {
	struct list node;
	struct poison_key key;
	enum poison_state state;
	uint64_t id; /* from 1, for people */
	uint32_t deaths, last_death;
	uint64_t refusals;
	uint64_t first_ms, last_ms; /* of its deaths */
	uint64_t until_ms;          /* then it is cleared */
	char cleared[48];           /* why; "": it is not */
};

struct poison {
	struct list entries; /* oldest first */
	size_t count, live;  /* live: not cleared */
	uint64_t last_id;
};

enum poison_verdict {
	POISON_FREE,  /* not known, or cleared */
	POISON_ALONE, /* suspected: not beside another one that is */
	POISON_NO     /* refused */
};

void poison_init(struct poison *poison);
void poison_fini(struct poison *poison);

/* Could a request of this size be known?  False is the rule, and cheap: without it no digest is
 * needed. */
bool poison_may_know(const struct poison *poison, const char *plugin, const char *method,
		     uint32_t uid, uint64_t bytes);

/* What is to be done with a request that comes; a refusal is counted.  `ret_entry`, the entry, is
 * not set for FREE. */
enum poison_verdict poison_judge(struct poison *poison, const struct poison_key *key,
				 uint64_t now_ms, const struct poison_entry **ret_entry);

/* It was executing at this death, a number that no other death of the plugin has.  NULL when
 * memory is short.  *ret_confirmed: it is now, and was not before. */
const struct poison_entry *poison_accuse(struct poison *poison, const struct poison_key *key,
					 uint32_t death, uint64_t now_ms, bool *ret_confirmed);

/* It was answered: a suspected one is cleared. */
void poison_acquit(struct poison *poison, const struct poison_key *key, uint64_t now_ms);

/* An operator's word: of `plugin` (NULL: of all), the entry `id` (0: all).  Returns how many were
 * cleared. */
size_t poison_clear(struct poison *poison, const char *plugin, uint64_t id);

/* Clear those whose time is over; the others do so themselves. */
void poison_expire(struct poison *poison, uint64_t now_ms);

/* One that was remembered by another plugd, as the youngest; not in `poison` yet.  False when
 * memory is short, or there are POISON_ENTRIES. */
bool poison_take(struct poison *poison, const struct poison_entry *entry);

/* "suspected" … */
const char *poison_state_name(enum poison_state state);

#endif
