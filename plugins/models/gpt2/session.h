/*
 * One sequence being computed: its key-value cache and the scratch space of the forward pass.  The
 * model is shared and read-only; a session belongs to one thread at a time.
 */
#ifndef GPT2_SESSION_H
#define GPT2_SESSION_H

#include "failure.h"
#include "model.h"

#include <stddef.h>
#include <stdint.h>

struct session;

/*
 * `capacity` tokens in all, at most the model's context; of them at most `batch` in one
 * session_feed().  The model must outlive the session.
 */
int session_new(const struct model *model, size_t capacity, size_t batch,
		struct session **ret_session, struct failure *failure);
void session_free(struct session *session); /* NULL is fine */

/* Tokens fed so far, and how many more fit. */
size_t session_length(const struct session *session);
size_t session_left(const struct session *session);

/*
 * Compute the next `count` tokens; 0 < count <= batch, count <= session_left().  Ids must be below
 * the vocabulary's size.
 */
void session_feed(struct session *session, const uint32_t *ids, size_t count);

/* After the last layer norm, of token `row` of the last feed; [embd], valid until the next. */
const float *session_hidden(const struct session *session, size_t row);

/* What follows token `row` of the last feed: `logits` [vocab]. */
void session_logits(const struct session *session, size_t row, float *logits);

#endif
