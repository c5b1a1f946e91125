#include "request.h"

#include "scope.h"

#include <string.h>

/* What a request that says nothing is sampled with. */
#define DEFAULT_TEMPERATURE 0.7
#define DEFAULT_TOP_P       0.95
#define STOP_MAX_BYTES      256

static bool
is_listed(const char *const *keys, const char *key)
{
	for (; *keys; keys++)
		if (strcmp(*keys, key) == 0)
			return true;
	return false;
}

static int
unknown_key(const char *const *keys, const char *key, struct failure *failure)
{
	char list[256] = "";
	size_t used = 0;

	for (size_t i = 0; keys[i] && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
					 keys[i]);
	return failf(failure, "\"%.80s\" is not a key of this request; expected %s", key,
		     *keys ? list : "none");
}

/* `keys` ends with NULL. */
static int
parse_object(const char *json, size_t size, const char *const *keys, json_t **ret_root,
	     struct failure *failure)
{
	AUTO_JSON json_t *root = NULL;
	json_error_t error;
	const char *key;
	json_t *value;

	root = size ? json_loadb(json, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error)
		    : json_object();
	if (!root)
		return size ? failf(failure, "not valid JSON: %s at line %d, column %d", error.text,
				    error.line, error.column)
			    : fail_memory(failure, "reading the request");
	if (!json_is_object(root))
		return failf(failure, "the request is not a JSON object");
	json_object_foreach(root, key, value)
	{
		if (!is_listed(keys, key))
			return unknown_key(keys, key, failure);
	}
	*ret_root = STEAL(root);
	return 0;
}

static int
check_text(const json_t *value, const char *key, struct failure *failure)
{
	if (!json_is_string(value))
		return failf(failure, "%s is %s, expected text", key,
			     value ? "not text" : "missing");
	if (json_string_length(value) > REQUEST_TEXT_MAX_BYTES)
		return failf(failure, "%s is %zu bytes, expected at most %u", key,
			     json_string_length(value), REQUEST_TEXT_MAX_BYTES);
	return 0;
}

static int
get_int(const json_t *root, const char *key, json_int_t min, json_int_t max, json_int_t *ret,
	struct failure *failure)
{
	const json_t *value = json_object_get(root, key);

	if (!value)
		return 0;
	if (!json_is_integer(value))
		return failf(failure, "%s is not an integer", key);
	if (json_integer_value(value) < min || json_integer_value(value) > max)
		return failf(failure,
			     "%s is %" JSON_INTEGER_FORMAT ", expected %" JSON_INTEGER_FORMAT
			     " to %" JSON_INTEGER_FORMAT,
			     key, json_integer_value(value), min, max);
	*ret = json_integer_value(value);
	return 0;
}

static int
get_number(const json_t *root, const char *key, double max, double *ret, struct failure *failure)
{
	const json_t *value = json_object_get(root, key);

	if (!value)
		return 0;
	if (!json_is_number(value))
		return failf(failure, "%s is not a number", key);
	if (!(json_number_value(value) >= 0 && json_number_value(value) <= max))
		return failf(failure, "%s is %g, expected 0 to %g", key, json_number_value(value),
			     max);
	*ret = json_number_value(value);
	return 0;
}

static int
get_bool(const json_t *root, const char *key, bool *ret, struct failure *failure)
{
	const json_t *value = json_object_get(root, key);

	if (!value)
		return 0;
	if (!json_is_boolean(value))
		return failf(failure, "%s is not true or false", key);
	*ret = json_is_true(value);
	return 0;
}

static int
add_stop(struct stop_list *list, const json_t *value, struct failure *failure)
{
	const char *text = json_string_value(value);

	if (!text)
		return failf(failure, "stop is not text or a list of texts");
	if (list->count == STOP_MAX_STRINGS)
		return failf(failure, "stop has more than %d texts", STOP_MAX_STRINGS);
	if (!*text || strlen(text) != json_string_length(value) || strlen(text) > STOP_MAX_BYTES)
		return failf(failure,
			     "stop has a text of %zu bytes, expected 1 to %d without a NUL",
			     json_string_length(value), STOP_MAX_BYTES);
	list->strings[list->count++] = text;
	return 0;
}

static int
get_stop(const json_t *root, struct stop_list *list, struct failure *failure)
{
	const json_t *value = json_object_get(root, "stop");

	if (!value)
		return 0;
	if (!json_is_array(value))
		return add_stop(list, value, failure);
	for (size_t i = 0; i < json_array_size(value); i++)
		if (add_stop(list, json_array_get(value, i), failure) < 0)
			return -1;
	return 0;
}

