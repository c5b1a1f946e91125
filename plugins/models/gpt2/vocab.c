#include "vocab.h"

#include "files.h"
#include "model_config.h"
#include "scope.h"
#include "utf8.h"

#include <string.h>

#define FILE_MAX_BYTES (64u << 20)
#define END_OF_TEXT    "<|endoftext|>"

struct reader {
	struct vocab *vocab;
	const char *vocab_path, *merges_path;
	json_t *ids; /* token text -> number */
	struct failure *failure;
};

/*
 * GPT-2 writes bytes as printable characters: those that print stand for themselves, the others
 * are numbered upwards from U+0100 in order.
 */
static bool
prints_itself(uint32_t c)
{
	return (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

/* The byte that character `c` stands for, or -1. */
static int
byte_of(uint32_t c)
{
	uint32_t next = 0x100;

	if (c < 0x100)
		return prints_itself(c) ? (int)c : -1;
	for (int byte = 0; byte < 0x100; byte++)
		if (!prints_itself((uint32_t)byte) && next++ == c)
			return byte;
	return -1;
}

/*
 * Token text to bytes.  A token that is not written in the byte alphabet (some special ones are
 * not) stands for its own UTF-8.
 */
static size_t
token_bytes(const char *text, unsigned char *to)
{
	size_t size = strlen(text), count = 0, at = 0;

	while (at < size) {
		uint32_t c = 0;
		int n = utf8_next((const unsigned char *)text + at, size - at, &c);
		int byte = n > 0 ? byte_of(c) : -1;

		if (byte < 0) {
			memcpy(to, text, size);
			return size;
		}
		to[count++] = (unsigned char)byte;
		at += (size_t)n;
	}
	return count;
}

static int
check_id(const struct reader *in, const char *text, json_t *id, const char *const *by_id)
{
	if (!json_is_integer(id) || json_integer_value(id) < 0 ||
	    json_integer_value(id) >= in->vocab->size)
		return failf(in->failure, "%s: token \"%.80s\" is not numbered 0 to %u",
			     in->vocab_path, text, in->vocab->size - 1);
	if (by_id[json_integer_value(id)])
		return failf(in->failure,
			     "%s: tokens \"%.80s\" and \"%.80s\" have the same number %d",
			     in->vocab_path, by_id[json_integer_value(id)], text,
			     (int)json_integer_value(id));
	return 0;
}

static int
index_tokens(const struct reader *in, const char **by_id, size_t *ret_bytes)
{
	const char *text;
	json_t *id;

	if (json_object_size(in->ids) != in->vocab->size)
		return failf(in->failure,
			     "%s: %zu tokens, but config.json says vocab_size %u: the tokenizer "
			     "does not belong to this model",
			     in->vocab_path, json_object_size(in->ids), in->vocab->size);
	*ret_bytes = 0;
	json_object_foreach(in->ids, text, id)
	{
		if (check_id(in, text, id, by_id) < 0)
			return -1;
		by_id[json_integer_value(id)] = text;
		*ret_bytes += strlen(text);
	}
	return 0;
}

static int
read_tokens(const struct reader *in)
{
	struct vocab *vocab = in->vocab;
	AUTO_FREE const char **by_id = calloc(vocab->size, sizeof(*by_id));
	size_t bytes = 0;

	if (!by_id || index_tokens(in, by_id, &bytes) < 0)
		return by_id ? -1 : fail_memory(in->failure, in->vocab_path);
	vocab->bytes = malloc(bytes + 1);
	vocab->starts = calloc((size_t)vocab->size + 1, sizeof(*vocab->starts));
	if (!vocab->bytes || !vocab->starts)
		return fail_memory(in->failure, in->vocab_path);
	for (uint32_t id = 0; id < vocab->size; id++) {
		size_t start = vocab->starts[id];

		vocab->starts[id + 1] = start + token_bytes(by_id[id], vocab->bytes + start);
	}
	return 0;
}

static uint32_t
find_token(const struct reader *in, const char *text)
{
	json_t *id = json_object_get(in->ids, text);

	return id ? (uint32_t)json_integer_value(id) : NO_TOKEN;
}

static int
find_byte_tokens(const struct reader *in)
{
	uint32_t next = 0x100;

	for (uint32_t byte = 0; byte < 0x100; byte++) {
		unsigned char text[5] = {0};

		utf8_put(prints_itself(byte) ? byte : next++, text);
		in->vocab->by_byte[byte] = find_token(in, (const char *)text);
		if (in->vocab->by_byte[byte] == NO_TOKEN)
			return failf(in->failure,
				     "%s: no token for the single byte 0x%02x (\"%s\"): not a "
				     "byte-level vocabulary",
				     in->vocab_path, byte, (const char *)text);
	}
	in->vocab->end_of_text = find_token(in, END_OF_TEXT);
	return 0;
}

static size_t
slot_of(const struct vocab *vocab, uint64_t pair)
{
	size_t slot = (size_t)((pair * 0x9e3779b97f4a7c15ull) >> 20) & (vocab->merge_slots - 1);

	while (vocab->merges[slot].token != NO_TOKEN && vocab->merges[slot].pair != pair)
		slot = (slot + 1) & (vocab->merge_slots - 1);
	return slot;
}

/* `line` is "left right"; it is cut in two. */
static int
read_merge(const struct reader *in, char *line, unsigned number)
{
	struct vocab *vocab = in->vocab;
	char *right = strchr(line, ' ');
	AUTO_FREE char *both = NULL;
	uint32_t tokens[3];
	struct merge *merge;

	if (!right || right == line || !right[1] || strchr(right + 1, ' '))
		return failf(in->failure, "%s:%u: expected two tokens with one space between them",
			     in->merges_path, number);
	*right++ = '\0';
	if (asprintf(&both, "%s%s", line, right) < 0)
		return fail_memory(in->failure, in->merges_path);
	for (int i = 0; i < 3; i++) {
		const char *text = i == 0 ? line : i == 1 ? right : both;

		tokens[i] = find_token(in, text);
		if (tokens[i] == NO_TOKEN)
			return failf(
				in->failure,
				"%s:%u: token \"%.80s\" is not in vocab.json: the two files do "
				"not belong together",
				in->merges_path, number, text);
	}
	merge = &vocab->merges[slot_of(vocab, (uint64_t)tokens[0] << 32 | tokens[1])];
	if (merge->token != NO_TOKEN)
		return failf(in->failure, "%s:%u: \"%.80s %.80s\" is merged a second time",
			     in->merges_path, number, line, right);
	*merge = (struct merge){.pair = (uint64_t)tokens[0] << 32 | tokens[1],
				.rank = (uint32_t)vocab->merge_count++,
				.token = tokens[2]};
	return 0;
}

static int
make_merge_table(struct vocab *vocab, const char *data)
{
	size_t lines = 1;

	for (const char *at = data; (at = strchr(at, '\n')); at++)
		lines++;
	vocab->merge_slots = 16;
	while (vocab->merge_slots < 2 * lines)
		vocab->merge_slots *= 2;
	vocab->merges = malloc(vocab->merge_slots * sizeof(*vocab->merges));
	for (size_t i = 0; vocab->merges && i < vocab->merge_slots; i++)
		vocab->merges[i].token = NO_TOKEN;
	return vocab->merges ? 0 : -1;
}

static int
read_merges(const struct reader *in)
{
	AUTO_FREE char *data = NULL;
	char *save = NULL, *next;
	unsigned number = 0;
	size_t size;

	if (file_read(in->merges_path, FILE_MAX_BYTES, &data, &size, in->failure) < 0)
		return -1;
	if (strlen(data) != size)
		return failf(in->failure, "%s: holds a NUL byte at %zu", in->merges_path,
			     strlen(data));
	if (make_merge_table(in->vocab, data) < 0)
		return fail_memory(in->failure, in->merges_path);
	for (save = data; save; save = next) {
		next = strchr(save, '\n');
		if (next)
			*next++ = '\0';
		number++;
		save[strcspn(save, "\r")] = '\0';
		if (!*save || (number == 1 && strncmp(save, "#version", 8) == 0))
			continue;
		if (read_merge(in, save, number) < 0)
			return -1;
	}
	return 0;
}

int
vocab_load(struct vocab *vocab, const char *vocab_path, const char *merges_path, uint32_t expected,
	   struct failure *failure)
{
	AUTO_JSON json_t *ids = NULL;
	struct vocab loaded = {.size = expected};
	struct reader in = {.vocab = &loaded,
			    .vocab_path = vocab_path,
			    .merges_path = merges_path,
			    .failure = failure};

	if (file_read_json(vocab_path, FILE_MAX_BYTES, &ids, failure) < 0)
		return -1;
	in.ids = ids;
	if (read_tokens(&in) < 0 || find_byte_tokens(&in) < 0 || read_merges(&in) < 0) {
		vocab_fini(&loaded);
		return -1;
	}
	*vocab = loaded;
	return 0;
}

void
vocab_fini(struct vocab *vocab)
{
	free(vocab->bytes);
	free(vocab->starts);
	free(vocab->merges);
	*vocab = (struct vocab){0};
}

const unsigned char *
vocab_bytes(const struct vocab *vocab, uint32_t token, size_t *ret_count)
{
	*ret_count = vocab->starts[token + 1] - vocab->starts[token];
	return vocab->bytes + vocab->starts[token];
}

const struct merge *
vocab_merge(const struct vocab *vocab, uint32_t left, uint32_t right)
{
	const struct merge *merge = &vocab->merges[slot_of(vocab, (uint64_t)left << 32 | right)];

	return merge->token == NO_TOKEN ? NULL : merge;
}
