#include "store/minisign.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define COMMENT "untrusted comment:"
#define TRUSTED "trusted comment: "

/* Of the binary forms, as minisign writes them: without padding. */
struct key_bytes {
	unsigned char algorithm[2], id[8], key[32];
};

struct signature_bytes {
	unsigned char algorithm[2], id[8], bytes[64];
};

_Static_assert(sizeof(struct key_bytes) == 42 && sizeof(struct signature_bytes) == 74,
	       "nothing is between the members");

struct lines {
	const char *at, *end;
};

struct line {
	const char *text; /* NULL: there was none */
	size_t size;
};

static struct line
next_line(struct lines *lines)
{
	struct line line = {NULL, 0};
	const char *end;

	if (lines->at == lines->end)
		return line;
	end = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
	line.text = lines->at;
	line.size = (size_t)((end ? end : lines->end) - lines->at);
	lines->at = end ? end + 1 : lines->end;
	if (line.size && line.text[line.size - 1] == '\r')
		line.size--;
	return line;
}

static bool
begins_with(struct line line, const char *word)
{
	return line.text && line.size >= strlen(word) && !memcmp(line.text, word, strlen(word));
}

/* All of the line, and exactly so many bytes. */
static bool
decode(struct line line, void *into, size_t bytes)
{
	const char *end;
	size_t got;

	return line.text &&
	       !sodium_base642bin(into, bytes, line.text, line.size, NULL, &got, &end,
				  sodium_base64_VARIANT_ORIGINAL) &&
	       got == bytes && end == line.text + line.size;
}

static bool
only_blank(struct lines *lines)
{
	for (; lines->at < lines->end; lines->at++)
		if (!strchr(" \t\r\n", *lines->at) || !*lines->at)
			return false;
	return true;
}

plug_err
minisign_parse_key(const char *text, size_t size, struct minisign_key *ret, struct reason *why)
{
	struct lines lines = {text, text + size};
	struct key_bytes bytes;
	struct line line;

	if (size > MINISIGN_TEXT_BYTES)
		return reason_set(why, PLUG_EINVAL, "%zu bytes are no minisign public key", size);
	line = next_line(&lines);
	if (begins_with(line, COMMENT))
		line = next_line(&lines);
	if (!decode(line, &bytes, sizeof(bytes)) || !only_blank(&lines))
		return reason_set(why, PLUG_EINVAL,
				  "not a minisign public key; expected \"%s …\" and a line of 56 "
				  "base64 characters, or that line alone",
				  COMMENT);
	if (memcmp(bytes.algorithm, "Ed", 2))
		return reason_set(why, PLUG_EINVAL,
				  "a key of another kind than minisign's Ed25519");
	memcpy(ret->id, bytes.id, sizeof(ret->id));
	memcpy(ret->key, bytes.key, sizeof(ret->key));
	return PLUG_OK;
}

static plug_err
take_signature(const struct signature_bytes *bytes, struct minisign_signature *made,
	       struct reason *why)
{
	made->prehashed = !memcmp(bytes->algorithm, "ED", 2);
	if (!made->prehashed && memcmp(bytes->algorithm, "Ed", 2))
		return reason_set(why, PLUG_EINVAL,
				  "a signature of another kind than minisign's Ed25519");
	memcpy(made->id, bytes->id, sizeof(made->id));
	memcpy(made->bytes, bytes->bytes, sizeof(made->bytes));
	return PLUG_OK;
}

plug_err
minisign_parse_signature(const char *text, size_t size, struct minisign_signature *ret,
			 struct reason *why)
{
	struct lines lines = {text, text + size};
	struct minisign_signature made = {.prehashed = false};
	struct signature_bytes bytes;
	struct line line;
	plug_err err;

	if (size > MINISIGN_TEXT_BYTES)
		return reason_set(why, PLUG_EINVAL, "%zu bytes are no minisign signature", size);
	if (!begins_with(next_line(&lines), COMMENT) ||
	    !decode(next_line(&lines), &bytes, sizeof(bytes)))
		return reason_set(why, PLUG_EINVAL,
				  "not a minisign signature; expected \"%s …\", then a line of 100 "
				  "base64 characters",
				  COMMENT);
	err = take_signature(&bytes, &made, why);
	if (err)
		return err;
	line = next_line(&lines);
	if (!begins_with(line, TRUSTED) || line.size - strlen(TRUSTED) >= sizeof(made.comment) ||
	    memchr(line.text, '\0', line.size))
		return reason_set(why, PLUG_EINVAL,
				  "a minisign signature without its trusted comment of at most %d "
				  "bytes",
				  MINISIGN_COMMENT_BYTES - 1);
	memcpy(made.comment, line.text + strlen(TRUSTED), line.size - strlen(TRUSTED));
	if (!decode(next_line(&lines), made.global, sizeof(made.global)) || !only_blank(&lines))
		return reason_set(why, PLUG_EINVAL,
				  "a minisign signature without the signature of its trusted "
				  "comment, or with more behind it");
	*ret = made;
	return PLUG_OK;
}

/* The global signature is over the signature and the comment. */
static bool
comment_is_signed(const struct minisign_signature *signature, const struct minisign_key *key)
{
	unsigned char both[sizeof(signature->bytes) + MINISIGN_COMMENT_BYTES];
	size_t length = strlen(signature->comment);

	memcpy(both, signature->bytes, sizeof(signature->bytes));
	memcpy(both + sizeof(signature->bytes), signature->comment, length);
	return !crypto_sign_verify_detached(signature->global, both,
					    sizeof(signature->bytes) + length, key->key);
}

plug_err
minisign_verify(const struct minisign_signature *signature, const struct minisign_key *key,
		const struct minisign_message *message, struct reason *why)
{
	const unsigned char *bytes = signature->prehashed ? message->hash : message->bytes;
	size_t size = signature->prehashed ? MINISIGN_HASH_BYTES : message->size;
	char theirs[MINISIGN_ID_BYTES], ours[MINISIGN_ID_BYTES];

	minisign_id_text(signature->id, theirs);
	minisign_id_text(key->id, ours);
	if (memcmp(signature->id, key->id, sizeof(key->id)))
		return reason_set(why, PLUG_EDENIED, "signed by key %s, expected %s", theirs, ours);
	if (!bytes || crypto_sign_verify_detached(signature->bytes, bytes, size, key->key))
		return reason_set(why, PLUG_EDENIED,
				  "the signature by key %s is not of these bytes: the file was "
				  "changed, or the signature is another file's",
				  theirs);
	if (!comment_is_signed(signature, key))
		return reason_set(why, PLUG_EDENIED,
				  "the trusted comment is not the one that key %s signed", theirs);
	return PLUG_OK;
}

void
minisign_id_text(const unsigned char id[8], char text[MINISIGN_ID_BYTES])
{
	for (int i = 0; i < 8; i++) /* a number, its lowest byte first */
		snprintf(text + 2 * i, 3, "%02X", id[7 - i]);
}