static int
get_sampling(const json_t *root, struct generate_request *request, struct failure *failure)
{
	struct sampling *sampling = &request->params.sampling;
	json_int_t top_k = 0, seed = 0;

	*sampling = (struct sampling){.temperature = DEFAULT_TEMPERATURE, .top_p = DEFAULT_TOP_P};
	if (get_number(root, "temperature", 100, &sampling->temperature, failure) < 0 ||
	    get_number(root, "top_p", 1, &sampling->top_p, failure) < 0 ||
	    get_int(root, "top_k", 0, UINT32_MAX, &top_k, failure) < 0 ||
	    get_int(root, "seed", 0, INT64_MAX, &seed, failure) < 0)
		return -1;
	sampling->top_k = (uint32_t)top_k;
	sampling->seed = (uint64_t)seed;
	request->seeded = json_object_get(root, "seed") != NULL;
	return 0;
}

int
generate_request_parse(const char *json, size_t size, uint32_t max_tokens,
		       struct generate_request *ret, struct failure *failure)
{
	static const char *const keys[] = {"prompt", "max_tokens", "temperature", "top_k", "top_p",
					   "seed",   "stop",       "stream",      NULL};
	struct generate_request request = {.stream = true};
	json_int_t wanted = max_tokens;
	AUTO_JSON json_t *root = NULL;
	const json_t *prompt;

	if (parse_object(json, size, keys, &root, failure) < 0)
		return -1;
	prompt = json_object_get(root, "prompt");
	if (check_text(prompt, "prompt", failure) < 0 ||
	    get_int(root, "max_tokens", 1, INT32_MAX, &wanted, failure) < 0 ||
	    get_sampling(root, &request, failure) < 0 ||
	    get_stop(root, &request.params.stop, failure) < 0 ||
	    get_bool(root, "stream", &request.stream, failure) < 0)
		return -1;
	request.params.prompt = json_string_value(prompt);
	request.params.prompt_size = json_string_length(prompt);
	request.params.max_tokens = (uint32_t)wanted;
	request.root = STEAL(root);
	*ret = request;
	return 0;
}

int
tokenize_request_parse(const char *json, size_t size, struct tokenize_request *ret,
		       struct failure *failure)
{
	static const char *const keys[] = {"text", "tokens", NULL};
	struct tokenize_request request = {0};
	AUTO_JSON json_t *root = NULL;

	if (parse_object(json, size, keys, &root, failure) < 0)
		return -1;
	request.text = json_object_get(root, "text");
	request.tokens = json_object_get(root, "tokens");
	if (!request.text == !request.tokens)
		return failf(failure, "expected either text, to be encoded, or tokens, to be "
				      "decoded");
	if (request.text && check_text(request.text, "text", failure) < 0)
		return -1;
	if (request.tokens && !json_is_array(request.tokens))
		return failf(failure, "tokens is not a list");
	for (size_t i = 0; i < json_array_size(request.tokens); i++)
		if (!json_is_integer(json_array_get(request.tokens, i)))
			return failf(failure, "tokens[%zu] is not an integer", i);
	request.root = STEAL(root);
	*ret = request;
	return 0;
}

const json_t *
embed_request_text(const struct embed_request *request, size_t index)
{
	return json_is_array(request->input) ? json_array_get(request->input, index)
					     : request->input;
}

int
embed_request_parse(const char *json, size_t size, size_t max_texts, struct embed_request *ret,
		    struct failure *failure)
{
	static const char *const keys[] = {"input", "normalize", NULL};
	struct embed_request request = {.count = 1};
	AUTO_JSON json_t *root = NULL;

	if (parse_object(json, size, keys, &root, failure) < 0)
		return -1;
	request.input = json_object_get(root, "input");
	if (json_is_array(request.input))
		request.count = json_array_size(request.input);
	if (request.count < 1 || request.count > max_texts)
		return failf(failure, "input has %zu texts, expected 1 to %zu (max_batch_size)",
			     request.count, max_texts);
	for (size_t i = 0; i < request.count; i++)
		if (check_text(embed_request_text(&request, i), "input", failure) < 0)
			return -1;
	if (get_bool(root, "normalize", &request.normalize, failure) < 0)
		return -1;
	request.root = STEAL(root);
	*ret = request;
	return 0;
}

int
empty_request_check(const char *json, size_t size, struct failure *failure)
{
	static const char *const keys[] = {NULL};
	AUTO_JSON json_t *root = NULL;

	return parse_object(json, size, keys, &root, failure);
}
