/* Between the files of the exchange. */
#ifndef PLUGS_EXCHANGE_PRIVATE_H
#define PLUGS_EXCHANGE_PRIVATE_H

#include "exchange.h"

/* With the exchange's lock held: the number of an arena, shown to the other side if it was not.
 * *ret_dropped: an arena that lost its number, to be dropped without the lock.  Errors as
 * plugs_exchange_send(). */
plug_err plugs_exchange_show(struct plugs_exchange *exchange, struct plug_arena *arena,
			     struct plugs_shown **ret, struct plug_arena **ret_dropped);

/* With the lock held: one buffer less is lent.  An arena to be dropped without the lock, or NULL.
 */
struct plug_arena *plugs_exchange_unused(struct plugs_exchange *exchange,
					 struct plugs_shown *shown);

/* Drop the references to everything lent. */
void plugs_exchange_drop_lent(struct plugs_exchange *exchange);

/* A buffer that was lent, with one more reference; NULL: it is not. */
struct plug_buffer *plugs_exchange_find_lent(struct plugs_exchange *exchange, uint32_t number,
					     uint64_t generation);

#endif
