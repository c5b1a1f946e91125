/*
 * What sdk/shared/message.h found in a message against what protobuf-c found in the same bytes.
 */
#ifndef AGREE_H
#define AGREE_H

#include "codec.h"
#include "message.h"

/* NULL when both say the same, else the name of the first thing in which they differ. */
const char *agree(const struct plugs_message *ours, const Plug__Envelope *theirs);

/* The same of two messages of ours. */
const char *same(const struct plugs_message *a, const struct plugs_message *b);

#endif
