/*
 * A word begins as one token a byte.  A heap of the possible merges, lowest rank first and leftmost
 * first among equals, is worked off; an entry whose neighbours have merged otherwise meanwhile is
 * stale and dropped.  Tokens are a linked list in an array, so a merge moves nothing.
 */
#include "tokenizer.h"

#include "model_config.h"
#include "pretokenize.h"
#include "scope.h"
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

#define NONE UINT32_MAX

struct link {
	uint32_t token; /* NO_TOKEN once merged into its left neighbour */
	uint32_t prev, next;
};

struct candidate {
	uint32_t rank, at;
};

struct encoder {
	const struct vocab *vocab;
	struct link *links;
	struct candidate *heap;
	size_t heap_count;
	size_t room; /* bytes of a word that links and heap hold */
	struct token_list *out;
};

int
token_list_add(struct token_list *list, uint32_t id)
{
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		uint32_t *ids = reallocarray(list->ids, room, sizeof(*ids));

		if (!ids)
			return -1;
		list->ids = ids;
		list->room = room;
	}
	list->ids[list->count++] = id;
	return 0;
}

void
token_list_fini(struct token_list *list)
{
	free(list->ids);
	*list = (struct token_list){0};
}

static bool
before(struct candidate a, struct candidate b)
{
	return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void
heap_push(struct encoder *enc, struct candidate new)
{
	size_t i = enc->heap_count++;

	while (i > 0 && before(new, enc->heap[(i - 1) / 2])) {
		enc->heap[i] = enc->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	enc->heap[i] = new;
}

static struct candidate
heap_pop(struct encoder *enc)
{
	struct candidate top = enc->heap[0], last = enc->heap[--enc->heap_count];
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < enc->heap_count; i = child) {
		if (child + 1 < enc->heap_count && before(enc->heap[child + 1], enc->heap[child]))
			child++;
		if (!before(enc->heap[child], last))
			break;
		enc->heap[i] = enc->heap[child];
	}
	enc->heap[i] = last;
	return top;
}

static const struct merge *
merge_at(const struct encoder *enc, uint32_t at)
{
	const struct link *link = &enc->links[at];

	if (link->token == NO_TOKEN || link->next == NONE)
		return NULL;
	return vocab_merge(enc->vocab, link->token, enc->links[link->next].token);
}

static void
offer(struct encoder *enc, uint32_t at)
{
	const struct merge *merge = at == NONE ? NULL : merge_at(enc, at);

	if (merge)
		heap_push(enc, (struct candidate){merge->rank, at});
}

static void
merge_pairs(struct encoder *enc)
{
	while (enc->heap_count) {
		struct candidate best = heap_pop(enc);
		const struct merge *merge = merge_at(enc, best.at);
		struct link *left = &enc->links[best.at], *right;

		if (!merge || merge->rank != best.rank)
			continue;
		right = &enc->links[left->next];
		left->token = merge->token;
		left->next = right->next;
		right->token = NO_TOKEN;
		if (left->next != NONE)
			enc->links[left->next].prev = best.at;
		offer(enc, left->prev);
		offer(enc, best.at);
	}
}

/* A merge takes one candidate out and puts at most two in: three a byte are always enough. */
static int
reserve(struct encoder *enc, size_t bytes)
{
	size_t room = bytes < 64 ? 64 : bytes;
	struct link *links;
	struct candidate *heap;

	if (bytes <= enc->room)
		return 0;
	links = reallocarray(enc->links, room, sizeof(*links));
	if (!links)
		return -1;
	enc->links = links;
	heap = reallocarray(enc->heap, room, 3 * sizeof(*heap));
	if (!heap)
		return -1;
	enc->heap = heap;
	enc->room = room;
	return 0;
}

static int
encode_word(struct encoder *enc, const char *word, size_t size)
{
	if (reserve(enc, size) < 0)
		return -1;
	for (size_t i = 0; i < size; i++)
		enc->links[i] = (struct link){
			.token = enc->vocab->by_byte[(unsigned char)word[i]],
			.prev = i ? (uint32_t)(i - 1) : NONE,
			.next = i + 1 < size ? (uint32_t)(i + 1) : NONE,
		};
	enc->heap_count = 0;
	for (size_t i = 0; i < size; i++)
		offer(enc, (uint32_t)i);
	merge_pairs(enc);
	for (uint32_t at = 0; at != NONE; at = enc->links[at].next)
		if (token_list_add(enc->out, enc->links[at].token) < 0)
			return -1;
	return 0;
}

static int
encode_plain(struct encoder *enc, const char *text, size_t size)
{
	for (size_t at = 0; at < size;) {
		size_t word = pretokenize(text + at, size - at);

		if (encode_word(enc, text + at, word) < 0)
			return -1;
		at += word;
	}
	return 0;
}

/* Special tokens are cut out first: what stands around them is encoded on its own. */
static int
encode_all(struct encoder *enc, const char *text, size_t size)
{
	const struct vocab *vocab = enc->vocab;
	const unsigned char *special;
	size_t special_size;

	if (vocab->end_of_text == NO_TOKEN)
		return encode_plain(enc, text, size);
	special = vocab_bytes(vocab, vocab->end_of_text, &special_size);
	for (;;) {
		const char *found = memmem(text, size, special, special_size);
		size_t plain = found ? (size_t)(found - text) : size;

		if (encode_plain(enc, text, plain) < 0)
			return -1;
		if (!found)
			return 0;
		if (token_list_add(enc->out, vocab->end_of_text) < 0)
			return -1;
		text += plain + special_size;
		size -= plain + special_size;
	}
}

static int
check_utf8(const char *text, size_t size, struct failure *failure)
{
	uint32_t c;

	for (size_t at = 0; at < size;) {
		int n = utf8_next((const unsigned char *)text + at, size - at, &c);

		if (n <= 0)
			return failf(failure, "text is not UTF-8 at byte %zu", at);
		at += (size_t)n;
	}
	return 0;
}

int
tokenizer_encode(const struct vocab *vocab, const char *text, size_t size, struct token_list *out,
		 struct failure *failure)
{
	struct encoder enc = {.vocab = vocab, .out = out};
	int result;

	if (size >= NONE)
		return failf(failure, "text of %zu bytes is too long", size);
	if (check_utf8(text, size, failure) < 0)
		return -1;
	result = encode_all(&enc, text, size);
	free(enc.links);
	free(enc.heap);
	return result < 0 ? fail_memory(failure, "encoding text") : 0;
}

int
tokenizer_decode(const struct vocab *vocab, const uint32_t *ids, size_t count, struct text *out,
		 struct failure *failure)
{
	struct utf8_stream stream = {0};

	for (size_t i = 0; i < count; i++) {
		const unsigned char *bytes;
		size_t size;

		if (ids[i] >= vocab->size)
			return failf(failure, "token %u at %zu, expected 0 to %u", ids[i], i,
				     vocab->size - 1);
		bytes = vocab_bytes(vocab, ids[i], &size);
		if (utf8_stream_push(&stream, bytes, size, out) < 0)
			return fail_memory(failure, "decoding tokens");
	}
	return utf8_stream_end(&stream, out) < 0 ? fail_memory(failure, "decoding tokens") : 0;
}
