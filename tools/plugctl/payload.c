#include "payload.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define INPUT_BYTES_MAX ((size_t)1024 * 1024 * 1024)

/* ---- types ---- */

bool
payload_is_json(const char *content_type)
{
	size_t length = strcspn(content_type, "; ");

	return (length == 16 && strncasecmp(content_type, "application/json", 16) == 0) ||
	       (length > 5 && strncasecmp(content_type + length - 5, "+json", 5) == 0);
}

bool
payload_is_text(const char *content_type)
{
	return strncasecmp(content_type, "text/", 5) == 0;
}

/* ---- files ---- */

bool
payload_read_all(FILE *from, const char *name, char **ret, size_t *ret_size,
		 char why[PAYLOAD_WHY_BYTES])
{
	size_t size = 0, capacity = 0, got;
	char *data = NULL, *longer;

	do {
		if (capacity - size < 2) {
			capacity = capacity ? 2 * capacity : 8192;
			longer = capacity > INPUT_BYTES_MAX ? NULL : realloc(data, capacity);
			if (!longer) {
				snprintf(why, PAYLOAD_WHY_BYTES, "%s is too long", name);
				free(data);
				return false;
			}
			data = longer;
		}
		got = fread(data + size, 1, capacity - size - 1, from);
		size += got;
	} while (got);
	if (ferror(from)) {
		snprintf(why, PAYLOAD_WHY_BYTES, "cannot read %s: %s", name, strerror(errno));
		free(data);
		return false;
	}
	data[size] = '\0';
	*ret = data;
	*ret_size = size;
	return true;
}

static json_t *
string_of_file(const char *path, char why[PAYLOAD_WHY_BYTES])
{
	FILE *file = fopen(path, "re");
	json_t *json = NULL;
	char *data;
	size_t size;

	if (!file) {
		snprintf(why, PAYLOAD_WHY_BYTES, "cannot read %s: %s", path, strerror(errno));
		return NULL;
	}
	if (payload_read_all(file, path, &data, &size, why)) {
		json = json_stringn(data, size);
		if (!json)
			snprintf(why, PAYLOAD_WHY_BYTES,
				 "%s is not UTF-8 text, which a JSON string has to be", path);
		free(data);
	}
	fclose(file);
	return json;
}

/* ---- JSON ---- */

static json_t *
parse_json(const char *text, size_t size, const char *what, char why[PAYLOAD_WHY_BYTES])
{
	json_error_t error;
	json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);

	if (!json)
		snprintf(why, PAYLOAD_WHY_BYTES, "%s is not JSON: line %d, column %d: %s", what,
			 error.line, error.column, error.text);
	return json;
}

/* As JSON writes numbers; "1e5" is one, "1.2.3" and "0x10" are not. */
static bool
looks_like_number(const char *text)
{
	text += *text == '-';
	if (!isdigit((unsigned char)*text) || (*text == '0' && isdigit((unsigned char)text[1])))
		return false;
	text += strspn(text, "0123456789");
	if (*text == '.') {
		if (!isdigit((unsigned char)*++text))
			return false;
		text += strspn(text, "0123456789");
	}
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		if (!isdigit((unsigned char)*text))
			return false;
		text += strspn(text, "0123456789");
	}
	return *text == '\0';
}

static json_t *
value_of(const char *key, const char *text, char why[PAYLOAD_WHY_BYTES])
{
	static const char *const words[] = {"true", "false", "null"};
	size_t length = strlen(text);
	bool json =
		looks_like_number(text) || (length > 1 && *text == '"' && text[length - 1] == '"');
	json_t *string;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		json = json || strcmp(text, words[i]) == 0;
	if (*text == '@')
		return string_of_file(text + 1, why);
	if (json)
		return parse_json(text, length, key, why);
	string = json_string(text);
	if (!string)
		snprintf(why, PAYLOAD_WHY_BYTES, "%s: the value is not UTF-8 text", key);
	return string;
}

