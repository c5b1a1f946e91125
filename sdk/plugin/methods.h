/* The author's methods by name, and how long their handlers take.  The table is written before any
 * thread starts; all functions are safe in any thread. */
#ifndef PLUG_SDK_METHODS_H
#define PLUG_SDK_METHODS_H

#include <plug/plugin.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define METHODS_OUTLIER_NS 20000u /* what one call can teach beyond eight times the average */

struct method_entry {
	const struct plug_method *method; /* NULL: empty */
	size_t name_size;
};

struct methods {
	const struct plug_method *list;
	size_t count;
	struct method_entry *entries; /* open addressing; a power of two of them */
	size_t mask;
	_Atomic uint32_t *average_ns; /* of each one's handler; 0: not known */
};

/* `list` has `count` valid methods and outlives `methods`.  PLUG_ENOMEM. */
plug_err plugp_methods_init(struct methods *methods, const struct plug_method *list, size_t count);
void plugp_methods_fini(struct methods *methods);

/* The method of that name, which need not be terminated; NULL: none. */
const struct plug_method *plugp_methods_find(const struct methods *methods, const void *name,
					     size_t size);

/* Its handler took so long.  One call that waited for a processor does not make a quick method a
 * slow one: a few do. */
void plugp_methods_learn(struct methods *methods, const struct plug_method *method,
			 uint64_t took_ns);

static inline uint32_t
plugp_methods_average(const struct methods *methods, const struct plug_method *method)
{
	return atomic_load_explicit(&methods->average_ns[method - methods->list],
				    memory_order_relaxed);
}

#endif
