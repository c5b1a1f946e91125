/* The plugin of the rows that need many: echo under the name that plugd gives it. */
#include <plug/plugin.h>
#include <stdlib.h>

static plug_err
echo(struct plug_call *call, void *user)
{
	size_t size;
	const void *data = plug_call_payload(call, &size);

	(void)user;
	return plug_reply(call, NULL, data, size);
}

int
main(void)
{
	static const struct plug_method methods[] = {
		{"echo", echo, PLUG_METHOD_IDEMPOTENT, 0, "returns what it is given"},
		{0},
	};
	const char *name = getenv("PLUG_NAME");
	struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = name ? name : "plugbench-plugin",
		.version = "0.1.0",
		.contract = "interface",
		.methods = methods,
	};

	return plug_main(&config);
}