/* Length of the key in "key=…" or "key:=…"; 0: it is neither. */
static size_t
key_length(const char *word)
{
	size_t length = 0;

	if (!isalpha((unsigned char)*word) && *word != '_')
		return 0;
	while (isalnum((unsigned char)word[length]) ||
	       strchr("_-.", word[length] ? word[length] : ' '))
		length++;
	if (word[length] == '=' || (word[length] == ':' && word[length + 1] == '='))
		return length;
	return 0;
}

static bool
set_pair(json_t *object, const char *word, size_t length, char why[PAYLOAD_WHY_BYTES])
{
	bool raw = word[length] == ':';
	const char *text = word + length + 1 + raw;
	char *key = strndup(word, length);
	json_t *value = NULL;
	bool done = false;

	if (!key)
		snprintf(why, PAYLOAD_WHY_BYTES, "no memory");
	else if (json_object_get(object, key))
		snprintf(why, PAYLOAD_WHY_BYTES, "%s is given twice", key);
	else
		value = raw ? parse_json(text, strlen(text), key, why) : value_of(key, text, why);
	if (value)
		done = json_object_set_new(object, key, value) == 0;
	free(key);
	return done;
}

static bool
from_pairs(const char *const *words, size_t count, struct payload *ret, char why[PAYLOAD_WHY_BYTES])
{
	json_t *object = json_object();
	size_t length;

	for (size_t i = 0; i < count; i++) {
		length = key_length(words[i]);
		if (!length) {
			snprintf(why, PAYLOAD_WHY_BYTES,
				 "\"%.100s\" is not key=value; give key=value words, or one JSON "
				 "text in quotes, or -",
				 words[i]);
			json_decref(object);
			return false;
		}
		if (!set_pair(object, words[i], length, why)) {
			json_decref(object);
			return false;
		}
	}
	ret->data = json_dumps(object, JSON_COMPACT);
	ret->size = ret->data ? strlen(ret->data) : 0;
	json_decref(object);
	return ret->data != NULL;
}

static void
add_hint(char why[PAYLOAD_WHY_BYTES])
{
	size_t used = strlen(why);

	snprintf(why + used, PAYLOAD_WHY_BYTES - used,
		 "; give key=value words, or -c text/plain to send it as it is");
}

/* Takes data. */
static bool
from_text(char *data, size_t size, const char *what, struct payload *ret,
	  char why[PAYLOAD_WHY_BYTES])
{
	json_t *json;

	if (payload_is_json(ret->content_type)) {
		json = parse_json(data, size, what, why);
		if (!json) {
			add_hint(why);
			free(data);
			return false;
		}
		json_decref(json);
	}
	ret->data = data;
	ret->size = size;
	return true;
}

bool
payload_from_words(const char *const *words, size_t count, const char *content_type, FILE *input,
		   struct payload *ret, char why[PAYLOAD_WHY_BYTES])
{
	struct payload payload = {.content_type = content_type ? content_type : "application/json"};
	bool json = payload_is_json(payload.content_type), done;
	char *data;
	size_t size;

	snprintf(why, PAYLOAD_WHY_BYTES, "no memory");
	if (count == 1 && strcmp(words[0], "-") == 0)
		done = payload_read_all(input, "the standard input", &data, &size, why) &&
		       from_text(data, size, "the standard input", &payload, why);
	else if (count == 0)
		done = (payload.data = strdup(json ? "{}" : "")) != NULL;
	else if (count == 1 && (!json || !key_length(words[0])))
		done = (data = strdup(words[0])) &&
		       from_text(data, strlen(data), "the argument", &payload, why);
	else
		done = json ? from_pairs(words, count, &payload, why)
			    : (snprintf(why, PAYLOAD_WHY_BYTES,
					"%zu words for a payload of type %.60s; give one, or -",
					count, content_type),
			       false);
	if (!done)
		return false;
	if (count == 0)
		payload.size = strlen(payload.data);
	*ret = payload;
	return true;
}

void
payload_fini(struct payload *payload)
{
	free(payload->data);
	payload->data = NULL;
}
