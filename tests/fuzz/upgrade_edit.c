/* Changes to a state, by what its descriptors say of it. */
#include <string.h>

#include "fuzz.h"
#include "upgrade_state.h"

/* ---- walking ---- */

static void *
at(ProtobufCMessage *message, unsigned offset)
{
	return (char *)message + offset;
}

void
upgrade_each_field(ProtobufCMessage *message,
		   void (*on_field)(void *user, ProtobufCMessage *message,
				    const ProtobufCFieldDescriptor *field),
		   void *user)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		void *value = at(message, field->offset);

		on_field(user, message, field);
		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (field->label != PROTOBUF_C_LABEL_REPEATED) {
			if (*(ProtobufCMessage **)value)
				upgrade_each_field(*(ProtobufCMessage **)value, on_field, user);
			continue;
		}
		for (size_t n = 0; n < *(size_t *)at(message, field->quantifier_offset); n++)
			upgrade_each_field((*(ProtobufCMessage ***)value)[n], on_field, user);
	}
}

/* ---- values ---- */

struct edit {
	unsigned left, how;
	struct arena *arena;
	ProtobufCMessage *message;
	const ProtobufCFieldDescriptor *field;
};

static void *
take(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void
leave(void *arena, void *pointer)
{
	(void)arena;
	(void)pointer;
}

Plugd__Saved *
upgrade_unpack(const uint8_t *bytes, size_t size, struct arena *arena)
{
	ProtobufCAllocator allocator = {take, leave, arena};

	return plugd__saved__unpack(&allocator, size, bytes);
}

static uint64_t
number(uint64_t old, unsigned how)
{
	static const uint64_t numbers[] = {
		0,          1,
		2,          3,
		4,          5,
		63,         64,
		65,         255,
		4096,       65536,
		UINT32_MAX, UINT32_MAX - 1,
		INT32_MAX,  (uint64_t)INT32_MAX + 1,
		INT64_MAX,  UINT64_MAX,
	};
	size_t count = sizeof(numbers) / sizeof(*numbers);

	if (how % (count + 2) < count)
		return numbers[how % (count + 2)];
	return how % (count + 2) == count ? old + 1 : old - 1;
}

static char *
text(char *old, unsigned how)
{
	static char long_text[5000];
	static const char *const texts[] = {
		"",     "live",   "still",    "wrong",     "stopped",     "ready",   "starting",
		"gone", "queued", "sent",     "receiving", "offered",     "open",    "abandoned",
		"idle", "\xff",   "a\nb",     "refused",   "suspected",   "cleared", "quarantined",
		"/",    "stuck",  "stopping", "killing",   "draining",    "backoff", "testing",
		"echo", "plugd",  "size=5",   "key",       "plugin: x\n", "%s%n",    long_text,
	};
	size_t count = sizeof(texts) / sizeof(*texts);

	if (how >= 128) { /* cut in the middle of itself */
		size_t length = strlen(old);

		return length ? old + (how - 128) % length : old;
	}
	memset(long_text, 'x', sizeof(long_text) - 1);
	return (char *)(uintptr_t)texts[how % count];
}

static void
change_bytes(ProtobufCBinaryData *bytes, unsigned how, struct arena *arena)
{
	size_t size = how & 1 ? bytes->len + 1 + how / 2 : bytes->len * (how / 2) / 128;
	uint8_t *data = arena_alloc(arena, size + 1);

	if (!data)
		return;
	memset(data, (int)how, size);
	if (bytes->len)
		memcpy(data, bytes->data, size < bytes->len ? size : bytes->len);
	if (size && how >= 240)
		data[how % size] ^= (uint8_t)how;
	*bytes = (ProtobufCBinaryData){size, data};
}

static ProtobufCMessage *
new_message(const ProtobufCFieldDescriptor *field, struct arena *arena)
{
	const ProtobufCMessageDescriptor *descriptor = field->descriptor;
	ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);

	if (message)
		descriptor->message_init(message);
	return message;
}

