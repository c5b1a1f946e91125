/*
 * A model of a few kilobytes in a directory of its own, valid until a test spoils one of its files.
 */
#ifndef GPT2_TEST_SCRATCH_MODEL_H
#define GPT2_TEST_SCRATCH_MODEL_H

#include <jansson.h>
#include <stddef.h>

#define SCRATCH_EMBD    8
#define SCRATCH_LAYERS  2
#define SCRATCH_CONTEXT 16
#define SCRATCH_VOCAB   260 /* 256 bytes, three merges, <|endoftext|> */

struct scratch {
	char dir[64];
	json_t *config; /* objects to change before scratch_write() */
	json_t *vocab;
	const char *merges;
	json_t *header; /* of model.safetensors: name -> dtype, shape, data_offsets */
	size_t data_bytes;
};

/* Fails the test when it cannot; all files are written. */
void scratch_init(struct scratch *scratch);
void scratch_fini(struct scratch *scratch); /* removes the directory */

/* Write all files as the fields say now. */
void scratch_write(const struct scratch *scratch);

/* Replace one file by `size` bytes. */
void scratch_write_file(const struct scratch *scratch, const char *name, const void *data,
			size_t size);

/* The whole of one file; the caller frees it. */
char *scratch_read_file(const struct scratch *scratch, const char *name, size_t *ret_size);

/* Loading must fail, with all of `words` (ends with NULL) in the message. */
void scratch_expect_refused(const struct scratch *scratch, const char *label,
			    const char *const *words);

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
