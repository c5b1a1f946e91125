/*
 * States for fuzz_upgrade.c: one that a whole plugd (door_world.h) has saved, with something of
 * everything in it, and changes to it that leave it a well-formed message.
 */
#ifndef UPGRADE_STATE_H
#define UPGRADE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "state.pb-c.h"

/* Packed, without its head; made at the first call, the same in every process. */
const uint8_t *upgrade_state(size_t *ret_size);

/* Bytes to messages of the arena, or NULL. */
Plugd__Saved *upgrade_unpack(const uint8_t *bytes, size_t size, struct arena *arena);

/* Change one field of one message: `which` (modulo) of all that there are, how, and to what. */
void upgrade_edit(Plugd__Saved *saved, unsigned which, unsigned how, struct arena *arena);

/* Every field of every message, each repeated message by itself. */
void upgrade_each_field(ProtobufCMessage *message,
			void (*on_field)(void *user, ProtobufCMessage *message,
					 const ProtobufCFieldDescriptor *field),
			void *user);

#endif
