/*
 * Records lie one behind the other from `head` to `tail`.  When there is no room at the end, `wrap`
 * marks where the records end and the next one goes to offset 0; it is 0 while nothing is wrapped.
 */
#include "os/logring.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 1024u

struct record {
	uint64_t time_ms;
	int64_t pid;
	uint32_t generation;
	uint32_t length;
	uint8_t stream, level, continues, unused[5];
	char text[];
};

static size_t
record_bytes(size_t length)
{
	return (sizeof(struct record) + length + 7) & ~(size_t)7;
}

static struct record *
record_at(const struct logring *ring, size_t offset)
{
	return (struct record *)(void *)(ring->data + offset);
}

static size_t
record_after(const struct logring *ring, size_t offset)
{
	offset += record_bytes(record_at(ring, offset)->length);
	return ring->wrap && offset == ring->wrap ? 0 : offset;
}

void
logring_init(struct logring *ring, size_t cap)
{
	*ring = (struct logring){
		.cap = cap < LOGRING_MIN_BYTES ? LOGRING_MIN_BYTES : cap,
		.first_seq = 1,
		.next_seq = 1,
	};
}

void
logring_fini(struct logring *ring)
{
	free(ring->data);
	logring_init(ring, ring->cap);
}

size_t
logring_count(const struct logring *ring)
{
	return (size_t)(ring->next_seq - ring->first_seq);
}

static void
forget_oldest(struct logring *ring)
{
	ring->head = record_after(ring, ring->head);
	if (!ring->head && ring->wrap) {
		ring->wrap = 0;
		ring->epoch++;
	}
	ring->first_seq++;
	ring->lost++;
	if (!logring_count(ring)) {
		ring->head = ring->tail = ring->wrap = 0;
		ring->epoch++;
	}
}

/* Moves to memory of at least twice the size, in order.  false when at the cap or without memory.
 */
static bool
grow(struct logring *ring, size_t needed)
{
	size_t capacity = ring->capacity ? 2 * ring->capacity : FIRST_BYTES, used = 0;
	size_t count = logring_count(ring);
	char *data;

	while (capacity < needed)
		capacity *= 2;
	if (capacity > ring->cap)
		capacity = ring->cap;
	if (capacity <= ring->capacity)
		return false;
	data = malloc(capacity);
	if (!data)
		return false;
	for (size_t i = 0, at = ring->head; i < count; i++, at = record_after(ring, at)) {
		size_t bytes = record_bytes(record_at(ring, at)->length);

		memcpy(data + used, ring->data + at, bytes);
		used += bytes;
	}
	free(ring->data);
	ring->data = data;
	ring->capacity = capacity;
	ring->head = ring->wrap = 0;
	ring->tail = used;
	ring->epoch++;
	return true;
}

static bool
has_room(struct logring *ring, size_t bytes)
{
	if (ring->wrap)
		return ring->tail + bytes <= ring->head;
	return ring->tail + bytes <= ring->capacity;
}

static bool
make_room(struct logring *ring, size_t bytes)
{
	while (!has_room(ring, bytes)) {
		if (grow(ring, bytes))
			continue;
		if (!logring_count(ring))
			return false;
		if (ring->wrap) {
			forget_oldest(ring);
		} else {
			ring->wrap = ring->tail;
			ring->tail = 0;
		}
	}
	return true;
}

uint64_t
logring_append(struct logring *ring, const struct logring_line *line)
{
	bool is_cut = line->length > LOGRING_LINE_BYTES;
	uint32_t length = is_cut ? LOGRING_LINE_BYTES : line->length;
	struct record *record;

	if (!make_room(ring, record_bytes(length))) {
		ring->lost++;
		ring->first_seq = ++ring->next_seq;
		return ring->next_seq - 1;
	}
	record = record_at(ring, ring->tail);
	*record = (struct record){
		.time_ms = line->time_ms,
		.pid = line->pid,
		.generation = line->generation,
		.length = length,
		.stream = line->stream,
		.level = line->level,
		.continues = line->continues || is_cut,
	};
	if (length)
		memcpy(record->text, line->text, length);
	ring->tail += record_bytes(length);
	return ring->next_seq++;
}

struct logring_cursor
logring_from(const struct logring *ring, uint64_t seq)
{
	struct logring_cursor cursor = {.seq = ring->first_seq, .offset = ring->head};

	cursor.epoch = ring->epoch;
	for (; cursor.seq < seq && cursor.seq < ring->next_seq; cursor.seq++)
		cursor.offset = record_after(ring, cursor.offset);
	return cursor;
}

struct logring_cursor
logring_last(const struct logring *ring, size_t n)
{
	return logring_from(ring, n < ring->next_seq ? ring->next_seq - n : 1);
}

bool
logring_next(const struct logring *ring, struct logring_cursor *cursor, struct logring_line *ret)
{
	const struct record *record;

	if (cursor->seq < ring->first_seq || cursor->epoch != ring->epoch)
		*cursor = logring_from(ring, cursor->seq);
	if (cursor->seq >= ring->next_seq)
		return false;
	if (ring->wrap && cursor->offset == ring->wrap)
		cursor->offset = 0; /* it was at the end, and the next record went to the start */
	record = record_at(ring, cursor->offset);
	*ret = (struct logring_line){
		.seq = cursor->seq++,
		.time_ms = record->time_ms,
		.pid = record->pid,
		.generation = record->generation,
		.stream = record->stream,
		.level = record->level,
		.continues = record->continues,
		.length = record->length,
		.text = record->text,
	};
	cursor->offset = record_after(ring, cursor->offset);
	return true;
}
