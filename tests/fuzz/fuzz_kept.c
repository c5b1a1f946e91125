/* What a parser reads besides manifests and plugd.yaml: a model table in JSON with comments, and
 * the values that were set while a plugin ran, as plugd keeps them.  The first byte says which. */
#include <stdlib.h>
#include <string.h>

#include "core/excerpt.h"
#include "core/runtime.h"
#include "core/settings.h"
#include "fuzz.h"
#include "texts.h"

static void
ignore(void *context, const char *text)
{
	(void)context;
	CHECK(strlen(text) < DIAG_LINE_BYTES);
}

static void
read_models(const struct text *text)
{
	struct settings *settings = settings_default();
	struct kept_text *kept = kept_text_new("/etc/models.json", text->bytes, text->size);
	struct diags diags;
	bool good;

	CHECK(settings && kept);
	diags_init(&diags);
	good = settings_add_models(settings, kept, &diags);
	check_said(&diags, good);
	excerpt_keep(&diags, kept->file, kept->bytes, kept->size, true);
	excerpt_each(&diags, ignore, NULL);
	diags_fini(&diags);
	kept_text_unref(kept);
	for (size_t i = 0; good && i < settings->models.count; i++) {
		const struct model *model = (struct model *)settings->models.items + i;

		CHECK(*model->name && models_find(&settings->models, model->name) == model);
		CHECK(model->port >= 0 && model->port <= 65535);
	}
	settings_free(settings);
}

/* What was accepted is written, and read again as it was. */
static void
write_again(const struct runtime *runtime)
{
	struct runtime *again;
	struct diags diags;
	size_t size;
	char *text = runtime_format(runtime, &size);

	CHECK(text);
	diags_init(&diags);
	again = runtime_parse(&(struct yaml_source){"config.x", text, size}, &diags);
	CHECK(again || size > RUNTIME_BYTES || diags.errors);
	if (again) {
		CHECK(again->value_count == runtime->value_count);
		CHECK(again->last_number == runtime->last_number);
		for (size_t i = 0; i < again->value_count; i++)
			CHECK(!strcmp(again->values[i].text, runtime->values[i].text));
	}
	runtime_free(again);
	diags_fini(&diags);
	free(text);
}

static void
read_runtime(const struct text *text)
{
	struct yaml_source source = text_source("config.x", text);
	struct runtime *runtime;
	struct diags diags;

	diags_init(&diags);
	runtime = runtime_parse(&source, &diags);
	check_said(&diags, runtime);
	diags_fini(&diags);
	if (runtime) {
		struct arena arena;
		size_t count = 0;

		write_again(runtime);
		arena_init(&arena, (size_t)1 << 20);
		diags_init(&diags);
		runtime_way_back(runtime, 1, &arena, &count, &diags);
		diags_fini(&diags);
		arena_fini(&arena);
	}
	runtime_free(runtime);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text text;

	if (!size)
		return 0;
	text = text_of(data + 1, size - 1);
	if (*data == 'm')
		read_models(&text);
	else
		read_runtime(&text);
	text_free(&text);
	return 0;
}

static const char *const seeds[] = {
	"m// a comment\n{ \"a\": { \"aliases\": [\"x\", \"y\"], \"mode\": \"Chat\", \"port\": 80,\n"
	"\t\"GPU\": { \"required_devices\": [\"g\"], \"script_path\": \"r\", \"memory_mb\": { "
	"\"g\": 5 } },\n"
	"\t\"CPU\": { \"required_devices\": [\"c\"], \"command\": [\"s\"] } /* slow */ } }\n",
	"m{ \"program\": {}, \"Local-Models\": { \"b\": { \"plugin\": \"p\", \"alive_time\": "
	"\"5m\",\n"
	"  \"schemes\": [{ \"config\": { \"k\": \"v\" } }] } } }\n",
	"r{\"format\": 1, \"last\": 2,\n\"values\": [\n"
	"  {\"key\": \"a\", \"text\": \"1\", \"number\": 1, \"time_ms\": 5},\n"
	"  {\"key\": \"b\", \"text\": \"x\\ny\\u00fc\", \"number\": 2, \"time_ms\": 6}],\n"
	"\"changes\": [\n  {\"number\": 1, \"time_ms\": 5, \"uid\": 0, \"what\": \"set\", "
	"\"edits\": [\n"
	"    {\"key\": \"a\", \"after\": \"1\"}]},\n"
	"  {\"number\": 2, \"time_ms\": 6, \"uid\": 7, \"what\": \"set\", \"edits\": [\n"
	"    {\"key\": \"b\", \"before\": \"z\", \"after\": \"x\", \"secret\": true}]}]}\n",
	"r{\"format\": 1, \"last\": 0, \"values\": [], \"changes\": []}\n",
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
