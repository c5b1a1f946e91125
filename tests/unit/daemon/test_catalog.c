/* Found by name and by capability as a look at all of them would find it, with and without memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "failing.h"
#include "plugin/catalog.h"

#define SPECS 60

struct world {
	struct spec specs[SPECS];
	struct manifest manifests[SPECS];
	struct spec *pointers[SPECS];
	char names[SPECS][16];
	const char *shared[SPECS][2], *alone[SPECS][1];
};

static const char *const words[] = {"cache", "disk", "gpu", "text", "image"};

/* Every third provides one of three together with others, every seventh one alone. */
static void
make(struct world *w)
{
	*w = (struct world){0};
	for (size_t i = 0; i < SPECS; i++) {
		struct manifest_provides *provides = &w->manifests[i].provides;

		snprintf(w->names[i], sizeof(w->names[i]), "p%zu", i * 37 % SPECS);
		w->shared[i][0] = words[i % 3];
		w->shared[i][1] = words[(i + 1) % 3];
		w->alone[i][0] = words[3];
		provides->shared = (struct field_strings){w->shared[i], i % 3 ? 0 : 2};
		provides->exclusive = (struct field_strings){w->alone[i], i % 7 ? 0 : 1};
		w->specs[i] = (struct spec){.name = w->names[i],
					    .priority = (unsigned)(i % 4),
					    .manifest = &w->manifests[i]};
		w->pointers[i] = &w->specs[i];
	}
}

static size_t
named(const struct world *w, const char *name)
{
	for (size_t i = 0; i < SPECS; i++)
		if (w->pointers[i] && !strcmp(w->pointers[i]->name, name))
			return i;
	return SPECS;
}

static size_t
provider(const struct world *w, size_t at, const char *capability)
{
	size_t best = SPECS;

	for (size_t i = 0; i < SPECS; i++) {
		const struct spec *spec = w->pointers[i];
		const struct spec *other = best < SPECS ? w->pointers[best] : NULL;

		if (i == at || !spec || !manifest_provides(spec->manifest, capability))
			continue;
		if (!other || spec->priority > other->priority ||
		    (spec->priority == other->priority && strcmp(spec->name, other->name) < 0))
			best = i;
	}
	return best;
}

static void
compare(struct world *w, const struct catalog *catalog)
{
	char name[16];

	for (size_t i = 0; i <= SPECS; i++) {
		snprintf(name, sizeof(name), "p%zu", i);
		assert_int_equal(catalog_find(catalog, name), named(w, name));
		for (size_t k = 0; k < sizeof(words) / sizeof(*words); k++)
			assert_int_equal(catalog_provider(catalog, i, words[k]),
					 provider(w, i, words[k]));
	}
}

static void
check_all(struct catalog *catalog, struct world *w)
{
	compare(w, catalog);
	for (size_t i = 0; i < SPECS; i += 2) { /* what is rejected is not found any more */
		w->pointers[i] = NULL;
		compare(w, catalog);
	}
	catalog_fini(catalog);
}

static void
test_with_memory(void **state)
{
	struct catalog catalog;
	struct world w;

	(void)state;
	make(&w);
	catalog_init(&catalog, w.pointers, SPECS);
	assert_non_null(catalog.names);
	check_all(&catalog, &w);
}

static void
test_without_memory(void **state)
{
	struct catalog catalog;
	struct world w;

	(void)state;
	for (unsigned long spared = 0; spared < 2; spared++) {
		make(&w);
		failing_begin(spared, FAILING_ALL);
		catalog_init(&catalog, w.pointers, SPECS);
		failing_end();
		assert_null(catalog.names);
		check_all(&catalog, &w);
	}
}

static void
test_nothing(void **state)
{
	struct catalog catalog;

	(void)state;
	catalog_init(&catalog, NULL, 0);
	assert_int_equal(catalog_find(&catalog, "a"), 0);
	assert_int_equal(catalog_provider(&catalog, 0, "a"), 0);
	catalog_fini(&catalog);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_with_memory),
					   cmocka_unit_test(test_without_memory),
					   cmocka_unit_test(test_nothing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
