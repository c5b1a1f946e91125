#include "model.h"

#include "files.h"
#include "scope.h"

static int
load_weights(struct model *model, const char *path, struct failure *failure)
{
	struct safetensors *file;
	int result;

	if (safetensors_open(path, &file, failure) < 0)
		return -1;
	result = weights_load(&model->weights, &model->config, file, failure);
	safetensors_close(file);
	return result;
}

static int
load_parts(struct model *model, const char *dir, struct failure *failure)
{
	AUTO_FREE char *config = path_join(dir, "config.json");
	AUTO_FREE char *vocab = path_join(dir, "vocab.json");
	AUTO_FREE char *merges = path_join(dir, "merges.txt");
	AUTO_FREE char *weights = path_join(dir, "model.safetensors");

	if (!config || !vocab || !merges || !weights)
		return fail_memory(failure, "loading a model");
	if (model_config_read(config, &model->config, failure) < 0 ||
	    vocab_load(&model->vocab, vocab, merges, model->config.vocab, failure) < 0)
		return -1;
	return load_weights(model, weights, failure);
}

int
model_load(const char *dir, struct model **ret_model, struct failure *failure)
{
	struct model *model = calloc(1, sizeof(*model));

	if (!model)
		return fail_memory(failure, "loading a model");
	if (load_parts(model, dir, failure) < 0) {
		model_free(model);
		return -1;
	}
	*ret_model = model;
	return 0;
}

void
model_free(struct model *model)
{
	if (!model)
		return;
	weights_fini(&model->weights);
	vocab_fini(&model->vocab);
	free(model);
}
