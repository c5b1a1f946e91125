#include <stdio.h>

#include "payload.h"
#include "reply.h"
#include "verb.h"

static bool
on_piece(const struct plug_payload *piece, void *user)
{
	reply_print_piece(user, piece);
	return true;
}

static int
call(struct ctl *ctl, const struct args *args, const struct payload *payload)
{
	struct reply_printer printer = {.json = ctl->json, .raw = args_flag(args, "raw")};
	struct plug_request request = {
		.size = sizeof(request),
		.plugin = args->words[0],
		.method = args->words[1],
		.payload = {payload->data, payload->size, payload->content_type},
		.timeout_ms = ctl->timeout_ms,
	};
	struct plug_reply *reply = NULL;
	plug_err err;

	err = plug_client_call(ctl->client, &request, on_piece, &printer, &reply);
	if (err == PLUG_OK) {
		reply_print_result(&printer, &reply->payload);
		ctl->printed = true;
	} else {
		reply_end_line(&printer);
	}
	plug_reply_free(reply);
	reply_printer_fini(&printer);
	if (err == PLUG_OK)
		return CTL_DONE;
	return ctl_fail(ctl, err, args->words[0], plug_client_error_text(ctl->client));
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct payload payload;
	char why[PAYLOAD_WHY_BYTES];
	int status;

	if (ctl->json && args_flag(args, "raw"))
		return ctl_usage(ctl, "--raw and --json exclude each other");
	if (!payload_from_words(args->words + 2, args->word_count - 2,
				args_text(args, "content-type", NULL), stdin, &payload, why))
		return ctl_usage(ctl, "%s", why);
	status = ctl_connect(ctl);
	if (status == CTL_DONE)
		status = call(ctl, args, &payload);
	payload_fini(&payload);
	return status;
}

const struct verb verb_call = {
	.name = "call",
	.args = "NAME METHOD [KEY=VALUE… | JSON | -]",
	.summary = "call a method of a plugin",
	.help = "Calls METHOD of the plugin NAME and prints the result.  Pieces of a streamed "
		"reply are "
		"printed as they arrive; of pieces like {\"text\": \"…\"} the text alone.  JSON "
		"results "
		"are indented; binary ones are not written to a terminal.\n\n"
		"The payload is a JSON object made of KEY=VALUE words, or one JSON text, or with - "
		"what "
		"is read from the standard input; without any it is {}.  A VALUE that reads as a "
		"number, true, false, null or a \"quoted string\" is that, @FILE is the content of "
		"a "
		"file as a string, anything else is a string.  KEY:=JSON gives any JSON value.  "
		"Other "
		"payloads are sent as they are with --content-type.\n\n"
		"--timeout is the deadline of the call; without it the method's own holds.  With "
		"--json the result is one document; a streamed call prints each piece and then the "
		"result as a document on a line of its own.  Payloads that are not JSON become "
		"{\"content_type\", \"text\"} or {\"content_type\", \"base64\"}.",
	.options =
		(const struct option_spec[]){
			{"content-type", 'c', "TYPE", "type of the payload (application/json)"},
			{"raw", 'r', NULL, "write the bytes of the reply as they are"},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl call echo echo text=hello n=3", "a JSON object from words"},
			{"plugctl call gpt2 generate prompt='Once upon' max_tokens=40",
			 "text, printed as it is generated"},
			{"plugctl call echo echo 'tags:=[\"a\", \"b\"]' note=@note.txt",
			 "any JSON value, and a string from a file"},
			{"plugctl call --timeout 2s echo sleep ms=5000", "ends with exit status 5"},
			{NULL},
		},
	.complete = COMPLETE_CALL,
	.min_args = 2,
	.max_args = VERB_ANY,
	.run = run,
};
