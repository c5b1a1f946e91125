/*
 * What a plugin of a type promises to offer: its contract.  A table, pure.
 *
 * A plugin whose HELLO breaks it is refused; what a type offers beyond it is the plugin's affair.
 */
#ifndef PLUGD_CONTRACT_H
#define PLUGD_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>

/* One method that must be there. */
struct contract_need {
	const char *method;
	/* Any of these will do, too, if the manifest declares it: a model that only embeds says so.
	 * NULL-terminated; NULL: nothing will. */
	const char *const *instead;
	const char *help; /* what it is for, a phrase */
};

struct contract {
	const char *about; /* one sentence for people */
	const struct contract_need *needs;
	size_t count;
	const char *also; /* what plugins of the type usually offer besides; "" */
};

/* `type` is an enum manifest_type.  Never NULL. */
const struct contract *contract_of(int type);

/* Who has a method: said in HELLO, or declared in the manifest. */
struct contract_methods {
	bool (*has)(const void *of, const char *method);
	const void *of;
};

/* The first need that is not met, or NULL.  What is declared must be offered: that is looked at
 * elsewhere. */
const struct contract_need *contract_unmet(int type, const struct contract_methods *offered,
					   const struct contract_methods *declared);

/* "generate (or, where the manifest declares it: classify, embed, rerank)" */
#define CONTRACT_TEXT_BYTES 256
void contract_need_text(const struct contract_need *need, char text[CONTRACT_TEXT_BYTES]);

#endif
