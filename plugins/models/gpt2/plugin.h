/* The plugin's methods and what they share. */
#ifndef GPT2_PLUGIN_H
#define GPT2_PLUGIN_H

#include "holder.h"

#include <jansson.h>
#include <plug/plugin.h>

#define GPT2_VERSION "0.1.0"

struct gpt2 {
	struct holder holder;
	int threads; /* of BLAS */
};

/* Of struct plug_method; `user` is the struct gpt2. */
plug_err method_load(struct plug_call *call, void *user);
plug_err method_info(struct plug_call *call, void *user);
plug_err method_unload(struct plug_call *call, void *user);
plug_err method_generate(struct plug_call *call, void *user);
plug_err method_tokenize(struct plug_call *call, void *user);
plug_err method_embed(struct plug_call *call, void *user);

/*
 * What every method begins with: the payload as JSON text in *ret_json, *ret_size.  The result is
 * PLUG_OK, or the failure that the method returns.
 */
plug_err call_json(struct plug_call *call, const char **ret_json, size_t *ret_size);

/* The model, or a failure that says to load it. */
plug_err call_model(struct plug_call *call, struct gpt2 *gpt2, struct held **ret_held);

/* Answer with the engine's failure: EINVAL for what the caller can mend, else EPLUGIN. */
plug_err call_failed(struct plug_call *call, const struct failure *failure);

/* Answer with `object`, which is taken; NULL means that there was no memory for it. */
plug_err call_reply(struct plug_call *call, json_t *object);

#endif
