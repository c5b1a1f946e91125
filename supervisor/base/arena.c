#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most users need little: the first chunk is small, later ones grow. */
#define FIRST_CHUNK_BYTES ((size_t)1024)
#define LARGE_CHUNK_BYTES ((size_t)32 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t used; /* bytes of data[] given out */
	size_t size; /* bytes of data[] */
	alignas(max_align_t) unsigned char data[];
};

void
arena_init(struct arena *arena, size_t cap_bytes)
{
	*arena = (struct arena){.cap_bytes = cap_bytes};
}

void
arena_fini(struct arena *arena)
{
	struct arena_chunk *chunk = arena->chunks;

	while (chunk) {
		struct arena_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	arena_init(arena, arena->cap_bytes);
}

static size_t
next_chunk_bytes(const struct arena *arena)
{
	size_t size = arena->chunks ? arena->chunks->size * 2 : FIRST_CHUNK_BYTES;

	return size < LARGE_CHUNK_BYTES ? size : LARGE_CHUNK_BYTES;
}

static struct arena_chunk *
add_chunk(struct arena *arena, size_t least)
{
	size_t left = arena->cap_bytes - arena->taken_bytes;
	size_t size = next_chunk_bytes(arena);
	struct arena_chunk *chunk;

	if (least > SIZE_MAX - sizeof(*chunk) || least + sizeof(*chunk) > left)
		return NULL;
	if (size < least || size + sizeof(*chunk) > left)
		size = least;
	chunk = malloc(sizeof(*chunk) + size);
	if (!chunk)
		return NULL;
	chunk->next = arena->chunks;
	chunk->used = 0;
	chunk->size = size;
	arena->chunks = chunk;
	arena->taken_bytes += sizeof(*chunk) + size;
	return chunk;
}

void *
arena_alloc(struct arena *arena, size_t bytes)
{
	const size_t align = alignof(max_align_t);
	struct arena_chunk *chunk = arena->chunks;
	size_t need = bytes ? bytes : 1;
	void *memory;

	if (need > SIZE_MAX - align)
		goto none;
	need = (need + align - 1) / align * align;
	if (!chunk || chunk->size - chunk->used < need)
		chunk = add_chunk(arena, need);
	if (!chunk)
		goto none;
	memory = chunk->data + chunk->used;
	chunk->used += need;
	return memset(memory, 0, need);
none:
	arena->failed = true;
	return NULL;
}

void *
arena_array(struct arena *arena, size_t count, size_t bytes)
{
	if (bytes && count > SIZE_MAX / bytes) {
		arena->failed = true;
		return NULL;
	}
	return arena_alloc(arena, count * bytes);
}

char *
arena_strndup(struct arena *arena, const char *text, size_t length)
{
	char *copy;

	if (!text)
		return NULL;
	if (length == SIZE_MAX) {
		arena->failed = true;
		return NULL;
	}
	copy = arena_alloc(arena, length + 1);
	return copy ? memcpy(copy, text, length) : NULL;
}

char *
arena_strdup(struct arena *arena, const char *text)
{
	return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *
arena_vprintf(struct arena *arena, const char *format, va_list args)
{
	va_list again;
	int length;
	char *text = NULL;

	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, args);
	if (length < 0)
		arena->failed = true;
	else
		text = arena_alloc(arena, (size_t)length + 1);
	if (text)
		vsnprintf(text, (size_t)length + 1, format, again);
	va_end(again);
	return text;
}

char *
arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = arena_vprintf(arena, format, args);
	va_end(args);
	return text;
}
