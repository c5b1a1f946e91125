#include "kernels.h"
#include "plugin.h"

#include <string.h>

static plug_err
check_device(struct plug_plugin *plugin)
{
	const char *device = plug_config_string(plugin, "device", "auto");

	if (strcmp(device, "cuda") == 0)
		return plug_start_failed(plugin, PLUG_EINVAL,
					 "device: cuda is not supported yet by this plugin; set "
					 "device to auto or cpu");
	if (strcmp(device, "auto") == 0)
		plug_log(plugin, PLUG_LOG_INFO,
			 "device auto: using the CPU (this version does not use CUDA)");
	return PLUG_OK;
}

static plug_err
on_start(struct plug_plugin *plugin, void *user)
{
	struct gpt2 *gpt2 = user;
	const char *dir = plug_config_string(plugin, "model", NULL);
	plug_err err = check_device(plugin);
	struct failure failure;
	struct held *held;

	if (err != PLUG_OK)
		return err;
	if (!dir)
		return plug_start_failed(plugin, PLUG_EINVAL,
					 "config key model is missing: expected the directory of a "
					 "Hugging Face GPT-2 model");
	gpt2->threads = (int)plug_config_int(plugin, "threads", 1);
	kernels_set_threads(gpt2->threads);
	if (holder_init(&gpt2->holder, dir, &failure) < 0 ||
	    holder_load(&gpt2->holder, &failure) < 0) {
		holder_fini(&gpt2->holder); /* on_stop does not follow a start that failed */
		return plug_start_failed(plugin, PLUG_EPLUGIN, "%s", failure.text);
	}
	held = holder_take(&gpt2->holder);
	plug_log(plugin, PLUG_LOG_INFO, "loaded %s: %zu parameters, %d thread%s", dir,
		 held_model(held)->weights.parameters, gpt2->threads,
		 gpt2->threads == 1 ? "" : "s");
	holder_release(&gpt2->holder, held);
	return PLUG_OK;
}

static void
on_stop(struct plug_plugin *plugin, void *user)
{
	struct gpt2 *gpt2 = user;

	(void)plugin;
	holder_fini(&gpt2->holder);
}

int
main(void)
{
	static const struct plug_method methods[] = {
		{"generate", method_generate, PLUG_METHOD_STREAM | PLUG_METHOD_IDEMPOTENT, 120000,
		 "continue a prompt"},
		{"tokenize", method_tokenize, PLUG_METHOD_IDEMPOTENT, 10000,
		 "text to tokens, or tokens to text"},
		{"embed", method_embed, PLUG_METHOD_IDEMPOTENT, 60000, "texts to vectors"},
		{"info", method_info, PLUG_METHOD_IDEMPOTENT, 5000, "what is loaded"},
		{"load", method_load, PLUG_METHOD_IDEMPOTENT, 60000, "load the model again"},
		{"unload", method_unload, PLUG_METHOD_IDEMPOTENT, 5000,
		 "give the model's memory back"},
		{0},
	};
	struct gpt2 gpt2 = {0};
	const struct plug_plugin_config config = {
		.size = sizeof(config),
		.name = "gpt2",
		.version = GPT2_VERSION,
		.contract = "model",
		.methods = methods,
		.user = &gpt2,
		.on_start = on_start,
		.on_stop = on_stop,
	};

	return plug_main(&config);
}
