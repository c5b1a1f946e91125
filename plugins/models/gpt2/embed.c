#include "generate.h"
#include "scope.h"
#include "session.h"
#include "tokenizer.h"

#include <math.h>

static void
mean_of_rows(const struct session *session, size_t rows, size_t width, float *to)
{
	for (size_t i = 0; i < width; i++) {
		double sum = 0;

		for (size_t r = 0; r < rows; r++)
			sum += session_hidden(session, r)[i];
		to[i] = (float)(sum / (double)rows);
	}
}

static int
check_numbers(const float *vector, size_t width, struct failure *failure)
{
	for (size_t i = 0; i < width; i++)
		if (!isfinite(vector[i]))
			return failf_internal(
				failure, "dimension %zu is not a number: the weights are damaged",
				i);
	return 0;
}

static void
to_unit_length(float *vector, size_t width)
{
	double squares = 0;

	for (size_t i = 0; i < width; i++)
		squares += (double)vector[i] * vector[i];
	for (size_t i = 0; i < width && squares > 0; i++)
		vector[i] = (float)(vector[i] / sqrt(squares));
}

static int
embed_tokens(const struct model *model, const struct token_list *tokens, float *to,
	     struct failure *failure)
{
	struct session *session;

	if (!tokens->count)
		return failf(failure, "the text is empty; there is nothing to embed");
	if (tokens->count > model->config.context)
		return failf(failure, "the text is %zu tokens; the model's context is %u",
			     tokens->count, model->config.context);
	if (session_new(model, tokens->count, tokens->count, &session, failure) < 0)
		return -1;
	session_feed(session, tokens->ids, tokens->count);
	mean_of_rows(session, tokens->count, model->config.embd, to);
	session_free(session);
	return 0;
}

int
embed_text(const struct model *model, const char *text, size_t size, bool normalize, float *to,
	   size_t *ret_tokens, struct failure *failure)
{
	struct token_list tokens = {0};
	int result = tokenizer_encode(&model->vocab, text, size, &tokens, failure);

	if (result == 0)
		result = embed_tokens(model, &tokens, to, failure);
	if (result == 0)
		result = check_numbers(to, model->config.embd, failure);
	if (result == 0 && normalize)
		to_unit_length(to, model->config.embd);
	if (result == 0)
		*ret_tokens = tokens.count;
	token_list_fini(&tokens);
	return result;
}
