#include "core/contract.h"

#include <stdio.h>

#include "core/manifest.h"

static const char *const model_tasks[] = {"classify", "embed", "rerank", NULL};
static const char *const provider_tasks[] = {"chat", "embed", NULL};

static const struct contract_need model[] = {
	{"generate", model_tasks, "answers a prompt"},
};

static const struct contract_need device[] = {
	{"devices", NULL, "lists its devices, with what of them is used"},
};

static const struct contract_need provider[] = {
	{"models", NULL, "lists the models that it has"},
	{"complete", provider_tasks, "completes a text"},
};

static const struct contract_need optimization[] = {
	{"info", NULL, "says what it does"},
	{"apply", NULL, "does it"},
	{"benchmark", NULL, "says what it gains and costs"},
};

static const struct contract_need memory[] = {
	{"append", NULL, "adds to a conversation"},
	{"recall", NULL, "returns what was said last"},
	{"clear", NULL, "forgets a conversation"},
};

static const struct contract_need gateway[] = {
	{"status", NULL, "says where it listens and what it has done"},
};

#define NEEDS(rows) .needs = (rows), .count = sizeof(rows) / sizeof((rows)[0])

static const struct contract contracts[MANIFEST_TYPE_COUNT] = {
	[MANIFEST_MODEL] = {.about = "Runs a model.",
			    NEEDS(model),
			    .also = "info, load, unload, tokenize"},
	[MANIFEST_DEVICE] = {.about = "Knows devices.", NEEDS(device), .also = "self_test"},
	[MANIFEST_INTERFACE] = {.about = "Serves requests of its own kinds; its methods are free.",
				.also = "endpoints, validate_request, handle"},
	[MANIFEST_PROVIDER] = {.about = "Passes requests on to a service.",
			       NEEDS(provider),
			       .also = "count_tokens, usage"},
	[MANIFEST_OPTIMIZATION] = {.about = "Makes models smaller or faster.",
				   NEEDS(optimization),
				   .also = "self_test"},
	[MANIFEST_FEATURE] = {.about = "Anything else; its methods are free.",
			      .also = "enable, disable, status"},
	[MANIFEST_MEMORY] = {.about = "Keeps conversations.", NEEDS(memory), .also = "self_test"},
	[MANIFEST_GATEWAY] = {.about = "Lets others in, by another protocol.",
			      NEEDS(gateway),
			      .also = "self_test"},
};

const struct contract *
contract_of(int type)
{
	static const struct contract none = {.about = "", .also = ""};

	return type >= 0 && type < MANIFEST_TYPE_COUNT ? &contracts[type] : &none;
}

static bool
is_met(const struct contract_need *need, const struct contract_methods *offered,
       const struct contract_methods *declared)
{
	if (offered->has(offered->of, need->method))
		return true;
	for (size_t i = 0; need->instead && need->instead[i]; i++)
		if (declared->has(declared->of, need->instead[i]))
			return true;
	return false;
}

const struct contract_need *
contract_unmet(int type, const struct contract_methods *offered,
	       const struct contract_methods *declared)
{
	const struct contract *contract = contract_of(type);

	for (size_t i = 0; i < contract->count; i++)
		if (!is_met(&contract->needs[i], offered, declared))
			return &contract->needs[i];
	return NULL;
}

void
contract_need_text(const struct contract_need *need, char text[CONTRACT_TEXT_BYTES])
{
	int used = snprintf(text, CONTRACT_TEXT_BYTES, "\"%s\"", need->method);

	for (size_t i = 0; need->instead && need->instead[i] && used < CONTRACT_TEXT_BYTES; i++)
		used += snprintf(text + used, CONTRACT_TEXT_BYTES - (size_t)used, "%s\"%s\"",
				 i ? ", " : " (or, if its manifest declares it, ",
				 need->instead[i]);
	if (need->instead && used < CONTRACT_TEXT_BYTES)
		snprintf(text + used, CONTRACT_TEXT_BYTES - (size_t)used, ")");
}
