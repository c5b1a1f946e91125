#include "scratch_model.h"

#include "files.h"
#include "generate.h"
#include "support.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const files[] = {"config.json", "vocab.json", "merges.txt", "model.safetensors"};

static json_t *
make_config(void)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:i, s:i}", "model_type", "gpt2",
			 "activation_function", "gelu_new", "n_layer", SCRATCH_LAYERS, "n_head", 2,
			 "n_embd", SCRATCH_EMBD, "n_positions", SCRATCH_CONTEXT, "vocab_size",
			 SCRATCH_VOCAB, "layer_norm_epsilon", 1e-5, "bos_token_id",
			 SCRATCH_VOCAB - 1, "eos_token_id", SCRATCH_VOCAB - 1);
}

static json_t *
make_vocab(void)
{
	json_t *vocab = json_object();
	uint32_t next = 0x100;

	for (uint32_t byte = 0; byte < 0x100; byte++) {
		int shown = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) ||
			    byte >= 0xae;
		unsigned char text[5] = {0};

		utf8_put(shown ? byte : next++, text);
		json_object_set_new(vocab, (const char *)text, json_integer(byte));
	}
	json_object_set_new(vocab, "th", json_integer(256));
	json_object_set_new(vocab, "the", json_integer(257));
	json_object_set_new(vocab, "\xc4\xa0the", json_integer(258));
	json_object_set_new(vocab, "<|endoftext|>", json_integer(259));
	return vocab;
}

static void
add_tensor(struct scratch *scratch, const char *name, size_t rows, size_t columns)
{
	json_t *shape = columns ? json_pack("[I, I]", (json_int_t)rows, (json_int_t)columns)
				: json_pack("[I]", (json_int_t)rows);
	size_t begin = scratch->data_bytes;

	scratch->data_bytes += rows * (columns ? columns : 1) * 2;
	json_object_set_new(scratch->header, name,
			    json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F16", "shape", shape,
				      "data_offsets", (json_int_t)begin,
				      (json_int_t)scratch->data_bytes));
}

static void
make_header(struct scratch *scratch)
{
	static const struct {
		const char *name;
		size_t rows, columns;
	} layer[] = {
		{"ln_1.weight", SCRATCH_EMBD, 0},
		{"ln_1.bias", SCRATCH_EMBD, 0},
		{"attn.c_attn.weight", SCRATCH_EMBD, 3 * SCRATCH_EMBD},
		{"attn.c_attn.bias", 3 * SCRATCH_EMBD, 0},
		{"attn.c_proj.weight", SCRATCH_EMBD, SCRATCH_EMBD},
		{"attn.c_proj.bias", SCRATCH_EMBD, 0},
		{"ln_2.weight", SCRATCH_EMBD, 0},
		{"ln_2.bias", SCRATCH_EMBD, 0},
		{"mlp.c_fc.weight", SCRATCH_EMBD, 4 * SCRATCH_EMBD},
		{"mlp.c_fc.bias", 4 * SCRATCH_EMBD, 0},
		{"mlp.c_proj.weight", 4 * SCRATCH_EMBD, SCRATCH_EMBD},
		{"mlp.c_proj.bias", SCRATCH_EMBD, 0},
	};
	char name[64];

	scratch->header = json_object();
	add_tensor(scratch, "wte.weight", SCRATCH_VOCAB, SCRATCH_EMBD);
	add_tensor(scratch, "wpe.weight", SCRATCH_CONTEXT, SCRATCH_EMBD);
	for (int i = 0; i < SCRATCH_LAYERS; i++)
		for (size_t t = 0; t < sizeof(layer) / sizeof(layer[0]); t++) {
			snprintf(name, sizeof(name), "h.%d.%s", i, layer[t].name);
			add_tensor(scratch, name, layer[t].rows, layer[t].columns);
		}
	add_tensor(scratch, "ln_f.weight", SCRATCH_EMBD, 0);
	add_tensor(scratch, "ln_f.bias", SCRATCH_EMBD, 0);
}

void
scratch_init(struct scratch *scratch)
{
	*scratch = (struct scratch){.dir = "/tmp/gpt2-test-XXXXXX",
				    .config = make_config(),
				    .vocab = make_vocab(),
				    .merges = "#version: 0.2\nt h\nth e\n\xc4\xa0 the\n"};
	make_header(scratch);
	assert_non_null(mkdtemp(scratch->dir));
	scratch_write(scratch);
}

void
scratch_fini(struct scratch *scratch)
{
	char path[128];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", scratch->dir, files[i]);
		unlink(path);
	}
	rmdir(scratch->dir);
	json_decref(scratch->config);
	json_decref(scratch->vocab);
	json_decref(scratch->header);
}

void
scratch_write_file(const struct scratch *scratch, const char *name, const void *data, size_t size)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", scratch->dir, name);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void
write_json(const struct scratch *scratch, const char *name, const json_t *value)
{
	char *text = json_dumps(value, 0);

	assert_non_null(text);
	scratch_write_file(scratch, name, text, strlen(text));
	free(text);
}

/* Small random halves: sign, an exponent around 2^-4, mantissa. */
static void
write_weights(const struct scratch *scratch)
{
	char *header = json_dumps(scratch->header, JSON_COMPACT);
	uint64_t length = strlen(header), random = 3;
	size_t size = sizeof(length) + length + scratch->data_bytes;
	unsigned char *all = malloc(size);

	memcpy(all, &length, sizeof(length));
	memcpy(all + sizeof(length), header, length);
	for (size_t i = 0; i < scratch->data_bytes; i += 2) {
		uint16_t half = (uint16_t)((test_random(&random) & 0x87ff) | 0x2c00);

		memcpy(all + sizeof(length) + length + i, &half, sizeof(half));
	}
	scratch_write_file(scratch, "model.safetensors", all, size);
	free(all);
	free(header);
}

void
scratch_write(const struct scratch *scratch)
{
	write_json(scratch, "config.json", scratch->config);
	write_json(scratch, "vocab.json", scratch->vocab);
	scratch_write_file(scratch, "merges.txt", scratch->merges, strlen(scratch->merges));
	write_weights(scratch);
}

char *
scratch_read_file(const struct scratch *scratch, const char *name, size_t *ret_size)
{
	struct failure failure = {.text = ""};
	char path[128], *data = NULL;

	snprintf(path, sizeof(path), "%s/%s", scratch->dir, name);
	if (file_read(path, SIZE_MAX, &data, ret_size, &failure) < 0)
		fail_msg("%s", failure.text);
	return data;
}

void
scratch_expect_refused(const struct scratch *scratch, const char *label, const char *const *words)
{
	struct failure failure = {.text = ""};
	struct model *model = NULL;

	if (model_load(scratch->dir, &model, &failure) == 0) {
		model_free(model);
		fail_msg("%s: loaded, expected an error", label);
	}
	for (; *words; words++)
		if (!strstr(failure.text, *words))
			fail_msg("%s: \"%s\" does not say \"%s\"", label, failure.text, *words);
}
