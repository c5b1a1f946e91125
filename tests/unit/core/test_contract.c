/* What a plugin of each type has to offer. */
#include <string.h>

#include "core/contract.h"
#include "support.h"

/* "generate embed" */
static bool
listed(const void *of, const char *method)
{
	size_t length = strlen(method);

	for (const char *at = of; (at = strstr(at, method)); at += length)
		if ((at == of || at[-1] == ' ') && (!at[length] || at[length] == ' '))
			return true;
	return false;
}

static const char *
unmet(int type, const char *offered, const char *declared)
{
	const struct contract_methods said = {listed, offered}, written = {listed, declared};
	const struct contract_need *need = contract_unmet(type, &said, &written);

	return need ? need->method : "";
}

static void
test_what_is_missing_is_named(void **state)
{
	(void)state;
	assert_string_equal(unmet(MANIFEST_MODEL, "info", ""), "generate");
	assert_string_equal(unmet(MANIFEST_MODEL, "generate", ""), "");
	assert_string_equal(unmet(MANIFEST_MODEL, "generates regenerate", ""), "generate");
	assert_string_equal(unmet(MANIFEST_MEMORY, "append clear", ""), "recall");
	assert_string_equal(unmet(MANIFEST_FEATURE, "", ""), "");
	assert_string_equal(unmet(MANIFEST_INTERFACE, "", ""), "");
}

static void
test_another_task_counts_where_it_is_declared(void **state)
{
	(void)state;
	assert_string_equal(unmet(MANIFEST_MODEL, "embed", ""), "generate");
	assert_string_equal(unmet(MANIFEST_MODEL, "embed", "embed"), "");
	assert_string_equal(unmet(MANIFEST_PROVIDER, "chat", "chat"), "models");
	assert_string_equal(unmet(MANIFEST_PROVIDER, "models chat", "chat"), "");
}

/* Each type says what it is, and each need what it is for and fits into a message. */
static void
test_every_type_has_one(void **state)
{
	char text[CONTRACT_TEXT_BYTES];

	(void)state;
	for (int type = 0; type < MANIFEST_TYPE_COUNT; type++) {
		const struct contract *contract = contract_of(type);

		assert_true(*contract->about && contract->also);
		for (size_t i = 0; i < contract->count; i++) {
			assert_non_null(contract->needs[i].help);
			contract_need_text(&contract->needs[i], text);
			assert_true(strlen(text) < CONTRACT_TEXT_BYTES - 1);
			assert_non_null(strstr(text, contract->needs[i].method));
		}
	}
	assert_int_equal(contract_of(-1)->count, 0);
	assert_int_equal(contract_of(MANIFEST_TYPE_COUNT)->count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_missing_is_named),
		cmocka_unit_test(test_another_task_counts_where_it_is_declared),
		cmocka_unit_test(test_every_type_has_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
