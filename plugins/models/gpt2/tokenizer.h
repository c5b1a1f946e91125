/*
 * GPT-2's byte-level BPE: text to tokens.  (Tokens to text: vocab_bytes() through utf8_stream.)
 */
#ifndef GPT2_TOKENIZER_H
#define GPT2_TOKENIZER_H

#include "failure.h"
#include "text.h"
#include "vocab.h"

#include <stddef.h>
#include <stdint.h>

/* Zeroed is empty. */
struct token_list {
	uint32_t *ids;
	size_t count, room;
};

int token_list_add(struct token_list *list, uint32_t id); /* -1 without memory */
void token_list_fini(struct token_list *list);

/*
 * Append the tokens of `text` to `out`.  The text <|endoftext|> is that special token, as in the
 * reference.  Text that is not UTF-8 is refused with the offset of the first bad byte.  Any thread;
 * time grows as size × log(longest word).
 */
int tokenizer_encode(const struct vocab *vocab, const char *text, size_t size,
		     struct token_list *out, struct failure *failure);

/* Append the text of `count` tokens to `out`; bytes that are no UTF-8 become U+FFFD. */
int tokenizer_decode(const struct vocab *vocab, const uint32_t *ids, size_t count, struct text *out,
		     struct failure *failure);

#endif
