/*
 * hostile_plugin SEED: a plugin with the methods of an honest one that damages its side of every
 * channel.
 */
#include <plug/plugin.h>
#include <stdlib.h>

#include "hostile.h"

static plug_err
echo(struct plug_call *call, void *user)
{
	size_t size;
	const void *data = plug_call_payload(call, &size);

	(void)user;
	return plug_reply(call, NULL, data, size);
}

static plug_err
stream(struct plug_call *call, void *user)
{
	static const char piece[1000];
	plug_err err = PLUG_OK;

	(void)user;
	for (int i = 0; i < 20 && err == PLUG_OK; i++)
		err = plug_reply_piece(call, "text/plain", piece, sizeof(piece));
	return err == PLUG_OK ? plug_reply(call, "text/plain", piece, 1) : err;
}

int
main(int argc, char **argv)
{
	static const struct plug_method methods[] = {
		{"echo", echo, PLUG_METHOD_IDEMPOTENT, 0, NULL},
		{"stream", stream, PLUG_METHOD_STREAM, 0, NULL},
		{0},
	};
	struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = "wrong",
		.version = "1.0.0",
		.contract = "interface",
		.methods = methods,
	};

	hostile_start(argc > 1 ? strtoull(argv[1], NULL, 0) : 1);
	return plug_main(&config);
}