static void
change_value(const struct edit *edit, void *value)
{
	switch (edit->field->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)value =
			edit->how & 1 ? NULL : new_message(edit->field, edit->arena);
		return;
	case PROTOBUF_C_TYPE_STRING:
		*(char **)value = text(*(char **)value, edit->how);
		return;
	case PROTOBUF_C_TYPE_BYTES:
		change_bytes(value, edit->how, edit->arena);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)value = !*(protobuf_c_boolean *)value;
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		*(uint64_t *)value = number(*(uint64_t *)value, edit->how);
		return;
	default:
		*(uint32_t *)value = (uint32_t)number(*(uint32_t *)value, edit->how);
	}
}

/* ---- lists ---- */

static size_t
size_of(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_STRING:
		return 8;
	default:
		return 4;
	}
}

/* One more: like the last, or empty. */
static void
append(const struct edit *edit, bool like_last)
{
	size_t *count = at(edit->message, edit->field->quantifier_offset);
	char **items = at(edit->message, edit->field->offset);
	size_t size = size_of(edit->field);
	char *grown = arena_array(edit->arena, *count + 1, size);
	void *empty = edit->field->type == PROTOBUF_C_TYPE_MESSAGE
			      ? (void *)new_message(edit->field, edit->arena)
			      : (void *)(uintptr_t) "";

	if (!grown || !empty)
		return;
	if (*count)
		memcpy(grown, *items, *count * size);
	if (like_last && *count)
		memcpy(grown + *count * size, grown + (*count - 1) * size, size);
	else if (edit->field->type == PROTOBUF_C_TYPE_MESSAGE ||
		 edit->field->type == PROTOBUF_C_TYPE_STRING)
		memcpy(grown + *count * size, &empty, size);
	*items = grown;
	++*count;
}

static void
swap(const struct edit *edit, size_t a, size_t b)
{
	char *items = *(char **)at(edit->message, edit->field->offset);
	size_t size = size_of(edit->field);
	char held[8];

	memcpy(held, items + a * size, size);
	memcpy(items + a * size, items + b * size, size);
	memcpy(items + b * size, held, size);
}

static void
change_list(const struct edit *edit)
{
	size_t *count = at(edit->message, edit->field->quantifier_offset);
	char *items = *(char **)at(edit->message, edit->field->offset);

	switch (edit->how % 8) {
	case 0:
		*count = 0;
		return;
	case 1:
		append(edit, false);
		return;
	case 2:
	case 3:
		for (unsigned i = 0; i <= edit->how / 8; i++)
			append(edit, true);
		return;
	case 4:
		if (*count)
			swap(edit, 0, *count - 1);
		return;
	case 5:
		if (*count)
			swap(edit, edit->how / 8 % *count, *count - 1);
		*count -= *count > 0;
		return;
	default: /* a message as an item is changed by itself */
		if (*count && edit->field->type != PROTOBUF_C_TYPE_MESSAGE)
			change_value(edit, items + edit->how / 8 % *count * size_of(edit->field));
	}
}

/* ---- one change ---- */

static void
count_field(void *user, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	(void)message;
	(void)field;
	++*(unsigned *)user;
}

static void
find_field(void *user, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	struct edit *edit = user;

	if (!edit->left--) {
		edit->message = message;
		edit->field = field;
	}
}

void
upgrade_edit(Plugd__Saved *saved, unsigned which, unsigned how, struct arena *arena)
{
	struct edit edit = {.how = how, .arena = arena};
	unsigned count = 0;

	upgrade_each_field(&saved->base, count_field, &count);
	edit.left = which % count;
	upgrade_each_field(&saved->base, find_field, &edit);
	CHECK(edit.field);
	if (edit.field->label == PROTOBUF_C_LABEL_REPEATED)
		change_list(&edit);
	else
		change_value(&edit, at(edit.message, edit.field->offset));
}
