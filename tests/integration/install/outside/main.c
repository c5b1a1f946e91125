#include <ctype.h>
#include <plug/plugin.h>

static plug_err
shout(struct plug_call *call, void *user)
{
	size_t size;
	const char *text = plug_call_payload(call, &size);
	char loud[256];

	(void)user;
	if (size > sizeof(loud))
		return plug_fail(call, PLUG_EINVAL, "%zu bytes, expected at most %zu", size,
				 sizeof(loud));
	for (size_t i = 0; i < size; i++)
		loud[i] = (char)toupper((unsigned char)text[i]);
	return plug_reply(call, "text/plain", loud, size);
}

int
main(void)
{
	static const struct plug_method methods[] = {{"shout", shout}, {0}};
	struct plug_plugin_config config = {.size = sizeof(config),
					    .name = "shout",
					    .version = "1.0.0",
					    .contract = "interface",
					    .methods = methods};

	return plug_main(&config);
}
