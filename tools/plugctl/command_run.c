#include "command_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "out.h"
#include "payload.h"
#include "reply.h"

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

const Plug__Command *command_run_this;

/* With --json what was printed is kept. */
struct output {
	bool json;
	char *texts[2]; /* stdout, stderr */
	size_t sizes[2];
	FILE *streams[2];
};

static void
output_init(struct output *output, bool json)
{
	*output = (struct output){.json = json};
	for (int i = 0; json && i < 2; i++)
		output->streams[i] = out_must(open_memstream(&output->texts[i], &output->sizes[i]));
}

static void
output_fini(struct output *output)
{
	for (int i = 0; i < 2; i++) {
		if (output->streams[i])
			fclose(output->streams[i]);
		free(output->texts[i]);
	}
}

static void
write_piece(struct output *output, bool is_error, const struct plug_payload *piece)
{
	if (output->json) {
		fwrite(piece->data, 1, piece->size, output->streams[is_error]);
	} else if (is_error) {
		fflush(stdout);
		out_error_text(piece->data, piece->size);
	} else {
		out_text(piece->data, piece->size);
		fflush(stdout);
	}
}

static bool
on_piece(const struct plug_payload *piece, void *user)
{
	write_piece(user, strcmp(piece->content_type, PLUG_STDERR_TYPE) == 0, piece);
	return true;
}

/* ---- the end ---- */

/* The exit status that the payload names; -1: it is something else. */
static int
exit_status(const struct plug_payload *payload)
{
	char text[8], *end;
	long status;

	if (strcmp(payload->content_type, PLUG_EXIT_TYPE) != 0 || !payload->size ||
	    payload->size >= sizeof(text))
		return -1;
	memcpy(text, payload->data, payload->size);
	text[payload->size] = '\0';
	status = strtol(text, &end, 10);
	return *end || status < 0 || status > 255 ? -1 : (int)status;
}

static json_t *
kept_json(struct output *output, int which)
{
	json_t *text;

	fflush(output->streams[which]);
	text = json_stringn(output->texts[which], output->sizes[which]);
	return text ? text : out_json_text(output->texts[which]); /* no text, or no UTF-8 */
}

static void
print_document(struct ctl *ctl, struct output *output, const Plug__Command *command, int status)
{
	out_json(json_pack("{s:s, s:s, s:i, s:o, s:o}", "command", command->name, "plugin",
			   command->plugin, "exit_status", status, "stdout", kept_json(output, 0),
			   "stderr", kept_json(output, 1)));
	ctl->printed = true;
}

/* An answer that is no exit status is a result, as that of any call. */
static void
print_result(struct output *output, const struct plug_payload *payload)
{
	struct reply_printer printer = {.json = false};

	if (output->json) {
		write_piece(output, false, payload);
		return;
	}
	reply_print_result(&printer, payload);
	reply_printer_fini(&printer);
}

static int
finish(struct ctl *ctl, struct output *output, const Plug__Command *command,
       const struct plug_reply *reply)
{
	int status = exit_status(&reply->payload);

	if (status < 0) {
		print_result(output, &reply->payload);
		status = CTL_DONE;
	}
	if (output->json)
		print_document(ctl, output, command, status);
	return status;
}

/* ---- the call ---- */

static int
call_plugin(struct ctl *ctl, const Plug__Command *command, const void *payload, size_t size)
{
	struct plug_request request = {
		.size = sizeof(request),
		.plugin = command->plugin,
		.method = command->method,
		.payload = {payload, size, PLUG_COMMAND_TYPE},
		.timeout_ms = ctl->timeout_ms,
	};
	struct plug_reply *reply = NULL;
	struct output output;
	plug_err err;
	int status;

	output_init(&output, ctl->json);
	err = plug_client_call(ctl->client, &request, on_piece, &output, &reply);
	status = err == PLUG_OK
			 ? finish(ctl, &output, command, reply)
			 : ctl_fail(ctl, err, command->plugin, plug_client_error_text(ctl->client));
	plug_reply_free(reply);
	output_fini(&output);
	return status;
}

static int
pack_and_call(struct ctl *ctl, const Plug__Command *command, Plug__CommandCall *call)
{
	size_t width = out_width(), size;
	uint8_t *packed;
	int status;

	call->columns = width == SIZE_MAX ? 0 : (uint32_t)width;
	size = plug__command_call__get_packed_size(call);
	packed = out_must(malloc(size + 1));
	plug__command_call__pack(call, packed);
	status = ctl_connect(ctl);
	if (status == CTL_DONE)
		status = call_plugin(ctl, command, packed, size);
	free(packed);
	return status;
}

int
command_run(struct ctl *ctl, const struct args *args)
{
	Plug__CommandCall call = PLUG__COMMAND_CALL__INIT;
	const Plug__Command *command = command_run_this;
	char why[PAYLOAD_WHY_BYTES > 512 ? PAYLOAD_WHY_BYTES : 512], *input = NULL;
	struct arena arena;
	int status;

	arena_init(&arena, ARENA_BYTES);
	if (!command_values(command, args, &arena, &call, why, sizeof(why)) ||
	    (command->takes_stdin &&
	     !payload_read_all(stdin, "the standard input", &input, &call.input.len, why)))
		status = ctl_usage(ctl, "%s", why);
	else {
		call.input.data = (uint8_t *)input;
		status = pack_and_call(ctl, command, &call);
	}
	free(input);
	arena_fini(&arena);
	return status;
}
