/* The payload of a call, from words of the command line. */
#ifndef PLUGCTL_PAYLOAD_H
#define PLUGCTL_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PAYLOAD_WHY_BYTES 512

struct payload {
	char *data; /* freed by payload_fini() */
	size_t size;
	const char *content_type;
};

/*
 * What the words mean:
 *   none          {} for JSON, nothing for other types
 *   -             all of `input`
 *   k=v…          a JSON object.  v is a number, true, false, null, "quoted", @file (a string from
 * a file), or else a string; k:=v takes v as JSON; k=@file reads the file one other     JSON, or
 * plain bytes when content_type is not JSON
 *
 * content_type NULL is application/json.  JSON is checked and sent as it was written.
 * False after the reason was written to `why`.
 */
bool payload_from_words(const char *const *words, size_t count, const char *content_type,
			FILE *input, struct payload *ret, char why[PAYLOAD_WHY_BYTES]);

/* All that is left of a stream, called `name` in messages, with a NUL behind it; the caller frees
 * it.  False after the reason was written to `why`. */
bool payload_read_all(FILE *from, const char *name, char **ret, size_t *ret_size,
		      char why[PAYLOAD_WHY_BYTES]);

void payload_fini(struct payload *payload);

/* "application/json", "application/json; charset=…", "application/problem+json" */
bool payload_is_json(const char *content_type);

/* "text/…" */
bool payload_is_text(const char *content_type);

#endif
