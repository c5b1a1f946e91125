#include "reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "out.h"
#include "payload.h"

#define TEXT_BYTES_MAX ((size_t)1024 * 1024)

void
reply_printer_fini(struct reply_printer *printer)
{
	free(printer->text);
	printer->text = NULL;
}

/* The JSON in a payload, or NULL when it has none. */
static json_t *
json_of(const struct plug_payload *payload)
{
	if (!payload_is_json(payload->content_type))
		return NULL;
	return json_loadb(payload->data, payload->size, JSON_DECODE_ANY, NULL);
}

static char *
base64(const uint8_t *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = out_must(malloc((size + 2) / 3 * 4 + 1)), *to = text;

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t word = (uint32_t)data[i] << 16 | (left > 1 ? data[i + 1] : 0u) << 8 |
				(left > 2 ? data[i + 2] : 0u);

		*to++ = digits[word >> 18];
		*to++ = digits[word >> 12 & 63];
		*to++ = left > 1 ? digits[word >> 6 & 63] : '=';
		*to++ = left > 2 ? digits[word & 63] : '=';
	}
	*to = '\0';
	return text;
}

/* Any payload as one document: its own JSON, or its type and its content. */
static json_t *
document_of(const struct plug_payload *payload)
{
	json_t *document = json_of(payload), *text;
	char *encoded;

	if (document)
		return document;
	if (payload->size == 0)
		return json_null();
	document = json_pack("{s:o}", "content_type", out_json_text(payload->content_type));
	text = json_stringn(payload->data, payload->size);
	if (text) {
		json_object_set_new(document, "text", text);
		return document;
	}
	encoded = base64(payload->data, payload->size);
	json_object_set_new(document, "base64", json_string(encoded));
	free(encoded);
	return document;
}

static void
print_raw(const struct plug_payload *payload)
{
	fwrite(payload->data, 1, payload->size, stdout);
}

static void
print_text(struct reply_printer *printer, const char *text, size_t size)
{
	out_text(text, size);
	if (size)
		printer->mid_line = text[size - 1] != '\n';
}

static void
remember(struct reply_printer *printer, const char *text, size_t size)
{
	size_t wanted = printer->text_capacity ? printer->text_capacity : 1024;
	char *longer = NULL;

	while (wanted < printer->text_size + size)
		wanted *= 2;
	if (printer->pieces > 1 && !printer->text)
		return; /* not all of it is known any more */
	if (wanted <= TEXT_BYTES_MAX)
		longer = realloc(printer->text, wanted);
	if (!longer) {
		reply_printer_fini(printer);
		return;
	}
	memcpy(longer + printer->text_size, text, size);
	printer->text = longer;
	printer->text_size += size;
	printer->text_capacity = wanted;
}

static bool
is_printed(const struct reply_printer *printer, const json_t *json)
{
	const json_t *text = json_object_get(json, "text");

	return printer->text && json_is_string(text) &&
	       json_string_length(text) == printer->text_size &&
	       memcmp(json_string_value(text), printer->text, printer->text_size) == 0;
}

void
reply_end_line(struct reply_printer *printer)
{
	if (printer->mid_line)
		putchar('\n');
	printer->mid_line = false;
}

static bool
is_clean_text(const struct plug_payload *payload)
{
	return payload_is_text(payload->content_type) ||
	       text_is_clean(payload->data, payload->size);
}

/* What is not JSON: text as it is, bytes only where they cannot harm a terminal. */
static void
print_other(struct reply_printer *printer, const struct plug_payload *payload)
{
	if (is_clean_text(payload)) {
		print_text(printer, payload->data, payload->size);
	} else if (out_is_terminal()) {
		reply_end_line(printer);
		fflush(stdout);
		fprintf(stderr,
			"plugctl: %zu bytes of %s are not shown on a terminal; redirect the "
			"output, "
			"or use --raw\n",
			payload->size,
			*payload->content_type ? payload->content_type : "no declared type");
	} else {
		print_raw(payload);
	}
}

static void
print_pretty(struct reply_printer *printer, const json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY);

	reply_end_line(printer);
	out_line(out_must(text));
	free(text);
}

void
reply_print_piece(struct reply_printer *printer, const struct plug_payload *piece)
{
	json_t *json, *text;

	printer->pieces++;
	if (printer->json) {
		out_json_line(document_of(piece));
		return;
	}
	json = printer->raw ? NULL : json_of(piece);
	text = json_object_get(json, "text");
	if (printer->raw) {
		print_raw(piece);
	} else if (json_is_string(text)) {
		print_text(printer, json_string_value(text), json_string_length(text));
		remember(printer, json_string_value(text), json_string_length(text));
	} else if (json) {
		char *line = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

		reply_end_line(printer);
		out_line(out_must(line));
		free(line);
	} else {
		print_other(printer, piece);
	}
	json_decref(json);
	fflush(stdout);
}

void
reply_print_result(struct reply_printer *printer, const struct plug_payload *result)
{
	json_t *json;

	if (printer->json && printer->pieces) {
		out_json_line(document_of(result));
		return;
	}
	if (printer->json) {
		out_json(document_of(result));
		return;
	}
	if (printer->raw) {
		print_raw(result);
		return;
	}
	json = json_of(result);
	if (is_printed(printer, json))
		json_object_del(json, "text");
	if (json_is_object(json) && json_object_size(json) == 0 && printer->pieces)
		reply_end_line(printer);
	else if (json)
		print_pretty(printer, json);
	else if (result->size)
		print_other(printer, result);
	json_decref(json);
	reply_end_line(printer);
}
