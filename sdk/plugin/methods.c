#include "methods.h"

#include <stdlib.h>

/* Names are short and few: what tells most of them apart is enough, and no byte more is read. */
static size_t
hash(const unsigned char *name, size_t size)
{
	if (size == 0)
		return 0;
	return name[0] + 31u * name[size / 2] + 131u * name[size - 1] + 517u * size;
}

plug_err
plugp_methods_init(struct methods *methods, const struct plug_method *list, size_t count)
{
	size_t places = 8;

	while (places < 4 * count)
		places *= 2;
	methods->list = list;
	methods->count = count;
	methods->mask = places - 1;
	methods->entries = calloc(places, sizeof(*methods->entries));
	methods->average_ns = calloc(count + 1, sizeof(*methods->average_ns));
	if (!methods->entries || !methods->average_ns)
		return PLUG_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		size_t size = strlen(list[i].name);
		size_t at = hash((const unsigned char *)list[i].name, size) & methods->mask;

		while (methods->entries[at].method)
			at = (at + 1) & methods->mask;
		methods->entries[at] = (struct method_entry){&list[i], size};
	}
	return PLUG_OK;
}

void
plugp_methods_fini(struct methods *methods)
{
	free(methods->entries);
	free(methods->average_ns);
	*methods = (struct methods){.list = NULL};
}

const struct plug_method *
plugp_methods_find(const struct methods *methods, const void *name, size_t size)
{
	const struct method_entry *entry;

	for (size_t at = hash(name, size) & methods->mask;; at = (at + 1) & methods->mask) {
		entry = &methods->entries[at];
		if (!entry->method)
			return NULL;
		if (entry->name_size == size && memcmp(entry->method->name, name, size) == 0)
			return entry->method;
	}
}

void
plugp_methods_learn(struct methods *methods, const struct plug_method *method, uint64_t took_ns)
{
	_Atomic uint32_t *average = &methods->average_ns[method - methods->list];
	uint32_t old = atomic_load_explicit(average, memory_order_relaxed);
	uint64_t most = old ? 8ull * old + METHODS_OUTLIER_NS : INT32_MAX;
	uint32_t took, now;

	if (most > INT32_MAX)
		most = INT32_MAX;
	took = took_ns > most ? (uint32_t)most : (uint32_t)took_ns;
	now = old ? old - old / 8 + took / 8 : took;
	atomic_store_explicit(average, now ? now : 1, memory_order_relaxed);
}
