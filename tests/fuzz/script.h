/* An input that is a script: steps, each a byte and what it needs.  What is missing reads as 0. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stddef.h>
#include <stdint.h>

struct script {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t
script_byte(struct script *script)
{
	if (!script->left)
		return 0;
	script->left--;
	return *script->at++;
}

static inline unsigned
script_word(struct script *script)
{
	unsigned high = script_byte(script);

	return high << 8 | script_byte(script);
}

/* At most `size` bytes; *ret_size says how many there are. */
static inline const uint8_t *
script_bytes(struct script *script, size_t size, size_t *ret_size)
{
	const uint8_t *at = script->at;

	*ret_size = size < script->left ? size : script->left;
	script->at += *ret_size;
	script->left -= *ret_size;
	return at;
}

#endif
