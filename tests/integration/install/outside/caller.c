#include <plug/client.h>
#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
	struct plug_client *client;
	struct plug_reply *reply;
	const char *text = argc > 1 ? argv[1] : "hello";
	struct plug_request request = {.size = sizeof(request),
				       .plugin = "shout",
				       .method = "shout",
				       .payload = {text, strlen(text), "text/plain"},
				       .timeout_ms = 10000};
	plug_err err = plug_client_open(NULL, &client);

	if (err != PLUG_OK) {
		fprintf(stderr, "%s: %s\n", plug_err_name(err), plug_client_error_text(NULL));
		return 1;
	}
	err = plug_client_call(client, &request, NULL, NULL, &reply);
	if (err == PLUG_OK)
		printf("%.*s\n", (int)reply->payload.size, (const char *)reply->payload.data);
	else
		fprintf(stderr, "%s: %s\n", plug_err_name(err), plug_client_error_text(client));
	plug_reply_free(reply);
	plug_client_close(client);
	return err == PLUG_OK ? 0 : 1;
}
