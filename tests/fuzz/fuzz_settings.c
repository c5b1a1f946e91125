/* A plugd.yaml: read, and everything in it that is laid over a manifest tried on one. */
#include <string.h>

#include "core/settings.h"
#include "fuzz.h"
#include "texts.h"

static const char manifest_text[] =
	"plugin: echo\nversion: 1.2.3\ntype: feature\nexec: [./echo]\n"
	"config:\n  size: { type: int, min: 1, max: 9, default: 3 }\n"
	"  device: { type: enum, values: [auto, cpu], default: auto }\n"
	"  names: { type: list, default: [a] }\n  where: { type: path }\n"
	"methods: { go: { timeout: 1s }, stay: }\nrun: { env: { A: b } }\n";

static void
lay_over(const struct settings *settings, const struct settings_plugin *plugin)
{
	struct text text = text_of(manifest_text, sizeof(manifest_text) - 1);
	struct manifest_input input = {
		.source = text_source("plugin.yaml", &text),
		.dir = "/p",
		.override = &plugin->override,
	};
	struct manifest *manifest;
	struct diags diags;

	CHECK(settings_override(settings, plugin->name));
	diags_init(&diags);
	manifest = manifest_parse(&input, &diags);
	check_said(&diags, manifest);
	manifest_free(manifest);
	diags_fini(&diags);
	text_free(&text);
}

/* What the daemon takes for granted. */
static void
check_values(const struct settings *settings)
{
	const struct settings_limits *limits = &settings->limits;

	CHECK(limits->clients > 0 && limits->calls_per_client > 0 &&
	      limits->calls_per_instance > 0);
	CHECK(limits->channels_per_client >= 0 && limits->channels_per_instance >= 0);
	CHECK(limits->call_bytes > 0 && limits->call_bytes < UINT64_MAX / 64);
	CHECK(limits->client_queue_bytes > 0 && limits->log_ring_bytes > 0 && limits->plugins > 0);
	CHECK(settings->log.files >= 0 && settings->log.level >= 0 && settings->log.format >= 0);
	for (size_t i = 0; i < settings->plugin_dirs.count; i++)
		CHECK(settings->plugin_dirs.items[i][0] == '/');
	CHECK(!settings->runtime_dir || settings->runtime_dir[0] == '/');
	CHECK(!settings->state_dir || settings->state_dir[0] == '/');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text text = text_of(data, size);
	struct settings_input input = {.source = text_source("plugd.yaml", &text), .dir = "/etc"};
	struct settings *settings;
	struct diags diags;

	diags_init(&diags);
	settings = settings_parse(&input, &diags);
	check_said(&diags, settings);
	diags_fini(&diags);
	text_free(&text); /* nothing of it may be kept */
	if (settings) {
		check_values(settings);
		for (size_t i = 0; i < settings->plugins.count; i++)
			lay_over(settings, &settings->plugins.items[i]);
	}
	settings_free(settings);
	return 0;
}

static const char *const seeds[] = {
	"plugin_dirs: [a, /b, ../c]\nruntime_dir: /run/plugd\nstate_dir: s\nwatch: true\n",
	"log: { level: debug, format: json, dir: l, max_bytes: 1MiB, files: 3 }\n",
	"limits:\n  clients: 10\n  clients_per_uid: 2\n  calls_per_client: 5\n  queue_calls: 7\n"
	"  call_timeout: 30s\n  call_bytes: 4MiB\n  channel_bytes: 128KiB\n",
	"plugins:\n  echo:\n    config: { size: 4, device: cpu, names: [x, y], where: ./w }\n"
	"    run: { autostart: false, env: { C: d } }\n    methods: { go: { timeout: 2s } }\n"
	"    resources: { memory_mb: 10 }\n",
	"load_order: [device, model]\nallow_unsafe: false\nmetrics: false\n",
	"metrics: 127.0.0.1:9464\nplugins: { metrics: { run: { restart: never }, config: { a: b } "
	"} }\n",
	"models:\n  m:\n    plugin: gpt2\n    aliases: [n]\n    mode: pipe\n    port: 80\n"
	"    schemes: { one: { required_devices: [a], memory_mb: { a: 1 }, config: { b: c },\n"
	"      command: [d, e] } }\n",
};

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	if (number >= sizeof(seeds) / sizeof(seeds[0]))
		return 0;
	CHECK(strlen(seeds[number]) < capacity);
	memcpy(buf, seeds[number], strlen(seeds[number]));
	return strlen(seeds[number]);
}
