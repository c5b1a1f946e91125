/* Text from a prompt, and vectors from text. */
#ifndef GPT2_GENERATE_H
#define GPT2_GENERATE_H

#include "failure.h"
#include "model.h"
#include "sampler.h"
#include "stopper.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct generate_params {
	const char *prompt; /* UTF-8; empty: begin with the bos token */
	size_t prompt_size;
	uint32_t max_tokens;
	struct sampling sampling;
	struct stop_list stop;
};

/* Called on the generating thread; either may be NULL. */
struct generate_hooks {
	/* `size` > 0 bytes of whole characters, as soon as they are certain.  Anything but 0 ends
	 * the generation as cancelled. */
	int (*on_text)(const char *text, size_t size, void *user);
	bool (*cancelled)(void *user); /* asked before every token */
	void *user;
};

/*
 * stop       a stop string appeared; it is not part of the text
 * length     max_tokens were made, or prompt and text fill the model's context
 * eos        the model said that the text ends; that token is not counted
 * cancelled  by a hook
 */
enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_EOS, FINISH_CANCELLED };

struct generate_result {
	enum finish finish;
	size_t prompt_tokens, completion_tokens;
	struct text text; /* all of it */
};

/*
 * Generate.  A prompt that does not leave room for one token in the context is refused.  On success
 * the caller releases *result with generate_result_fini().  Any number of threads may generate with
 * one model at once.
 */
int generate(const struct model *model, const struct generate_params *params,
	     const struct generate_hooks *hooks, struct generate_result *result,
	     struct failure *failure);
void generate_result_fini(struct generate_result *result);

/* "stop", "length", "eos", "cancelled" */
const char *finish_name(enum finish finish);

/*
 * The mean over the text's tokens of what the last layer norm gives: `to` [embd].  With `normalize`
 * its length is 1.  Text of no tokens, or of more than the context holds, is refused.
 */
int embed_text(const struct model *model, const char *text, size_t size, bool normalize, float *to,
	       size_t *ret_tokens, struct failure *failure);

#endif
